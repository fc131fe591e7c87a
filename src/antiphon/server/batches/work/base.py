"""What a batch is made with, what becomes of it, and what its front end knows: how a request and its answer are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Raw

from antiphon.access.caller import Caller
from antiphon.stores.batch_records import StoredBatch

Ending = Literal["completed", "expired", "cancelled"]

ENDED = frozenset(("completed", "failed", "expired", "cancelled"))
"""Statuses that a batch keeps."""

MOST_ERRORS = 100
"""Errors of an input file that are told; it is not read further than that."""

LONGEST_ID = 512
"""Characters of a `custom_id`."""


class BatchBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that are answered at once here, those of a batch; bytes of its file and of a request; seconds of a lease."""

    running: int = 8
    requests: int = 50_000
    size: int = 200 << 20
    line: int = 16 << 20
    lease: float = 15.0
    store_days: float = 30.0


class BatchDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a batch was made with. The ids of its files are drawn then: whoever ends it, it has one file of each."""

    endpoint: str
    input_file_id: str
    window: str
    output_file_id: str
    error_file_id: str
    caller: Caller
    metadata: Raw = Raw(b"null")
    output_seconds: int | None = None
    requests: int = 0
    """How many there are, where that is known before the file is read."""


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    """Why an input file is refused. `line` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has become of a batch. `ending` is how it is going to end; files are those that were written."""

    model: str | None = None
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    ended_at: int | None = None
    ending: Ending = "completed"
    errors: Sequence[BatchError] = ()
    output_file_id: str | None = None
    error_file_id: str | None = None


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request: the body is JSON. `wait`: seconds after which to ask again, where it says so."""

    status: int
    body: bytes
    request_id: str
    wait: float | None = None

    @property
    def failed(self) -> bool:
        """Tell whether it is an error."""
        return not 200 <= self.status < 300


class BatchRequest(msgspec.Struct, frozen=True):
    """A request of a line: its id and its body."""

    custom_id: str
    body: bytes


class BatchFront(Protocol):
    """The API that a batch was made by: how its requests are read, and what its files say."""

    one_model: bool
    """Whether all requests must name one model."""
    one_file: bool
    """Whether errors go into the output file."""

    def read(self, line: bytes, endpoint: str) -> BatchRequest:
        """Read a line of the input file. Raises InvalidRequest."""
        ...

    def answered(self, custom_id: str, answer: LineAnswer) -> bytes:
        """Return the line that tells an answer."""
        ...

    def refused(self, custom_id: str, code: str, message: str) -> bytes:
        """Return the line of a request that was not answered, through no fault of a model."""
        ...

    def left(self, custom_id: str, ending: Ending) -> bytes | None:
        """Return the line of a request without an answer when its batch ended; None for no line."""
        ...


Ask = Callable[[str, bytes, Caller], Awaitable[LineAnswer]]
"""Answers a request to a path, as its route does."""

Renew = Callable[[Caller], Awaitable[Caller]]
"""Returns who asks, as the key is now. Raises APIError 401 where it has been revoked."""

Told = Callable[[str, StoredBatch], Awaitable[None]]
"""Is told of an event (`batch.completed`)."""


def details_of(batch: StoredBatch) -> BatchDetails:
    """Return what a batch was made with."""
    return _details.decode(batch.details)


def progress_of(batch: StoredBatch) -> BatchProgress:
    """Return what has become of a batch."""
    return _progress.decode(batch.progress)


_details = msgspec.json.Decoder(BatchDetails)
_progress = msgspec.json.Decoder(BatchProgress)
