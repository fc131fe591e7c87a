"""Events of a server that speaks Responses itself → Deltas."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.error_words import read_json, words_of
from antiphon.backends.refusals import told_error
from antiphon.core.deltas import Delta, FinishReason, PlainAnswer, PlainItem, Relay, RelayedText, UsageReport, tier_of
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME, CUSTOM, FUNCTION
from antiphon.core.relay.end import has_failed, response_of, usage_from, usage_of
from antiphon.core.relay.items import as_custom, logprobs_of
from antiphon.core.relay.plain import plain_response
from antiphon.core.relay.shapes import ENDS, LIFE, TEXTS, good_name, index_of, too_deep, wrong
from antiphon.core.request.json_text import has_more_containers
from antiphon.core.text.sse import LARGE_EVENT
from antiphon.core.text.surrogate_halves import Halves
from antiphon.core.tools.call_ids import FreshIds
from antiphon.core.tools.call_pairs import call_ids
from antiphon.core.tools.offers import Target
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import BackendError
from antiphon.types.items import Item

LARGE = 1024 * 1024  # bytes; a larger event may hold no more than
MOST_VALUES = 500_000

MOST_CONTAINERS = 20_000
"""Arrays and objects of one event, with the tools that a response repeats."""

MOST_OF_OUTPUT = 4_000
"""Those of the items and parts in it, which are written anew."""

# Looked up once: an Enum's member costs as much as a function call.
_LENGTH, _STOP = FinishReason.LENGTH, FinishReason.STOP

_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,99}", re.ASCII)


class TextEvent(msgspec.Struct, gc=False):
    """The events that make up most of a stream, as the known servers send them; of others the type alone is read."""

    type: str
    delta: str | None = None
    item_id: str = ""
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    logprobs: list[Raw] | None = None


text_event = msgspec.json.Decoder(TextEvent).decode
"""Raises what msgspec raises, ValueError and RecursionError for anything else."""


_anything = msgspec.json.Decoder().decode
_OF_LIFE: Mapping[str, Sequence[Relay]] = {type: (Relay(type, {}),) for type in LIFE}
_OF_ITEMS = ("response.output_item.added", "response.output_item.done")
_NAMED = frozenset((BY_NAME[FUNCTION].call, BY_NAME[CUSTOM].call))
"""Types of calls that have the name of a client's tool."""


def _without(begun: str, value: Any) -> Any:
    """Return an event whose texts do not begin with what was begun."""
    if isinstance(value, dict):
        return {
            name: one.removeprefix(begun) if name == "text" and isinstance(one, str) else _without(begun, one)
            for name, one in value.items()
        }
    return [_without(begun, one) for one in value] if isinstance(value, list) else value


class ResponsesEventDecoder(msgspec.Struct, eq=False):
    """Turns the `data` of events into Deltas.

    `ended` tells whether the answer came to its end; `error` is what it failed with, once all that came before it is taken.
    An answer of `_most_tokens` tokens was cut off, also where the server calls it completed (llama.cpp, transformers).
    `_custom_tools` are the names of the custom tools that were offered: some servers call them as functions. `_history` is
    what the model saw: the ids of new calls differ from those in it, whatever the server gives them. `_offered` makes the map
    of the tools that were offered: a call's name is repaired as a chat model's is. `begun` is the text that the answer goes on
    from; llama.cpp repeats it wherever it says the text as a whole.
    """

    _most_tokens: int | None = None
    _custom_tools: Collection[str] = ()
    _history: Sequence[Item] = ()
    _offered: Callable[[], ToolMap] = ToolMap
    begun: str = ""
    ended: bool = False
    error: BackendError | None = None
    _tools: ToolMap | None = None
    _ids: FreshIds | None = None
    _calls: dict[str, str] = {}
    _halves: Halves | None = None

    def feed(self, events: Iterable[bytes]) -> list[Delta]:
        """Decode events. What is no event ends the answer with an `error`."""
        deltas: list[Delta] = []
        for data in events:
            if self.ended:
                break
            try:
                deltas += self._event(data)
            except BackendError as error:
                self._fail(error)
        return deltas

    def whole(self, body: bytes) -> Sequence[Delta]:
        """Decode a response that came whole."""
        try:
            return self._whole(self._fields(body))
        except BackendError as error:
            self._fail(error)
            return ()

    def plain(self, body: bytes) -> PlainAnswer | None:
        """Decode a response that came whole if it is plain, that is if nothing in it has to be mended; None where it is not."""
        if self.begun or len(body) > LARGE_EVENT or (response := plain_response(body)) is None:
            return None
        calls: list[PlainItem] = []
        for item in response.output:
            if item.name:
                if item.name in self._custom_tools or self._meant(item.name, "") is not None:
                    return None
                calls.append(item)
        for call in calls:
            if call.call_id is not None:
                call.call_id = self._fresh(call.call_id)
        usage = usage_from(response.usage) if response.usage is not None else None
        cut = self._most_tokens is not None and usage is not None and usage.output_tokens >= self._most_tokens
        self.ended = True
        tier = tier_of(response.service_tier) if response.service_tier is not None else ""
        return PlainAnswer(response.output, usage, _LENGTH if cut else _STOP, tier)

    def _whole(self, fields: dict[str, Any]) -> Sequence[Delta]:
        if fields.get("object") != "response" and "output" not in fields:
            fields = {"type": "error", **fields}
        else:
            status = fields.get("status")
            type = f"response.{status}" if status in ("incomplete", "failed") else "response.completed"
            fields = {"type": type, "response": fields}
        return self._other(fields)

    def finish(self) -> None:
        """Make sure that the terminal event came. Raises BackendError."""
        if not self.ended:
            raise BackendError(502, "The backend's answer ended early.", retriable=True)

    def _fail(self, error: BackendError) -> None:
        self.ended = True
        self.error = error

    def _event(self, data: bytes) -> Sequence[Delta]:
        if len(data) > LARGE:
            return self._other(self._fields(data))
        try:
            event = text_event(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return () if data == b"[DONE]" else self._other(self._fields(data))
        type, text = event.type, event.delta
        if text is not None and type in TEXTS and not event.logprobs:
            part_index = event.content_index if event.summary_index is None else event.summary_index
            return (RelayedText(type, text, event.item_id, event.output_index, part_index or 0),)
        if type in LIFE and len(data) <= LARGE_EVENT and data.isascii() and not too_deep(data):
            return _OF_LIFE[type]  # nothing else of it is read: with all tools and instructions it may be long
        return self._other(self._fields(data))

    def _fields(self, data: bytes) -> dict[str, Any]:
        """Decode an event whole: what is wrong with it is seen here, and names and numbers are written anew."""
        if len(data) > LARGE and data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_VALUES:
            raise BackendError(502, "An event of the backend's stream holds too many values.")
        if len(data) > LARGE_EVENT and has_more_containers(MOST_CONTAINERS, data):
            raise BackendError(502, "An event of the backend's stream holds too many arrays and objects.")
        try:
            fields = _anything(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            fields = self._mended(data)
        if not isinstance(fields, dict):
            raise BackendError(502, "The backend sent an event that is not an object.")
        if too_deep(data):
            raise BackendError(502, "The backend sent an event that is nested too deeply.")
        if len(data) > LARGE_EVENT and has_more_containers(MOST_OF_OUTPUT, data):
            _check_output(fields)
        return fields

    def _mended(self, data: bytes) -> object:
        """Decode what is refused for its halves of characters. Raises BackendError for anything else."""
        try:
            if b"\\u" in data:
                if self._halves is None:
                    self._halves = Halves()
                mended: object = self._halves.mend(read_json(data))
                return mended
        except (ValueError, RecursionError):
            pass
        raise BackendError(502, "The backend sent an event that is not valid JSON.")

    def _other(self, fields: dict[str, Any]) -> Sequence[Delta]:
        type = fields.get("type")
        if not isinstance(type, str):
            if fields.get("object") == "response":
                return self._whole(fields)
            if not (fields.get("error") or words_of(fields).message):
                raise wrong("it has no type")
            type = "error"
        if type in ("error", "response.error"):
            raise told_error(fields)
        if type == "response.done" and isinstance(fields.get("response"), dict):
            return self._whole({"object": "response", **fields["response"]})
        if type in _OF_ITEMS and fields.get("item") is None:
            return ()
        if not _TYPE.fullmatch(type):
            raise wrong("its type is not the name of an event")
        if type in TEXTS:
            return (_piece(type, fields),)
        if self.begun:
            fields = _without(self.begun, fields)
        if "item" in fields:
            fields["item"] = self._own(fields["item"])
        if type not in ENDS:
            return (Relay(type, fields),)
        response = response_of(fields)
        if isinstance(response.get("output"), list):
            response["output"] = [self._own(item) for item in response["output"]]
        return self._end(type, response, fields)

    def _own(self, item: object) -> object:
        """Return an item with the name and type that its tool was declared with, and an id that no earlier call has."""
        if not isinstance(item, dict) or not isinstance(item.get("call_id"), str):
            return item
        own = {**item, "call_id": self._fresh(item["call_id"])}
        return as_custom(self._named(own) if str(item.get("type")) in _NAMED else own, self._custom_tools)

    def _fresh(self, call_id: str) -> str:
        """Return the id that stands for one of the server's."""
        if call_id not in self._calls and len(self._calls) < MOST_OF_OUTPUT:
            if self._ids is None:
                self._ids = FreshIds(call_ids(self._history))
            self._calls[call_id] = self._ids.take(call_id)
        return self._calls.get(call_id, call_id)

    def _named(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return a call under the name that it means."""
        meant = self._meant(good_name(item.get("name")), good_name(item.get("namespace")))
        if meant is None:
            return item
        named = {**item, "name": meant.name}
        named.pop("namespace", None)
        return named if meant.namespace is None else {**named, "namespace": meant.namespace}

    def _meant(self, name: str, namespace: str) -> Target | None:
        """Return the client's tool that a call means by a name; None where it has that name, or where there is none."""
        if self._tools is None:
            self._tools = self._offered()
        offer = self._tools.meant(f"{namespace}__{name}" if namespace else name)
        if offer is None or offer.target.kind not in (FUNCTION, CUSTOM):
            return None
        same = (offer.target.name, offer.target.namespace or "") == (name, namespace)
        return None if same else offer.target

    def _end(self, type: str, response: dict[str, Any], fields: dict[str, Any]) -> Sequence[Delta]:
        if has_failed(type, response):
            self._fail(told_error(response.get("error")))
            usage = usage_of(response.get("usage"))
            return () if usage is None else (UsageReport(usage),)
        self.ended = True
        if self._most_tokens is not None and type == "response.completed":
            usage = usage_of(response.get("usage"))
            if usage is not None and usage.output_tokens >= self._most_tokens:
                type = "response.incomplete"
        return (Relay(type, fields),)


def _check_output(fields: dict[str, Any]) -> None:
    """Raise BackendError where an event, or a response that came whole, has too much output."""
    response = fields.get("response")
    holder = response if isinstance(response, dict) else fields
    said = [holder.get(name) for name in ("output", "item", "part", "annotation", "logprobs", "content")]
    if has_more_containers(MOST_OF_OUTPUT, to_json(said)):
        raise BackendError(502, "The output in an event of the backend's stream holds too many arrays and objects.")


def _piece(type: str, fields: dict[str, Any]) -> RelayedText:
    """Read a piece of text with care: its indexes may be missing, null or no indexes."""
    text = fields.get("delta")
    if not isinstance(text, str):
        raise wrong("its 'delta' is not a text")
    part_index = index_of(fields.get("summary_index" if TEXTS[type].list == "summary" else "content_index"))
    index = index_of(fields.get("output_index"))
    return RelayedText(
        type, text, good_name(fields.get("item_id")), index, part_index or 0, logprobs_of(fields.get("logprobs"))
    )
