"""The routes of the larger resources."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.access.caller import CHAT, READ
from antiphon.access.tool_limits import ToolAdmission
from antiphon.responses.query_rewriting import QueryRewriter
from antiphon.server.api.chat.stored import StoredChats
from antiphon.server.api.containers import ContainerRoutes
from antiphon.server.api.conversations import Conversations
from antiphon.server.api.counting import Counting
from antiphon.server.api.files import Files
from antiphon.server.api.incoming import Incoming
from antiphon.server.api.relays.handler import RelayHandlers
from antiphon.server.api.relays.table import ROUTES
from antiphon.server.api.responses import Responses
from antiphon.server.api.skills import SkillRoutes
from antiphon.server.api.uploads import Uploads
from antiphon.server.api.vectors.files import VectorStoreFiles
from antiphon.server.api.vectors.stores import VectorShelf, VectorStores
from antiphon.server.http.router import BATCHING, READING, RouteTable
from antiphon.stores.base import UploadStore
from antiphon.tools.retrieval.search import Searcher


def add_responses(router: RouteTable, responses: Responses, counting: Counting) -> None:
    """Register `/responses`."""
    router.add("POST", "/responses", responses.create)
    router.add("POST", "/responses/input_tokens", counting.input_tokens)
    router.add("POST", "/responses/compact", counting.compact)
    router.add("GET", "/responses/{id}", responses.read)
    router.add("DELETE", "/responses/{id}", responses.delete)
    router.add("POST", "/responses/{id}/cancel", responses.cancel)
    router.add("GET", "/responses/{id}/input_items", responses.input_items)


def add_stored_chats(router: RouteTable, chats: StoredChats) -> None:
    """Register what reads and changes stored chat completions; keys need the scope `chat`, or `read` to read."""
    writing, reading = frozenset((CHAT,)), frozenset((CHAT, READ))
    router.add("GET", "/chat/completions", chats.list, scopes=reading)
    router.add("GET", "/chat/completions/{id}", chats.read, scopes=reading)
    router.add("POST", "/chat/completions/{id}", chats.update, scopes=writing)
    router.add("DELETE", "/chat/completions/{id}", chats.delete, scopes=writing)
    router.add("GET", "/chat/completions/{id}/messages", chats.messages, scopes=reading)


def add_conversations(router: RouteTable, conversations: Conversations) -> None:
    """Register `/conversations`."""
    router.add("POST", "/conversations", conversations.create)
    router.add("GET", "/conversations/{id}", conversations.read)
    router.add("POST", "/conversations/{id}", conversations.update)
    router.add("DELETE", "/conversations/{id}", conversations.delete)
    router.add("POST", "/conversations/{id}/items", conversations.add_items)
    router.add("GET", "/conversations/{id}/items", conversations.list_items)
    router.add("GET", "/conversations/{id}/items/{item_id}", conversations.read_item)
    router.add("DELETE", "/conversations/{id}/items/{item_id}", conversations.delete_item)


def add_files(
    router: RouteTable,
    incoming: Incoming,
    parts: UploadStore,
    new_id_base: Callable[[], str],
    deleted: Callable[[], None],
    meters: ToolAdmission,
) -> None:
    """Register `/files` and `/uploads`; `deleted` is called after a file was deleted."""
    files, uploads = Files(incoming, new_id_base, deleted, meters), Uploads(parts, incoming, new_id_base, meters)
    seeing = BATCHING | READING  # without `responses` or `read`: files of batches only
    router.add("POST", "/files", files.create, scopes=BATCHING)
    router.add("GET", "/files", files.list, scopes=seeing)
    router.add("GET", "/files/{id}", files.read, scopes=seeing)
    router.add("DELETE", "/files/{id}", files.delete, scopes=BATCHING)
    router.add("GET", "/files/{id}/content", files.content, scopes=seeing)
    router.add("POST", "/uploads", uploads.create)
    router.add("POST", "/uploads/{id}/parts", uploads.add_part)
    router.add("POST", "/uploads/{id}/complete", uploads.complete)
    router.add("POST", "/uploads/{id}/cancel", uploads.cancel)


def add_containers(router: RouteTable, containers: ContainerRoutes, skills: SkillRoutes) -> None:
    """Register `/containers` and `/skills`."""
    router.add("POST", "/skills", skills.create)
    router.add("GET", "/skills", skills.list)
    router.add("GET", "/skills/{id}", skills.read)
    router.add("POST", "/skills/{id}", skills.set_default)
    router.add("DELETE", "/skills/{id}", skills.delete)
    router.add("GET", "/skills/{id}/content", skills.content)
    router.add("POST", "/skills/{id}/versions", skills.add_version)
    router.add("GET", "/skills/{id}/versions", skills.list_versions)
    router.add("GET", "/skills/{id}/versions/{version}", skills.read_version)
    router.add("DELETE", "/skills/{id}/versions/{version}", skills.delete_version)
    router.add("GET", "/skills/{id}/versions/{version}/content", skills.version_content)
    router.add("POST", "/containers", containers.create)
    router.add("GET", "/containers", containers.list)
    router.add("GET", "/containers/{id}", containers.read)
    router.add("DELETE", "/containers/{id}", containers.delete)
    router.add("POST", "/containers/{id}/files", containers.add_file)
    router.add("GET", "/containers/{id}/files", containers.list_files)
    router.add("GET", "/containers/{id}/files/{file_id}", containers.read_file)
    router.add("DELETE", "/containers/{id}/files/{file_id}", containers.delete_file)
    router.add("GET", "/containers/{id}/files/{file_id}/content", containers.file_content)


def add_vector_stores(
    router: RouteTable,
    shelf: VectorShelf,
    searcher: Searcher,
    rewriter: QueryRewriter | None = None,
    *,
    most_stores: int,
) -> None:
    """Register `/vector_stores`; `most_stores` are those of an owner."""
    stores, files = VectorStores(shelf, searcher, rewriter, most_stores=most_stores), VectorStoreFiles(shelf)
    router.add("POST", "/vector_stores", stores.create)
    router.add("GET", "/vector_stores", stores.list)
    router.add("GET", "/vector_stores/{id}", stores.read)
    router.add("POST", "/vector_stores/{id}", stores.update)
    router.add("DELETE", "/vector_stores/{id}", stores.delete)
    router.add("POST", "/vector_stores/{id}/search", stores.search)
    router.add("POST", "/vector_stores/{id}/files", files.create)
    router.add("GET", "/vector_stores/{id}/files", files.list)
    router.add("GET", "/vector_stores/{id}/files/{file_id}", files.read)
    router.add("POST", "/vector_stores/{id}/files/{file_id}", files.update)
    router.add("DELETE", "/vector_stores/{id}/files/{file_id}", files.delete)
    router.add("GET", "/vector_stores/{id}/files/{file_id}/content", files.content)
    router.add("POST", "/vector_stores/{id}/file_batches", files.create_batch)
    router.add("GET", "/vector_stores/{id}/file_batches/{batch_id}", files.read_batch)
    router.add("POST", "/vector_stores/{id}/file_batches/{batch_id}/cancel", files.cancel_batch)
    router.add("GET", "/vector_stores/{id}/file_batches/{batch_id}/files", files.list_batch)


def add_relays(router: RouteTable, handlers: RelayHandlers) -> None:
    """Register the routes whose requests are passed on to backends."""
    for row in ROUTES:
        router.add("POST", row.path, handlers.of(row), scopes=frozenset((CHAT, row.scope)))
