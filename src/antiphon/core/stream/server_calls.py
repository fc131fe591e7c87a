"""ServerCalls: the calls that this server runs itself within one Response, from their first fragment to their result."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import APPROVAL_REQUEST_PREFIX, BY_NAME, MCP
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.tool_writers import ReadyWriter, ServerCallWriter, approval_request

LIMIT_REACHED = "The call was not made: the request's max_tool_calls is reached."

Place = Callable[[str], tuple[str, int]]
Keep = Callable[[int, bytes], None]
NeedsApproval = Callable[[str, str], bool]
SignId = Callable[[str, str, str, str], str]
"""An item's id, a server's label, a tool's name and the arguments → the id with its signature."""


class PendingCall(msgspec.Struct, frozen=True):
    """A call that waits for the engine; `arguments` is JSON text."""

    key: str
    server_label: str
    name: str
    arguments: str


class _Call:
    """One call. It has no writer, and no place among the items, until it is known not to need an approval."""

    __slots__ = ("pieces", "start", "writer")

    def __init__(self, start: CallStart, writer: ServerCallWriter | None) -> None:
        self.start = start
        self.writer = writer
        self.pieces: list[str] = []


class ServerCalls:
    """Owns the open calls. `place` gives an item's id and index, `keep` takes the closed item."""

    def __init__(self, emitter: Emitter, place: Place, keep: Keep, limit: int | None) -> None:
        self.pending: list[PendingCall] = []
        self.needs_approval: NeedsApproval | None = None
        self.sign: SignId | None = None
        self.asked = False
        self.exhausted = False
        self._emitter = emitter
        self._place = place
        self._keep = keep
        self._limit = limit
        self._made = 0
        self._refused = False
        self._gathered: dict[str, _Call] = {}
        self._waiting: dict[str, _Call] = {}

    # While the model speaks

    def start(self, call: CallStart) -> None:
        """Begin a call. Its events come at once where it is known to need no approval, else with its result."""
        ask = self.needs_approval
        announced = ask is not None and not ask(call.namespace or "", call.name)
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
            if call.writer is not None:
                call.writer.end_arguments()
            if self._limit is not None and self._made >= self._limit:
                # The model is told once; if it goes on calling, the response ends.
                self.exhausted = self._refused
                self.result(key, None, LIMIT_REACHED)
                continue
            self._made += 1
            arguments = "".join(call.pieces) or "{}"
            self.pending.append(PendingCall(key, call.start.namespace or "", call.start.name, arguments))
        refused = len(gathered) > len(self.pending)
        self._refused = self._refused or refused
        return refused

    # While the engine works

    def begin_approved(self, label: str, name: str, arguments: str, request_id: str) -> str:
        """Begin a call that a person was asked about. Returns its key."""
        key = f"approved:{request_id}"
        start = CallStart(key, key, name, MCP, label, request_id)
        call = _Call(start, self._open(start))
        self._waiting[key] = call
        assert call.writer is not None
        call.writer.text(arguments or "{}")
        call.writer.end_arguments()
        return key

    def result(self, key: str, output: str | None, error: str | None) -> None:
        """End a call with its output, or with the error instead of one."""
        call = self._take(key)
        writer = call.writer
        if writer is None:
            writer = self._open(call.start)
            if call.pieces:
                writer.text("".join(call.pieces))
            writer.end_arguments()
        self._keep(writer.index, writer.result(output, error))

    def require_approval(self, key: str) -> None:
        """Ask a person instead of making the call."""
        call = self._take(key)
        self.asked = True
        if call.writer is not None:
            self._keep(call.writer.index, call.writer.close("incomplete"))
        item_id, index = self._place(APPROVAL_REQUEST_PREFIX)
        arguments = "".join(call.pieces) or "{}"
        if self.sign is not None:
            item_id = self.sign(item_id, call.start.namespace or "", call.start.name, arguments)
        item = to_json(approval_request(item_id, call.start, arguments))
        ReadyWriter(self._emitter, item_id, index).write(item)
        self._keep(index, item)

    def close(self) -> None:
        """End what is open: the response ends. Calls that were not announced are not mentioned."""
        for call in (*self._gathered.values(), *self._waiting.values()):
            if call.writer is not None:
                self._keep(call.writer.index, call.writer.close("incomplete"))
        self._gathered.clear()
        self._waiting.clear()
        self.pending.clear()

    def _open(self, call: CallStart) -> ServerCallWriter:
        kind = BY_NAME[call.kind]
        assert kind.serve is not None
        return kind.serve(self._emitter, *self._place(kind.prefix), call)

    def _take(self, key: str) -> _Call:
        self.pending = [call for call in self.pending if call.key != key]
        return self._waiting.pop(key)
