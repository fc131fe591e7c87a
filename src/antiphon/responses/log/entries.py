"""StoredResponse → LogEntry: first words of question and answer, tools, tokens, why it failed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import RESULTS
from antiphon.core.tools.redaction import shown_field
from antiphon.responses.plan import Plan
from antiphon.stores.log_records import LogEntry
from antiphon.stores.records import StoredResponse
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response, Usage

WORDS = 240
"""Characters of a question or an answer that the log keeps."""
MOST_TOOLS = 20
LONGEST_NAME = 64
LOOKED_AT = 8 * WORDS
"""Characters of a text in which the first words are looked for."""
MOSTLY_ENOUGH = WORDS + 60
"""Characters of a text that are looked at first."""
SMALL = 8192
"""Bytes of an array of items that are read at once; of a larger one only the items that are wanted."""

MOST_PARAMETERS = 4096
"""Bytes of a request's parameters; larger ones are not kept."""
ELSEWHERE = frozenset(
    """
    model input instructions tools tool_choice previous_response_id conversation stream stream_options metadata file_id image
    """.split()
)
"""Fields of a request that a stored response has itself, or that say how it was asked for."""
PARAMETERS = tuple(name for name in CreateResponse.__struct_fields__ if name not in ELSEWHERE)
UNSET = (None,) * len(PARAMETERS)
_parameters = attrgetter(*PARAMETERS)

CALL = "_call"
"""How types of calls end."""

T = TypeVar("T")

Costing = Callable[[str, Usage], float]
"""A model's id and what was used of it → what it costs."""


class Timing(msgspec.Struct, frozen=True, gc=False):
    """How long a response took, and when its first token came, in seconds; None where nobody measured it."""

    duration: float | None = None
    first_token: float | None = None


UNTIMED = Timing()


class _LoggedItem(msgspec.Struct, gc=False):
    type: str | None = None
    role: str | None = None
    name: str | None = None
    arguments: Raw = Raw()
    content: Raw = Raw()
    output: Raw = Raw()


class _LoggedPart(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _WholeItem(msgspec.Struct, gc=False):
    """A _LoggedItem that is read with all its parts; items of other shapes do not fit."""

    type: str | None = None
    role: str | None = None
    name: str | None = None
    arguments: Raw = Raw()
    content: str | list[_LoggedPart] | None = None
    output: str | list[_LoggedPart] | None = None


_Item = _LoggedItem | _WholeItem


class _LoggedError(msgspec.Struct, gc=False):
    code: str | None = None
    message: str | None = None


class _LoggedCause(msgspec.Struct, gc=False):
    reason: str | None = None


class _LoggedBody(msgspec.Struct, gc=False):
    completed_at: float | None = None
    error: _LoggedError | None = None
    incomplete_details: _LoggedCause | None = None
    usage: Usage | None = None
    metadata: dict[str, str] | None = None


_array = msgspec.json.Decoder(list[Raw])
_item = msgspec.json.Decoder(_LoggedItem)
_whole = msgspec.json.Decoder(_WholeItem)
_small = msgspec.json.Decoder(list[_WholeItem])
_content = msgspec.json.Decoder(str | list[Raw])
_part = msgspec.json.Decoder(_LoggedPart)
_text = msgspec.json.Decoder(str)
_body = msgspec.json.Decoder(_LoggedBody)


def log_entry(
    stored: StoredResponse,
    cost: Costing,
    timing: Timing = UNTIMED,
    parameters: str = "",
    asking: bytes | None = None,
    response: Response | None = None,
) -> LogEntry:
    """Return what the log says of a response. What of it cannot be read is left out. `parameters`: see LogEntry.

    `asking` is the item of its input that asks, as OwnInput says, and `response` what its body says. Where one is None, the input
    is looked through, or the body decoded.
    """
    body = response or _read(_body, stored.body) or _LoggedBody()
    usage = body.usage or Usage()
    problem = body.error or _LoggedError()
    reason = problem.message or (body.incomplete_details and body.incomplete_details.reason) or ""
    output = _items(stored.output)
    duration = timing.duration
    if duration is None and body.completed_at:
        duration = max(body.completed_at - stored.created_at, 0.0)
    entry = LogEntry(
        id=stored.id,
        owner=stored.owner,
        model=stored.model,
        status=stored.status,
        created_at=stored.created_at,
        background=stored.background,
        previous_response_id=stored.previous_response_id,
        conversation_id=stored.conversation_id,
        question=_question(_items(stored.input) if asking is None else _items_of(asking)),
        answer=_answer(output),
        reason=reason and first_words(reason),
        error_code=_encodable(problem.code or "")[:LONGEST_NAME],
        tools=_tools(output),
        pairs=tuple(to_json(pair).decode() for pair in body.metadata.items()) if body.metadata else (),
    )
    # Not above: more than 15 arguments by name pass in a dict, which takes ten times as long (CPython 3.11).
    return replace(
        entry,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.input_tokens_details.cached_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.output_tokens_details.reasoning_tokens,
        cost=cost(stored.model, usage) if body.usage is not None else 0.0,
        duration=duration,
        first_token=timing.first_token,
        parameters=parameters,
    )


def request_parameters(plan: Plan) -> str:
    """Return what a request set, so that it can be sent again: its own fields, without the operator's and without secrets.

    "" where that is much.
    """
    request, operators, values = plan.request, plan.route.extra_body, _parameters(plan.request)
    if not plan.turn.extra and values == UNSET and request.tool_choice is None:
        return "{}"
    others = {name: raw for name, raw in plan.turn.extra.items() if name not in operators}
    if sum(len(bytes(raw)) for raw in others.values()) > MOST_PARAMETERS:
        return ""
    given: dict[str, object] = {
        name: shown for name, raw in others.items() if (shown := shown_field(name, raw)) is not None
    }
    for name, value in zip(PARAMETERS, values, strict=True):
        if value is not None:
            given[name] = value
    if request.tool_choice is not None:
        given["tool_choice"] = plan.response.tool_choice  # without secrets
    packed = to_json(given)
    return packed.decode() if len(packed) <= MOST_PARAMETERS else ""


def first_words(text: str) -> str:
    """Return the beginning of a text in one line."""
    line = " ".join(_encodable(text[:MOSTLY_ENOUGH]).split())
    if len(line) <= WORDS and len(text) > MOSTLY_ENOUGH:
        line = " ".join(_encodable(text[:LOOKED_AT]).split())
    return line if len(line) <= WORDS else f"{line[: WORDS - 1]}…"


def conversation_words(first: Sequence[bytes], last: bytes) -> tuple[str, str]:
    """Return the first words of a conversation's first message of the user, and of its last item; "" where there are none."""
    opened = [item for body in first if (item := _read(_item, body)) is not None]
    question = _question(opened[::-1])
    ended = _read(_item, last)
    if ended is None:
        return question, ""
    return question, _answer([ended]) or first_words(_said(ended.content) or _said(ended.output))


def _encodable(text: str) -> str:
    """Return a text without lone surrogates, which no database takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _question(items: Sequence[_Item]) -> str:
    """Return the first words of the last message of the user; of a tool's output where there is none."""
    for item in reversed(items):
        if item.type in (None, "message") and item.role == "user":
            return first_words(_said(item.content))
    for item in reversed(items):
        if item.type in RESULTS:
            return first_words(_said(item.output))
    return ""


def _answer(items: Sequence[_Item]) -> str:
    """Return the first words of an answer; where it has no text, the calls that it is."""
    for item in items:
        if item.type == "message" and (text := first_words(_said(item.content))):
            return text
    calls = (f"{item.name}({_call(item)})" for item in items if item.name)
    return first_words(", ".join(calls))


def _call(item: _Item) -> str:
    arguments = bytes(item.arguments)
    return (_read(_text, arguments) or "")[:WORDS] if arguments else ""


def _tools(items: Sequence[_Item]) -> str:
    """Return the names of the tools that were called, each between two spaces."""
    names: dict[str, None] = {}
    for item in items:
        if item.type is None or not item.type.endswith(CALL) or len(names) == MOST_TOOLS:
            continue
        name = item.name if item.name else item.type.removesuffix(CALL)
        names["_".join(_encodable(name[:LONGEST_NAME]).split())] = None
    return f" {' '.join(names)} " if names else ""


def _said(content: Raw | str | list[_LoggedPart] | None) -> str:
    """Return the beginning of what a content says: a string, or an array of parts."""
    if isinstance(content, Raw):
        found = _read(_content, bytes(content)) if bytes(content) else None
        content = found if found is None or isinstance(found, str) else _parts(found)
    if isinstance(content, str):
        return content
    if not content:
        return ""
    if len(content) == 1:
        return _said_by(content[0])
    return "\n".join(map(_said_by, content))


def _said_by(part: _LoggedPart) -> str:
    return part.text or part.refusal or f"[{part.type.removeprefix('input_')}]"


def _parts(array: Sequence[Raw]) -> list[_LoggedPart]:
    """Return as many parts of an array as are looked at; those that cannot be read are left out."""
    found: list[_LoggedPart] = []
    size = 0
    for raw in array:
        part = _read(_part, bytes(raw))
        if part is None:
            continue
        found.append(part)
        size += len(part.text or "")
        if size >= LOOKED_AT:
            break
    return found


def _items(array: bytes) -> Sequence[_Item]:
    """Return the items of an array; those that cannot be read are left out."""
    if len(array) <= SMALL and (whole := _read(_small, array)) is not None:
        return whole
    return [item for raw in _read(_array, array) or () if (item := _read(_item, bytes(raw))) is not None]


def _items_of(item: bytes) -> Sequence[_Item]:
    """Return one item, or none where there is none that can be read."""
    found: _Item | None = _read(_whole, item) if 0 < len(item) <= SMALL else None
    if found is None and item:
        found = _read(_item, item)
    return () if found is None else (found,)


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError):
        return None
