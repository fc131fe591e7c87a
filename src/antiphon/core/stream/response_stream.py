"""ResponseStream: the state machine between what a Backend says (Deltas) and what a client sees (Events).

    start() → feed(delta)* → end_turn() → action → … → finish(now) | fail(error, now) | cancel(now) → terminal

Legal calls in each state: `transitions.LEGAL`.

Where `action` is CALL_TOOLS, each of `pending` is answered by `tool_result` or `ask_instead`; then `action` is
CALL_MODEL again, or DONE where the client has to answer first.

It owns the open items, `output_index` and, through its Emitter, `sequence_number`. It does no I/O and reads no clock:
times and the random base of its ids are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.deltas import (
    AnnotationDelta,
    CallDelta,
    CallStart,
    Delta,
    Finish,
    InputRemoved,
    OpaqueDelta,
    PictureDelta,
    PlainAnswer,
    ReasoningDelta,
    RefusalDelta,
    Relay,
    RelayedText,
    TextDelta,
    UsageReport,
)
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME
from antiphon.core.relay.end import RelayedEnd, relayed_end
from antiphon.core.relay.relay import Relayer, unseen
from antiphon.core.relay.shapes import ENDS
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.open_items import OpenItems
from antiphon.core.stream.output import Output
from antiphon.core.stream.resume import Restart
from antiphon.core.stream.server_calls import PendingCall as PendingCall
from antiphon.core.stream.server_calls import ServerCalls
from antiphon.core.stream.terms import INCOMPLETE_REASONS, Action, StreamTerms, note_removed
from antiphon.core.stream.tool_stream import ToolStream
from antiphon.core.stream.tool_writers import MadeWriter, ReadyWriter
from antiphon.core.stream.transitions import Stage, State
from antiphon.core.stream.usage import add_usage, tool_usage
from antiphon.core.stream.writer_table import OPENAI_WRITERS, WriterTable
from antiphon.core.stream.writers import Growing
from antiphon.core.tools.results import ModelTexts
from antiphon.errors import APIError, BackendError
from antiphon.types.events import Event
from antiphon.types.response import IncompleteDetails, Response, ResponseError, Usage

W = TypeVar("W", bound=MadeWriter)

# Looked up once: an Enum's members cost as much as a function call.
_TURN, _DONE, _ENDED = State.TURN, State.DONE, State.ENDED


class ResponseStream(ToolStream):
    """State machine of one Response. `emitter` (its number is the one that the next event gets) and `writers` encode its events.

    `calls_client`: a call is the client's to run. `relayed`: items are another server's; `unseen`: nobody sees their events.
    """

    def __init__(
        self,
        response: Response,
        id_base: str,
        options: StreamTerms | None = None,
        emitter: Emitter | None = None,
        writers: WriterTable = OPENAI_WRITERS,
    ) -> None:
        self.response = response
        self.terminal: Event | None = None
        self.emitter = emitter if emitter is not None else Emitter()
        self._options = options or StreamTerms()
        self._item_list = Output(id_base)
        self._output = self._item_list.items
        self.stage = Stage()
        self._writers = writers
        self.items = OpenItems(self.emitter, writers, self._item_list, self._options, self.stage)
        self._servers: ServerCalls | None = None
        self._made: dict[int, MadeWriter] = {}
        self.unseen = unseen(self.emitter, writers)
        self.calls_client = self.asks_client = self.relayed = self._announced = False
        self._turn_usage: Usage | None = None
        self._finish: Finish | None = None
        self._relayer: Relayer | None = None
        self._terminal_number = -1

    @property
    def state(self) -> State:
        """Its state (`transitions.State`)."""
        return self.stage.state

    @property
    def action(self) -> Action:
        """What the driver has to do next."""
        return self.stage.state.action

    # Events

    def take(self) -> Sequence[Event]:
        """Return the Events that came up since the last call."""
        return self.emitter.take()

    def queued(self) -> None:
        """Emit `response.created` and `response.queued` for a background response that waits to be run."""
        self.stage.check("queued")
        self.stage.state = State.QUEUED
        self.response.status = "queued"
        self.emitter.queued(self.response)

    def start(self) -> None:
        """Emit `response.created` and `response.in_progress`; after `queued` the latter only."""
        self.stage.check("start")
        self.stage.state = _TURN
        queued = self.response.status == "queued"
        self.response.status = "in_progress"
        if self._announced:
            return
        self._announced = True
        standing = replace(self.response, output=[Raw(item) for item in self.output]) if self._output else self.response
        self.emitter.started(standing, queued=queued)

    def keepalive(self, position: int = 0) -> None:
        """Emit `keepalive`, which has a `sequence_number` (contract, "Stream"). `position`: the queue position."""
        self.stage.check("keepalive")
        self.emitter.keepalive(position)

    def note(self, type: str, fields: bytes) -> Event:
        """Number an event that stands beside the response, also behind its end: `"name":value,…` without braces."""
        emitter = self.emitter
        if self.terminal is not None and emitter.sequence_number == self._terminal_number:
            emitter.sequence_number += 1
        return emitter.apart(type, fields)

    def snapshot(self) -> bytes:
        """Return the response as it is now, with the items that are closed."""
        return to_json(replace(self.response, output=[Raw(item) for item in self.output]))

    def restore(self, state: Restart) -> None:
        """Restore the state of another worker's run. Items that it left open are closed by `close_restored` only."""
        self.stage.check("restore")
        self.emitter.sequence_number = state.sequence_number
        self._output[:] = state.output
        self._announced = state.announced
        if state.sequence_number and not state.announced:
            self.response.status = "queued"  # that much was told
        self.response.usage = state.usage
        self._calls().restore(state.model_texts, state.output)

    def close_restored(self, output_index: int, item: bytes) -> None:
        """Close an item that another worker left open."""
        self.stage.check("close_restored")
        self._output[output_index] = item
        self.emitter.restored(output_index, item)

    @property
    def output_begun(self) -> bool:
        """Tell whether output has been sent."""
        return bool(self._output)

    @property
    def sequence_number(self) -> int:
        """The number that the next event gets."""
        return self.emitter.sequence_number

    # One Turn

    def feed(self, delta: Delta) -> None:
        """Handle one Delta. Raises BackendError for a Delta that is not allowed here."""
        # What comes with each token or answer stands first: they are tried in this order.
        if isinstance(delta, TextDelta):
            if delta.text:
                (self.items.message or self.items.begin_message()).text(delta.text, delta.logprobs)
        elif isinstance(delta, ReasoningDelta):
            if delta.text:
                (self.items.reasoning or self.items.begin_reasoning()).text(delta.text)
        elif isinstance(delta, CallDelta):
            self._feed_call(delta)
        elif isinstance(delta, RelayedText):
            self._relayed().text(delta)
        elif isinstance(delta, Finish):
            self._finish = delta
        elif isinstance(delta, UsageReport):
            self._turn_usage = delta.usage
        elif isinstance(delta, Relay | PlainAnswer):
            self._relay(delta)
        elif isinstance(delta, CallStart):
            self._start_call(delta)
        elif isinstance(delta, RefusalDelta):
            if delta.text:
                (self.items.message or self.items.begin_message()).refusal(delta.text)
        elif isinstance(delta, OpaqueDelta):
            self.items.keep_beside(delta.opaque)
        elif isinstance(delta, InputRemoved):
            note_removed(self.response, delta)
        elif isinstance(delta, AnnotationDelta):
            if self.items.message is not None:  # without a text there is nothing that it cites
                self.items.message.annotate(delta.annotation)
        elif isinstance(delta, PictureDelta):
            self.items.add_picture(delta.data)

    def end_turn(self) -> None:
        """Close the Turn's open items and decide the next Action."""
        self.stage.check("end_turn")
        cut = not self.complete
        refused = self._servers is not None and self._end_calls(self._servers, cut=cut)
        if not cut and not self.items.spoke and not (self._relayer is not None and self._relayer.spoke):
            # A model that says nothing: no turn ends without an item or a reason.
            self.items.begin_message()
        self._close_items("incomplete" if cut else "completed")
        self.settle_usage()
        self.items.spoke = False
        self.stage.state = _TURN if refused or (self._calls_async and self._goes_on(cut)) else _DONE
        if self._servers is not None and self._servers.pending:
            self.stage.state = State.TOOLS

    def _end_calls(self, servers: ServerCalls, *, cut: bool) -> bool:
        """End the Turn of the server's calls; tell whether the model is called again only to hear that some were refused."""
        if cut:
            servers.close()
            return False
        return servers.end_turn() and not self.asks_client and not servers.exhausted

    @property
    def model_texts(self) -> ModelTexts:
        """Texts that the model sees beside items, by item id."""
        kept = self.items.kept
        return kept if self._servers is None else self._servers.texts_with(kept)

    # Items that this server makes

    def open_item(self, prefix: str, write: Callable[[Emitter, str, int], W]) -> W:
        """Begin an item that is made between model calls. Returns its writer, for `close_item`."""
        self.stage.check("open_item")
        writer = write(self.emitter, *self._item_list.allocate(prefix))
        self._made[writer.index] = writer
        return writer

    def close_item(self, writer: MadeWriter, item: bytes) -> None:
        """Keep an item that its writer has ended."""
        del self._made[writer.index]
        self._item_list.keep(writer.index, item)

    def end_without_model(self) -> None:
        """Close open items and end the response without a model call: `action` is DONE."""
        self.stage.check("end_without_model")
        self._close_items("completed")
        self.settle_usage()
        self.stage.state = State.DONE

    def add_item(self, prefix: str, build: Callable[[str], bytes], between: str = "") -> None:
        """Emit an item that is whole from the start. `build` makes its JSON from its id; `between` names an event of its own."""
        self.stage.check("add_item")
        self._close_items("completed")
        item_id, index = self._item_list.allocate(prefix)
        item = build(item_id)
        ReadyWriter(self.emitter, item_id, index).write(item, between)
        self._item_list.keep(index, item)

    def compacted(self, summary: str, sealed: str) -> None:
        """Tell of a compaction, beside its item, where a front end shows the summary; `sealed` is what the item holds."""
        self.emitter.compacted(summary, sealed)

    @property
    def complete(self) -> bool:
        """Tell whether the last Turn came to its own end, rather than being cut off."""
        return (
            self._finish is None or self._finish.reason not in INCOMPLETE_REASONS
        )  # a backend of another package may give any text

    def end_steered(self) -> None:
        """End the response before its next model call, as steered: a successor continues."""
        self.stage.check("end_steered")
        self.stage.state = State.DONE

    # The end

    def finish(self, now: int) -> bytes:
        """Complete the response; `terminal` is then its last Event. Returns the response as JSON."""
        self.stage.check("finish")
        reason = INCOMPLETE_REASONS.get(self._finish.reason) if self._finish is not None else None
        if reason:
            self.response.incomplete_details = IncompleteDetails(reason)
        if self._finish is not None and self._finish.service_tier:
            self.response.service_tier = self._finish.service_tier
        return self._terminate("incomplete" if reason else "completed", now)

    def fail(self, error: APIError, now: int) -> bytes:
        """End the response with an error, also after `finish` if its terminal Event has not been sent yet."""
        self.stage.check("fail")
        self._end_items()
        self.emitter.failed(error)
        self.response.incomplete_details = None
        self.response.error = ResponseError(
            error.code or error.type, error.message, param=error.param or None, type=error.type
        )
        return self._terminate("failed", now)

    def cancel(self, now: int) -> bytes:
        """End the response at the client's wish: its status is `cancelled`, its last event `response.incomplete`."""
        self.stage.check("cancel")
        self._end_items()
        return self._terminate("cancelled", now)

    def _end_items(self) -> None:
        self._close_items("incomplete")
        if self._servers is not None:
            self._servers.close()
        for index, writer in self._made.items():
            self._item_list.keep(index, writer.close("incomplete"))
        self._made.clear()
        self.settle_usage()

    def _terminate(self, status: str, now: int) -> bytes:
        self.stage.state = _ENDED
        self.response.status = status
        self.response.completed_at = now if status == "completed" else None
        self.response.output = [Raw(item) for item in self._output if item is not None]
        if self._servers is not None and self._servers.hosted_made:
            self.response.tool_usage = tool_usage(self.output, self._servers.pictures)
        self._terminal_number = self.emitter.sequence_number
        body, self.terminal = self.emitter.ended(self.response, self._finish)
        return body

    @property
    def output(self) -> list[bytes]:
        """The closed items as JSON, in the order of `output_index`."""
        return [item for item in self._output if item is not None]

    # Open items

    def _start_call(self, call: CallStart) -> None:
        self.items.before_call()
        if BY_NAME[call.kind].write is None:
            self._calls().start(call)
            return
        self.calls_client = True
        self.items.begin_call(self._client_call(call, self._options))

    def _feed_call(self, delta: CallDelta) -> None:
        if self.items.feed_call(delta):
            return
        if self._servers is None or not self._servers.text(delta.key, delta.text):
            raise BackendError(502, "The backend sent arguments for a tool call that is not open.")

    def _close_items(self, status: str) -> None:
        self.items.close(status)
        if self._relayer is not None:
            self._relayer.close(status)

    def settle_usage(self) -> None:
        """Add the counts of the Turn, or of a call beside the Turns."""
        if self._turn_usage is not None:
            self.response.usage = add_usage(self.response.usage, self._turn_usage)
            self._turn_usage = None

    # Backends that speak Responses

    def _relayed(self) -> Relayer:
        if self._relayer is None:
            self.relayed = True
            self._relayer = Relayer(self.emitter, self._writers, self._item_list, self._options)
        return self._relayer

    def relayed_text(self, like: RelayedText) -> Growing | None:
        """Return the text of another server's item that such a Delta goes on with, while it grows by nothing but deltas."""
        return self._relayer.growing(like) if self._relayer is not None else None

    def _relay(self, delta: Relay | PlainAnswer) -> None:
        if isinstance(delta, Relay) and delta.type not in ENDS:
            self._relayed().event(delta)
        else:
            self._relay_end(delta if isinstance(delta, PlainAnswer) else relayed_end(delta))

    def _relay_end(self, end: RelayedEnd | PlainAnswer) -> None:
        """End the Turn by the other server's last event. Raises BackendError for an empty answer."""
        if end.usage is not None:
            self._turn_usage = end.usage
        self._finish = Finish(end.reason, service_tier=end.service_tier)
        relayer = self._relayed()
        if isinstance(end, PlainAnswer):
            relayer.plain(end.items)
        else:
            relayer.end(end.output)
        if not self.items.spoke and not relayer.spoke and end.usage is None:
            raise BackendError(502, "The backend ended its answer without any output.")
