"""The response log on the wire: a query string → LogQuery, LogEntry → what clients get, bodies."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.server.api.paging import MAX_LIMIT, whole_number
from antiphon.server.http.messages import Request
from antiphon.stores.log_records import MOST_WORDS, LogEntry, LogPage, LogQuery, LogSort
from antiphon.types.request import Metadata
from antiphon.types.response import FailureReason

FARTHEST = 1 << 40
"""Unix time that is far enough."""
LONGEST_VALUE = 512
"""Characters of a filter."""
MOST_DELETED = 100
"""Responses of one request."""
STATUSES = ("queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
NAMES = frozenset(
    """
    q model status tool owner conversation background since until sort order limit after format
    """.split()
)

_metadata = msgspec.json.Decoder(Metadata)


class DeleteResponses(msgspec.Struct, frozen=True):
    """The body of `POST /responses/delete` and `POST /admin/responses/delete`."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=MOST_DELETED)]


class LoggedUsage(msgspec.Struct, frozen=True):
    """Token counts."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    total_tokens: int


class LoggedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response as the log shows it: first words of question and answer, what it used, how long it took (seconds)."""

    id: str
    object: str = "response"
    owner: str
    model: str
    status: str
    created_at: int
    background: bool
    previous_response_id: str | None
    conversation_id: str | None
    question: str
    answer: str
    reason: FailureReason | None
    tools: list[str]
    metadata: dict[str, str]
    usage: LoggedUsage
    cost: float
    duration: float | None
    time_to_first_token: float | None


class LoggedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log. `next` is the `after` of the next one; a page without entries may have one, too."""

    object: str = "list"
    data: list[LoggedResponse]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next: str | None


def log_query(request: Request, owner: str | None, most: int = MAX_LIMIT) -> LogQuery:
    """Return what a query string asks for, of an `owner` or of all. Raises InvalidRequest, also for a name that it does not know.

    `most`: entries of a page.
    """
    values = {name: found[-1] for name, found in request.query.items() if found}
    for name, value in values.items():
        if name not in NAMES and not _is_metadata(name):
            raise InvalidRequest(f"Unknown parameter: '{name[:64]}'.", param=name[:64], code="unknown_parameter")
        if len(value) > LONGEST_VALUE:
            raise InvalidRequest(f"Invalid '{name[:64]}': must be at most {LONGEST_VALUE} characters.", param=name[:64])
    words = values.get("q", "").split()
    if len(words) > MOST_WORDS:
        raise InvalidRequest(f"Invalid 'q': must be at most {MOST_WORDS} words.", param="q")
    if owner is not None and values.get("owner", owner) != owner:
        raise InvalidRequest("Invalid 'owner': only your own responses are listed here.", param="owner")
    pairs = {name[len("metadata[") : -1]: value for name, value in values.items() if _is_metadata(name)}
    metadata: dict[str, str] = decode(_metadata, to_json(pairs), "metadata") if pairs else {}
    return LogQuery(
        owner=owner if owner is not None else values.get("owner"),
        words=words,
        model=values.get("model"),
        status=_one_of("status", values.get("status"), STATUSES),
        tool=values.get("tool"),
        metadata=metadata,
        conversation=values.get("conversation"),
        background=_truth("background", values.get("background")),
        since=whole_number(request, "since", 0, 0, FARTHEST),
        until=whole_number(request, "until", FARTHEST, 0, FARTHEST),
        sort=_one_of("sort", values.get("sort"), get_args(LogSort)) or "created_at",
        ascending=_one_of("order", values.get("order"), ("asc", "desc")) == "asc",
        after=values.get("after"),
        limit=whole_number(request, "limit", min(20, most), 1, most),
    )


def _is_metadata(name: str) -> bool:
    return name.startswith("metadata[") and name.endswith("]")


def _one_of(name: str, value: str | None, allowed: tuple[Any, ...]) -> Any:
    if value is not None and value not in allowed:
        raise InvalidRequest(f"Invalid '{name}': must be one of {', '.join(allowed)}.", param=name)
    return value


def _truth(name: str, value: str | None) -> bool | None:
    chosen = _one_of(name, value, ("true", "false"))
    return None if chosen is None else chosen == "true"


def logged(entry: LogEntry) -> LoggedResponse:
    """Return an entry as clients get it."""
    failed = entry.error_code or entry.reason
    return LoggedResponse(
        id=entry.id,
        owner=entry.owner,
        model=entry.model,
        status=entry.status,
        created_at=entry.created_at,
        background=entry.background,
        previous_response_id=entry.previous_response_id,
        conversation_id=entry.conversation_id,
        question=entry.question,
        answer=entry.answer,
        reason=FailureReason(entry.error_code or None, entry.reason) if failed else None,
        tools=entry.tools.split(),
        metadata=dict(msgspec.json.decode(f"[{','.join(entry.pairs)}]", type=list[tuple[str, str]])),
        usage=LoggedUsage(
            entry.input_tokens,
            entry.cached_tokens,
            entry.output_tokens,
            entry.reasoning_tokens,
            entry.input_tokens + entry.output_tokens,
        ),
        cost=entry.cost,
        duration=entry.duration,
        time_to_first_token=entry.first_token,
    )


def logged_page(page: LogPage) -> LoggedPage:
    """Return a page as clients get it."""
    ids = [entry.id for entry in page.entries]
    return LoggedPage(
        data=[logged(entry) for entry in page.entries],
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=page.next is not None,
        next=page.next,
    )
