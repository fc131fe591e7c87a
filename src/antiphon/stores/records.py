"""Records of the store, one struct per noun. JSON is kept as bytes; times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from antiphon.core.text.input_pieces import InputPieces

FILE_ROW = 1 << 20
"""Bytes of a file in one row of a store, at most; files up to this size have one row."""


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A stored Response: its JSON as it was sent, its input, and its metadata.

    `body` is the Response's JSON, byte for byte as the client got it; `output` is a slice of it: `output_span` says
    where the JSON array stands. `input` is a JSON array of this response's own input items (not its history), each
    with an id.
    `foreign_ids` maps item ids that are not derived from the response's id (a client's or another server's)
    to their position: `input` items count from 0, `output` items follow. An `expires_at` of None means never.
    `model_texts` is a JSON object: ids of output items → what the model sees of them that the client does not; b"" for none.
    One that is put may have `input_pieces` in the place of `input`, for stores that keep once what several inputs begin with.
    """

    id: str
    owner: str
    model: str
    status: str
    created_at: int
    body: bytes
    output_span: tuple[int, int]
    input: bytes = b"[]"
    previous_response_id: str | None = None
    conversation_id: str | None = None
    expires_at: int | None = None
    background: bool = False
    foreign_ids: Mapping[str, int] = {}
    model_texts: bytes = b""
    input_pieces: InputPieces | None = None

    @property
    def output(self) -> bytes:
        """The output items as a JSON array."""
        start, end = self.output_span
        return self.body[start:end]


class StoredConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation without its items; `metadata` is a JSON object."""

    id: str
    owner: str
    created_at: int
    metadata: bytes = b"{}"


class StoredItem(msgspec.Struct, frozen=True):
    """An item of a conversation: its id and its JSON."""

    id: str
    body: bytes


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A background response that waits for a worker or is held by one.

    `fence` grows with every claim: a write under an older fence is refused, so that a worker which lost its lease
    can change nothing. `crashes` counts the holders that lost the lease without releasing the job. `request` is the JSON of a
    `job_request.JobRequest`, enough to run it again; `cancelled` is the client's wish.
    """

    response_id: str
    owner: str
    request: bytes
    fence: int
    attempts: int
    cancelled: bool = False
    crashes: int = 0


class LoggedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of a background response: its number, its type and its JSON."""

    sequence_number: int
    type: str
    body: bytes


class EventBatch(msgspec.Struct, frozen=True):
    """Events of one response, to be logged under its lease's fence."""

    response_id: str
    fence: int
    events: Sequence[LoggedEvent]


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded file without its content; `size` in bytes. An `expires_at` of None means never."""

    id: str
    owner: str
    filename: str
    purpose: str
    media_type: str
    size: int
    created_at: int
    expires_at: int | None = None


class FileUsage(msgspec.Struct, frozen=True):
    """How many files an owner has, and bytes of these and of what is being uploaded."""

    files: int = 0
    size: int = 0


class StoredUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is uploaded in parts: what it will be (`size` in bytes, `file_id`, how many seconds it will live).

    `status` is `pending`, `completed` or `cancelled`. Once it has expired it is reported as missing; its file stays.
    """

    id: str
    owner: str
    filename: str
    purpose: str
    media_type: str
    size: int
    created_at: int
    expires_at: int
    file_id: str
    file_seconds: int | None = None
    status: str = "pending"


class StoredPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an upload; `content` is the number of its content."""

    id: str
    upload: str
    created_at: int
    size: int
    content: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A pending webhook event for a URL; `id` and `url` together are its key.

    `due` is the time of the next attempt; `attempts` counts those that were begun.
    """

    id: str
    url: str
    owner: str
    body: bytes
    due: float
    attempts: int = 0


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A client's key: its digest, and its scopes and limits as JSON in `body`. `last_used_at` is written apart."""

    id: str
    owner: str
    digest: bytes
    created_at: float
    body: bytes
    last_used_at: float | None = None


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of keys, the newest first; without `owner` of all owners."""

    limit: int
    after: str | None = None
    owner: str | None = None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot of a concurrency limit: at most `most` are taken under a `name`, by all holders (server processes) together."""

    name: str
    holder: str
    most: int


class StoredContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container of the code interpreter: bytes of memory, and after how many idle seconds it expires."""

    id: str
    owner: str
    name: str
    memory: int
    idle: int
    created_at: int
    last_active_at: int


class StoredContainerFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a container, without its content. `source` is `user` or `assistant`; `version` grows with each new content."""

    id: str
    container: str
    path: str
    size: int
    source: str
    created_at: int
    version: int = 1


class StoredContainerSkill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill that a container has in `folder`, without its bundle of `size` bytes."""

    container: str
    folder: str
    name: str
    description: str
    size: int


class StoredChat(msgspec.Struct, frozen=True, kw_only=True):
    """A stored chat completion: its JSON without metadata, the messages of its request and its metadata as JSON.

    An `expires_at` of None means never.
    """

    id: str
    owner: str
    model: str
    created_at: int
    body: bytes
    messages: bytes = b"[]"
    metadata: bytes = b"{}"
    expires_at: int | None = None


class StoredSkill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill. Name and description are those of its default version."""

    id: str
    owner: str
    created_at: int
    name: str
    description: str
    default_version: int = 1
    latest_version: int = 1


class StoredSkillVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a skill, without its bundle, which has `size` bytes and this `digest`."""

    id: str
    skill: str
    created_at: int
    name: str
    description: str
    digest: str
    size: int
    version: int = 1


class FileCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files of a vector store, or of a batch, are in which state."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.in_progress + self.completed + self.failed + self.cancelled


class VectorStore(msgspec.Struct, frozen=True, kw_only=True):
    """A vector store: files that can be searched. `metadata` is a JSON object.

    It expires `expires_days` after it was last used (None: never); from then on it is without files.
    """

    id: str
    owner: str
    created_at: int
    last_active_at: int
    name: str = ""
    description: str = ""
    metadata: bytes = b"{}"
    expires_days: int | None = None
    usage_bytes: int = 0
    counts: FileCounts = FileCounts()

    @property
    def expires_at(self) -> int | None:
        """When it expires, as it was last used."""
        return None if self.expires_days is None else self.last_active_at + self.expires_days * 86_400


class VectorFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in a vector store. `attributes` is a JSON object; `chunk_tokens` None: the server's own chunking.

    `status` is in_progress, completed, cancelled or failed; `error_code` and `error_message` tell why it failed.
    """

    file_id: str
    filename: str
    created_at: int
    status: str = "in_progress"
    usage_bytes: int = 0
    error_code: str = ""
    error_message: str = ""
    attributes: bytes = b"{}"
    chunk_tokens: int | None = None
    chunk_overlap: int | None = None


class FileBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were added to a vector store together."""

    id: str
    store_id: str
    created_at: int
    cancelled: bool = False
    counts: FileCounts = FileCounts()


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a file's text, and its words as they are indexed (`core.retrieval.words`)."""

    text: str
    words: Sequence[str]


class ChunkVector(msgspec.Struct, frozen=True):
    """The vector of a text (`core.retrieval.vectors`): the digest of the text, the vector's code, and its half floats."""

    digest: bytes
    code: bytes
    vector: bytes


class Embedding(msgspec.Struct, frozen=True):
    """Which model made the vectors of a file's chunks, how many dimensions they have, and the digests of the chunks' texts."""

    model: str
    dimensions: int
    digests: Sequence[bytes]


class IngestJob(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a worker holds, to make chunks of it. `fence` grows with every claim; `crashes` counts holders that died."""

    store_id: str
    owner: str
    file: VectorFile
    number: int
    fence: int
    crashes: int = 0


class ChunkHit(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was found. `score` is its BM25 score, `number` its number within the vector store."""

    number: int
    score: float
    file_id: str
    filename: str
    attributes: bytes
    text: str


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found, the best first; of how many chunks, and how many of them have each word of the query."""

    hits: Sequence[ChunkHit] = ()
    chunks: int = 0
    having: Sequence[int] = ()


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks nearest to a vector; a hit's `score` is the cosine. `model` made the vector store's vectors; "": it has none."""

    hits: Sequence[ChunkHit] = ()
    model: str = ""


class ListPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list: behind `after`, before `before` (ids), `limit` rows at most."""

    limit: int = 20
    descending: bool = True
    after: str | None = None
    before: str | None = None
