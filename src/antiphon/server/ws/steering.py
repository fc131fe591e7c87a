"""Steering: input that a client queues for a response while it runs (`response.steer`).

The response ends at its next safe boundary, or by itself; then a successor with the same settings and the queued input is
made. If the response waits for the client's tool results, the input is kept until the client sends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import FUNCTION, OWED
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.validation import decode
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.errors import AntiphonError, APIError
from antiphon.responses.run import Run
from antiphon.responses.services import Services
from antiphon.responses.sink import Sink
from antiphon.server.ws.budget import Budget
from antiphon.types.events import Event
from antiphon.types.items import Message

MOST_PENDING = 16
MOST_STEERED = 64  # responses for which input waits


class SteerMessage(msgspec.Struct):
    """The client's event."""

    previous_response_id: str
    input: str | list[Raw]


class _OwedCall(msgspec.Struct):
    type: str
    id: str = ""
    call_id: str = ""
    name: str = ""


class Steered(msgspec.Struct):
    """One accepted submission; `size` is the bytes of its message."""

    id: str
    target: str
    input: list[Raw]
    size: int


class RunningLane(Protocol):
    """A lane with its running response."""

    run: Run | None

    @property
    def sink(self) -> Sink:
        """Where its events go."""
        ...


class SteerRefused(AntiphonError):
    """A submission that was not accepted; `event` tells the client why."""

    def __init__(self, event: Event, sink: Sink | None) -> None:
        super().__init__()
        self.event = event
        self.sink = sink


_message = msgspec.json.Decoder(SteerMessage)
_call = msgspec.json.Decoder(_OwedCall)
_fields = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])


class Steering:
    """The submissions of one connection."""

    def __init__(self, services: Services, budget: Budget) -> None:
        self._services = services
        self._budget = budget
        self._pending: dict[str, list[Steered]] = {}

    def take(self, message: bytes, running: Mapping[str, RunningLane]) -> None:
        """Accept a submission for a running response, or raise SteerRefused."""
        try:
            steer = _message.decode(message)
        except (ValueError, RecursionError):
            raise _refused("invalid_input", "'previous_response_id' and 'input' are required.", message) from None
        lane = running.get(steer.previous_response_id)
        if lane is None or lane.run is None:
            raise _refused("response_not_found", "This response is not running on this connection.", message)
        run = lane.run
        if run.stream.terminal is not None:
            raise _refused("response_already_completed", "This response has ended.", message, lane.sink)
        if run.plan.conversation_id is not None or run.plan.request.context_management is not None:
            raise _refused(
                "steering_not_supported", "A response in a conversation cannot be steered.", message, lane.sink
            )
        waiting = self._pending.get(steer.previous_response_id, [])
        if len(waiting) >= MOST_PENDING or len(self._pending) > MOST_STEERED:
            raise _refused("too_many_pending_steers", "Too much steering input is waiting.", message, lane.sink)
        accepted = Steered(
            f"steer_{self._services.new_id_base()}",
            steer.previous_response_id,
            _user_messages(steer, message, lane.sink),
            len(message),
        )
        try:
            self._budget.reserve(accepted.size)
        except APIError as error:
            raise _refused("too_many_pending_steers", error.message, message, lane.sink) from None
        self._pending[accepted.target] = [*waiting, accepted]
        run.steer()
        lane.sink.send([_event(run.stream, "response.steer.accepted", _about(accepted))])

    def joined(self, body: bytes) -> bytes:
        """Put input that waited for a response in front of the input of the request that continues it."""
        fields = _fields.decode(body)
        previous = fields.get("previous_response_id")
        waiting = self._pending.get(_string(previous)) if previous is not None else None
        if not waiting or previous is None:
            return body
        joined = _with_input(fields, waiting)  # an input that is none is refused, and what waits goes on waiting
        self._pop(_string(previous))
        return joined

    def successor(self, body: bytes, run: Run, sink: Sink) -> bytes | None:
        """Return the request of the successor that the queued input asks for, or None."""
        target = run.plan.response.id
        waiting = self._pending.get(target)
        if not waiting:
            return None
        if run.error is not None:
            for steered in self._pop(target):
                sink.send([_failed(run.stream, steered, run.error)])
            return None
        owed = _owed(run.stream.output)
        if owed:
            for steered in waiting:
                about = {**_about(steered), "reason": "waiting_for_required_input", "required_input": owed}
                sink.send([_event(run.stream, "response.steer.pending", about)])
            return None
        fields = _fields.decode(body)
        fields["previous_response_id"] = Raw(to_json(target))
        fields.pop("input", None)
        return _with_input(fields, self._pop(target))

    def _pop(self, target: str) -> list[Steered]:
        waiting = self._pending.pop(target, [])
        self._budget.release(sum(steered.size for steered in waiting))
        return waiting


def _with_input(fields: dict[str, Raw], steered: Sequence[Steered]) -> bytes:
    """Return a request whose input begins with what was queued. Raises InvalidRequest for an input that is none."""
    queued = [item for one in steered for item in one.input]
    given = bytes(fields.get("input", b"[]"))
    if given.startswith(b'"'):
        own = [Raw(b'{"type":"message","role":"user","content":%b}' % given)]
    else:
        own = decode(_array, given, "input")
    return to_json({**fields, "input": [*queued, *own]})


def _string(value: Raw) -> str:
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""


def _user_messages(steer: SteerMessage, message: bytes, sink: Sink) -> list[Raw]:
    if isinstance(steer.input, str):
        return [Raw(to_json({"type": "message", "role": "user", "content": steer.input}))]
    try:
        items = decode_items(steer.input)
    except APIError as error:
        raise _refused("invalid_input", error.message, message, sink) from None
    if not items or not all(isinstance(item, Message) and item.role == "user" for item in items):
        raise _refused("invalid_input", "Invalid 'input': only user messages can steer a response.", message, sink)
    return steer.input


def _owed(output: Sequence[bytes]) -> list[dict[str, str]]:
    """Return the tool results that the client has to send first, each as its type and call id."""
    owed = []
    calls = [_call.decode(item) for item in output]
    given = {(call.type, call.call_id) for call in calls}  # a shell in a container has its output already
    for call in calls:
        kind = OWED.get(call.type)
        if kind is not None and (kind.owes, call.call_id) in given:
            continue
        if kind is not None and kind.owed_by == "id":
            owed.append({"type": kind.owes, "approval_request_id": call.id})
        elif kind is not None:
            stub = {"type": kind.owes, "call_id": call.call_id}
            owed.append({**stub, "name": call.name} if kind.name == FUNCTION else stub)
    return owed


def _about(steered: Steered) -> dict[str, object]:
    return {"steer": {"id": steered.id, "previous_response_id": steered.target}}


def _event(stream: ResponseStream, type: str, fields: dict[str, object]) -> Event:
    return stream.note(type, to_json(fields)[1:-1])


def _failed(stream: ResponseStream, steered: Steered, error: APIError) -> Event:
    about = {"id": steered.id, "previous_response_id": steered.target, "input": steered.input}
    why = {"type": "invalid_request_error", "code": "successor_creation_failed", "message": error.message}
    return _event(stream, "response.steer.failed", {"steer": about, "error": why})


def _refused(code: str, words: str, message: bytes, sink: Sink | None = None) -> SteerRefused:
    fields = _fields.decode(message)
    body = {
        "type": "response.steer.failed",
        "error": {"type": "invalid_request_error", "code": code, "message": words},
        "steer": {
            "previous_response_id": fields.get("previous_response_id", Raw(b'""')),
            "input": fields.get("input", Raw(b'""')),
        },
        "sequence_number": 0,
    }
    return SteerRefused(Event("response.steer.failed", to_json(body)), sink)
