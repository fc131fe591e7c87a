"""ServerCalls: the calls that this server runs itself within one Response, from their first fragment to their result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.citations.sources import Sources
from antiphon.core.deltas import CallKind, CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import APPROVAL_REQUEST_PREFIX, BY_NAME, CALLED, ITEMS
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.output import Output
from antiphon.core.stream.tool_writers import ReadyWriter, ServeCall, ServerCallWriter
from antiphon.core.stream.usage import add_pictures
from antiphon.core.tools.results import AskedCall, BuildItem, ModelText, ModelTexts, ToolResult
from antiphon.types.response import PictureUsage

LIMIT_REACHED = "The call was not made: the request's max_tool_calls is reached."
MOST_HOSTED = 20
"""Calls of hosted tools in one response whose request has no `max_tool_calls`: a page that was read must not loop a model."""
MOST_REACHED = (
    f"The call was not made: a response makes at most {MOST_HOSTED} such calls, unless max_tool_calls says otherwise."
)

MayWait = Callable[[CallStart], bool]
"""Tells whether a call may turn out to be one that a person has to agree to: nothing is told of it before that is known."""


class _Typed(msgspec.Struct):
    type: str = ""


_typed = msgspec.json.Decoder(_Typed)


class PendingCall(msgspec.Struct, frozen=True):
    """A call that waits for the engine. `namespace` is its server's label, `arguments` is JSON text."""

    key: str
    kind: CallKind
    namespace: str
    name: str
    arguments: str
    call_id: str = ""


class _Call:
    """One call. It has no writer, and no `output_index`, until it is known that it will be made.

    `told`: its item has ended, as its result is an item of its own, which is opened when there is something to tell.
    """

    __slots__ = ("pieces", "start", "told", "writer")

    def __init__(self, start: CallStart, writer: ServerCallWriter | None) -> None:
        self.start = start
        self.writer = writer
        self.told = False
        self.pieces: list[str] = []


class ServerCalls:
    """Owns the open calls. `output` gives an item its id and `output_index`, and takes it when it is closed.

    `model_texts` holds what the model sees of the items that do not say it themselves, `sources` what they name. `openings` are
    fields that a kind's items begin with. `serve` makes the calls' writers where a front end has its own.
    """

    def __init__(
        self,
        emitter: Emitter,
        output: Output,
        limit: int | None,
        serve: ServeCall | None = None,
        serve_output: ServeCall | None = None,
    ) -> None:
        self.pending: list[PendingCall] = []
        self.may_wait: MayWait | None = None
        self.asked = False
        self.exhausted = False
        self.model_texts: dict[str, ModelText] = {}
        self.sources = Sources()
        self.openings: Mapping[str, Mapping[str, object]] = {}
        self.hosted_made = 0
        self.pictures = PictureUsage()
        self._emitter = emitter
        self._allocate = output.allocate
        self._keep = output.keep
        self._serve = serve
        self._serve_output = serve_output
        self._limit = limit
        self._made = 0
        self._refused = False
        self._gathered: dict[str, _Call] = {}
        self._waiting: dict[str, _Call] = {}
        self._item_ids: dict[str, str] = {}

    # While the model speaks

    def start(self, call: CallStart) -> None:
        """Begin a call. Its events come at once where it is known that it will be made, else with its result."""
        announced = self.may_wait is not None and not self.may_wait(call)
        self._gathered[call.key] = _Call(call, self._open(call) if announced else None)

    def text(self, key: str, text: str) -> bool:
        """Append to a call's arguments; False where the key is none of these calls."""
        call = self._gathered.get(key)
        if call is None:
            return False
        if text:
            call.pieces.append(text)
            if call.writer is not None:
                call.writer.text(text)
        return True

    def end_turn(self) -> bool:
        """Hand the calls over to the engine; those beyond the limit fail. Tells whether there were such."""
        gathered, self._gathered = self._gathered, {}
        for key, call in gathered.items():
            self._waiting[key] = call
            self._end_arguments(call)
            start = call.start
            refusal = self._refusal(start)
            if refusal:
                # The model is told once; if it goes on calling, the response ends.
                self.exhausted = self._refused
                self.result(key, ToolResult(error=refusal))
                continue
            self._made += 1
            arguments = "".join(call.pieces) or "{}"
            self.pending.append(
                PendingCall(key, start.kind, start.namespace or "", start.name, arguments, start.call_id)
            )
        refused = len(gathered) > len(self.pending)
        self._refused = self._refused or refused
        return refused

    def _refusal(self, call: CallStart) -> str:
        """Return why a call is not made, "" where it is; it counts then."""
        if self._limit is not None and self._made >= self._limit:
            return LIMIT_REACHED
        if BY_NAME[call.kind].runs == "hosted":
            if self._limit is None and self.hosted_made >= MOST_HOSTED:
                return MOST_REACHED
            self.hosted_made += 1
        return ""

    # While the engine works

    def begin(self, start: CallStart, arguments: str) -> None:
        """Begin a call that the model made in an earlier response; `arguments` is JSON text."""
        call = _Call(start, self._open(start))
        self._waiting[start.key] = call
        assert call.writer is not None
        call.writer.text(arguments or "{}")
        self._end_arguments(call)

    def begin_inner(self, start: CallStart, arguments: str) -> str:
        """Begin a call that a program makes, which counts as others do. Returns why it is not to be made, "" where it is."""
        refusal = self._refusal(start)
        if not refusal:
            self._made += 1
            self.begin(start, arguments)
        return refusal

    def waits_for(self, key: str) -> bool:
        """Tell whether no call is open but this one, whose item has ended."""
        return not self._gathered and self._waiting.keys() == {key} and self._waiting[key].told

    def progress(self, key: str, stage: str, fields: Mapping[str, object]) -> None:
        """Emit a progress event of a call."""
        call = self._waiting[key]
        self._opened(call).progress(stage, fields)

    def result(self, key: str, result: ToolResult) -> None:
        """End a call with what it gave, or leave it for a later response, where the client has to make other calls first."""
        call = self._take(key)
        if result.asks:
            self._ask_client(call, result.asks)
            return
        writer = self._opened(call)
        text = result.model_text
        if result.pictures is not None:
            self.pictures = add_pictures(self.pictures, result.pictures)
        if BY_NAME[call.start.kind].runs == "hosted":
            told = self.sources.told(text, result.passages, result.files)
            if text is None and result.error is not None:
                told = replace(told, text=f"Error: {result.error}")
            hidden = {name: Raw(to_json(value)) for name, value in result.hidden.items()}
            self.model_texts[writer.item_id] = ModelText(told.text, told.sources, hidden=hidden)
            result = replace(result, told=told)
        elif text is not None:
            self.model_texts[writer.item_id] = ModelText(text)
        self._keep(writer.index, writer.result(result))

    def resume(self, start: CallStart) -> None:
        """Begin to wait for the result of a call whose item an earlier response has."""
        call = _Call(start, None)
        call.told = True
        self._waiting[start.key] = call

    def _ask_client(self, call: _Call, asks: Sequence[AskedCall]) -> None:
        self.asked = True
        if not call.told:
            call.writer = call.writer or self._open(call.start)
            call.writer.text("".join(call.pieces))
            self._end_arguments(call)
        for ask in asks:
            if ask.request is not None:
                self._ask_person(APPROVAL_REQUEST_PREFIX, ask.request)
                continue
            kind = BY_NAME[ask.kind]
            assert kind.write is not None
            start = CallStart(
                ask.call_id, ask.call_id, ask.name, ask.kind, namespace=ask.namespace, caller=call.start.call_id
            )
            writer = kind.write(self._emitter, *self._allocate(kind.prefix), start)
            writer.text(ask.arguments)
            self._keep(writer.index, writer.close("completed"))

    def ask_instead(self, key: str, prefix: str, build: BuildItem) -> None:
        """Replace a call by an item that asks the client; `build` makes its id and JSON from the id given to it."""
        call = self._take(key)
        self.asked = True
        if call.writer is not None:
            self._keep(call.writer.index, call.writer.close("incomplete"))
        self._ask_person(prefix, build)

    def _ask_person(self, prefix: str, build: BuildItem) -> None:
        given, index = self._allocate(prefix)
        item_id, item = build(given)
        ReadyWriter(self._emitter, item_id, index).write(item)
        self._keep(index, item)

    def close(self) -> None:
        """End what is open: the response ends. Calls that were not announced are not mentioned."""
        for call in (*self._gathered.values(), *self._waiting.values()):
            writer = self._opened(call) if call.told else call.writer  # what was called is answered, even with nothing
            if writer is not None:
                self._keep(writer.index, writer.close("incomplete"))
        self._gathered.clear()
        self._waiting.clear()
        self.pending.clear()

    def texts_with(self, kept: ModelTexts) -> ModelTexts:
        """Return the texts, and what was kept of the answers: calls of this server are known there by their items' ids."""
        if not kept:
            return self.model_texts
        ids = self._item_ids
        if ids:
            named = {id: tuple(one.with_calls(ids) for one in text.opaque) for id, text in kept.items()}
            kept = {id: replace(kept[id], opaque=opaque) for id, opaque in named.items()}
        return {**self.model_texts, **kept}

    def restore(self, model_texts: ModelTexts, output: Sequence[bytes | None]) -> None:
        """Restore what a run that is taken over had done: calls, model texts, and the sources in those."""
        self.model_texts.update(model_texts)
        for text in model_texts.values():
            self.sources.load(text.sources)
        for item in output:
            kind = CALLED.get(_typed.decode(item).type) if item is not None else None
            if kind is not None and kind.serve is not None:
                self._made += 1
                self.hosted_made += kind.runs == "hosted"

    def _open(self, call: CallStart) -> ServerCallWriter:
        kind = BY_NAME[call.kind]
        assert kind.serve is not None
        item_id, index = self._allocate(kind.prefix)
        if opening := self.openings.get(kind.name):
            call = replace(call, opening=opening)
        if not kind.output:  # else the items have the call's id
            self._item_ids[call.call_id] = item_id
        return (self._serve or kind.serve)(self._emitter, item_id, index, call)

    def _end_arguments(self, call: _Call) -> None:
        """Tell that a call's arguments are whole; its item ends with them where its result is another one."""
        if call.writer is None:
            return
        call.writer.end_arguments()
        if BY_NAME[call.start.kind].serve_output is not None:
            self._keep(call.writer.index, call.writer.close("completed"))
            call.writer, call.told = None, True

    def _opened(self, call: _Call) -> ServerCallWriter:
        """Return the writer of a call's result; opens what is not open, with the fragments so far."""
        if call.writer is None and not call.told:
            call.writer = self._open(call.start)
            if call.pieces:
                call.writer.text("".join(call.pieces))
            self._end_arguments(call)
        if call.writer is None:
            kind = BY_NAME[call.start.kind]
            assert kind.serve_output is not None
            made = self._serve_output or kind.serve_output
            start = replace(call.start, opening=self.openings.get(kind.name))
            call.writer = made(self._emitter, *self._allocate(ITEMS[kind.output].prefix), start)
        return call.writer

    def _take(self, key: str) -> _Call:
        self.pending = [call for call in self.pending if call.key != key]
        return self._waiting.pop(key)
