"""ToolStream: the part of a ResponseStream that takes in what tools of this server do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from antiphon.core.citations.sources import Sources
from antiphon.core.deltas import AsyncTools, CallStart
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.output import Output
from antiphon.core.stream.server_calls import MayWait, PendingCall, ServerCalls
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.transitions import Stage, State
from antiphon.core.stream.writer_table import WriterTable
from antiphon.core.tools.results import NO_FIELDS, ToolResult
from antiphon.types.response import Response

MOST_WENT_ON = 16
"""Model calls of one response that go on behind asynchronous calls: a model that starts the same again and again is stopped."""


class ToolStream:
    """Calls that the server makes: begun, told, answered. `asks_client`: a call is the client's to run before anything goes on.

    `went_on`: so many model calls ended with asynchronous calls alone, and another one followed.
    """

    asks_client: bool
    went_on = 0
    _calls_async = False
    _async_tools: AsyncTools | None = None
    response: Response
    _servers: ServerCalls | None  # most responses have none, and pay nothing for them
    emitter: Emitter
    _item_list: Output
    stage: Stage
    _writers: WriterTable

    def _calls(self) -> ServerCalls:
        """Return the server's calls, from the first look at them on."""
        if self._servers is None:
            writers = self._writers
            self._servers = ServerCalls(
                self.emitter, self._item_list, self.response.max_tool_calls, writers.serve, writers.serve_output
            )
        return self._servers

    def _client_call(self, call: CallStart, terms: StreamTerms) -> CallStart:
        """Take note of a call that the client runs; return it as its item tells it."""
        if self._async_tools is None:
            self._async_tools = terms.asynchronous() if terms.asynchronous is not None else frozenset()
        if self._async_tools and not call.caller and (call.kind, call.namespace, call.name) in self._async_tools:
            self._calls_async = True
            return replace(call, asynchronous=True)
        self.asks_client = True
        return call

    def _goes_on(self, cut: bool) -> bool:
        """Tell whether the model is called again behind asynchronous calls: unless it waits for others, or did so often."""
        self._calls_async = False
        if cut or self.asks_client or self.went_on >= MOST_WENT_ON:
            return False
        self.went_on += 1
        return True

    @property
    def pending(self) -> Sequence[PendingCall]:
        """The calls that the engine has to make now."""
        return self._servers.pending if self._servers is not None else ()

    @property
    def sources(self) -> Sources:
        """What the tools have found, by number."""
        return self._calls().sources

    def open_hosted(self, openings: Mapping[str, Mapping[str, object]]) -> None:
        """Set the fields that items of hosted kinds begin with."""
        self._calls().openings = openings

    def announce_calls(self, may_wait: MayWait) -> None:
        """Stream calls from their first fragment on, if they need no approval; otherwise calls are shown at the Turn's end."""
        self._calls().may_wait = may_wait

    def begin_call(self, start: CallStart, arguments: str) -> None:
        """Begin a call that the model made in an earlier response; `tool_result` ends it."""
        self.stage.check("begin_call")
        self._calls().begin(start, arguments)

    def resume_call(self, start: CallStart) -> None:
        """Go on with a call whose item an earlier response has; `tool_result` ends it."""
        self.stage.check("begin_call")
        self._calls().resume(start)

    def inner_call(self, start: CallStart, arguments: str) -> str:
        """Begin a call that a program makes; `tool_result` ends it. Returns why it is not to be made, "" where it is."""
        self.stage.check("inner_call")
        return self._calls().begin_inner(start, arguments)

    def waits_for(self, key: str) -> bool:
        """Tell whether no call is open but this one, whose item has ended."""
        return self._calls().waits_for(key)

    @property
    def asked(self) -> bool:
        """Tell whether the client has to make calls, or to agree to some, before anything goes on."""
        return self._servers is not None and self._servers.asked

    def tool_progress(self, key: str, stage: str, fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Emit a progress event of a call, such as `searching`, with these fields."""
        self.stage.check("tool_progress")
        self._calls().progress(key, stage, fields)

    def tool_result(self, key: str, result: ToolResult) -> None:
        """End a call with what it gave."""
        self.stage.check("tool_result")
        self._calls().result(key, result)
        self._after_answer()

    def ask_instead(self, key: str, prefix: str, build: Callable[[str], tuple[str, bytes]]) -> None:
        """Ask the client instead of making a call: the response ends when the other calls are answered.

        `build` makes the item's id and JSON from the id that is given to it.
        """
        self.stage.check("ask_instead")
        self._calls().ask_instead(key, prefix, build)
        self._after_answer()

    def _after_answer(self) -> None:
        if self.stage.state is State.TOOLS and not self.pending:
            done = self.asks_client or self._calls().asked
            self.stage.state = State.DONE if done else State.TURN
