"""Traces with OpenTelemetry's GenAI conventions: a span per Response, beneath it the model's calls and the tools'.

The names of attributes are those of the conventions of 2025-08 (semconv 1.37), pinned here: they are still in development.
No prompt, no answer and no argument is in a span, unless the operator asks for them (`otel/content`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.base import (
    ByteStream,
    MessagesCaller,
    ModelCard,
    RelayedAnswer,
    Route,
    RoutedStream,
    RouteProxy,
    Router,
    Take,
)
from antiphon.core.deltas import Delta, Finish, UsageReport
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.turn import NO_HINTS, Hints, Turn
from antiphon.errors import APIError
from antiphon.telemetry.observers import Observed, RequestRecord
from antiphon.telemetry.otel.content import input_attributes, output_attributes
from antiphon.telemetry.otlp import CLIENT, INTERNAL, SERVER, Exporter, Span, parse_parent
from antiphon.telemetry.request_record import current
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServer, ToolServerError, ToolServers
from antiphon.types.response import ModerationReport, Usage

OPERATION, MODEL = "gen_ai.operation.name", "gen_ai.request.model"
RESPONSE_ID, CONVERSATION, REASONS = "gen_ai.response.id", "gen_ai.conversation.id", "gen_ai.response.finish_reasons"
MOST_TOKENS, TEMPERATURE, TOP_P = "gen_ai.request.max_tokens", "gen_ai.request.temperature", "gen_ai.request.top_p"
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
PROVIDER, OUTPUT_TYPE = "gen_ai.provider.name", "gen_ai.output.type"
TOOL, TOOL_TYPE = "gen_ai.tool.name", "gen_ai.tool.type"
TOOL_KIND, TOOL_PROVIDER = "antiphon.tool.kind", "antiphon.tool.provider"
SESSION, USER, OWNER, KEY = "session.id", "user.id", "antiphon.owner", "antiphon.key"
FIRST_TOKEN = "gen_ai.first_token"  # noqa: S105

_current: ContextVar[Span | None] = ContextVar("antiphon_span", default=None)
"""The Response's span, in the tasks that make it."""


class Tracer:
    """Makes a span of each Response (an observer)."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._spans: dict[Observed, Span] = {}

    def started(self, run: Observed) -> None:
        """Begin the span: beneath the client's own, if it names one."""
        response = run.plan.response
        parent = parse_parent(run.plan.turn.hints.traceparent)
        span = self._spans[run] = Span(self._exporter, f"responses {response.model}", SERVER, parent)
        span.attributes = {
            OPERATION: "responses",
            PROVIDER: "antiphon",
            MODEL: response.model,
            RESPONSE_ID: response.id,
            CONVERSATION: response.conversation.id if response.conversation else None,
            "antiphon.stream": bool(run.plan.request.stream),
            "antiphon.background": response.background,
            SESSION: _session(run),
            USER: response.safety_identifier or response.user,
            OWNER: run.plan.owner,
            KEY: _key_of(run.plan.owner),
        }
        if self._exporter.content and span.context.sampled:
            span.attributes |= input_attributes(run)
        _current.set(span)

    def ended(self, run: Observed, record: RequestRecord) -> None:
        """End the span."""
        span = self._spans.pop(run, None)
        if span is None:
            return
        response = run.plan.response
        span.attributes["antiphon.status"] = response.status
        if self._exporter.content and span.context.sampled:
            span.attributes |= output_attributes(run)
        _note_usage(span, response.usage)
        if isinstance(response.moderation, ModerationReport):
            span.attributes["antiphon.moderation.flagged"] = response.moderation.flagged
        if run.spoke:
            span.note(FIRST_TOKEN, run.spoke - run.began)
        if run.error is not None:
            span.error = run.error.code or run.error.type
        span.end()


def _session(run: Observed) -> str | None:
    """Return what a response belongs to: its conversation, else what its client calls so in the metadata."""
    response = run.plan.response
    return response.conversation.id if response.conversation else response.metadata.get("session_id")


def _key_of(owner: str) -> str | None:
    """Return the id of the key that asks, where it is known in this process."""
    record = current.get()
    caller = record.caller if record is not None else None
    return (caller.key or None) if caller is not None and caller.owner == owner else None


class RequestSpans:
    """`observers.Spans` of requests that make model calls, and no Response: the calls' own are beneath them."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    @contextmanager
    def __call__(self, operation: str, model: str, traceparent: str) -> Iterator[Callable[[Usage], None]]:
        """Have a span while the block works, beneath the client's own; what is given notes the tokens."""
        span = Span(self._exporter, f"{operation} {model}", SERVER, parse_parent(traceparent))
        span.attributes = {OPERATION: operation, PROVIDER: "antiphon", MODEL: model}
        before = _current.set(span)
        try:
            yield lambda usage: _note_usage(span, usage)
        except BaseException as error:
            _end(span, error)
            raise
        finally:
            _current.reset(before)
            span.end()


class TracedRouter:
    """A Router whose routes make a span of each model call."""

    def __init__(self, router: Router, exporter: Exporter) -> None:
        self._router = router
        self._exporter = exporter

    def resolve(self, model: str) -> Route:
        """Return the Route. Raises InvalidRequest."""
        return TracedRoute(self._router.resolve(model), self._exporter)

    def cards(self) -> Sequence[ModelCard]:
        """Return all models."""
        return self._router.cards()


class TracedRoute(RouteProxy):
    """A Route that makes a span of each call, and tells the backend of it."""

    def __init__(self, route: Route, exporter: Exporter) -> None:
        super().__init__(route)
        self._exporter = exporter

    async def open(self, turn: Turn) -> RoutedStream:
        """Start a Turn within a span. Raises BackendError."""
        span = self._span(turn.hints)
        span.attributes |= {MOST_TOKENS: turn.max_output_tokens, TEMPERATURE: turn.temperature, TOP_P: turn.top_p}
        span.attributes[OUTPUT_TYPE] = "text" if turn.text.format.type == "text" else "json"
        hints = replace(turn.hints, traceparent=span.context.header())
        try:
            return TracedStream(await self._route.open(replace(turn, hints=hints)), span)
        except BaseException as error:
            _end(span, error)
            raise

    async def chat_completions(self, fields: Mapping[str, Raw], hints: Hints = NO_HINTS) -> ByteStream:
        """Relay a chat completions request within a span. Raises BackendError."""
        span = self._span(hints)
        try:
            return TracedBytes(
                await self._route.chat_completions(fields, replace(hints, traceparent=span.context.header())), span
            )
        except BaseException as error:
            _end(span, error)
            raise

    async def relay(self, request: RelayedRequest, hints: Hints = NO_HINTS) -> ByteStream:
        """Pass a request on within a span. Raises BackendError."""
        span = self._span(hints, request.operation)
        try:
            return TracedBytes(
                await self._route.relay(request, replace(hints, traceparent=span.context.header())), span
            )
        except BaseException as error:
            _end(span, error)
            raise

    async def relay_messages(
        self, fields: Mapping[str, Raw], caller: MessagesCaller, hints: Hints = NO_HINTS, *, count: bool = False
    ) -> RelayedAnswer:
        """Relay a Messages request within a span; to count tokens is no model call. Raises BackendError."""
        if count:
            return await self._route.relay_messages(fields, caller, hints, count=True)
        span = self._span(hints)
        try:
            return TracedMessages(await self._route.relay_messages(fields, caller, hints), span)
        except BaseException as error:
            _end(span, error)
            raise

    def _span(self, hints: Hints, operation: str = "chat") -> Span:
        above = _current.get()
        parent = above.context if above is not None else parse_parent(hints.traceparent)
        span = Span(self._exporter, f"{operation} {self.card.id}", CLIENT, parent)
        span.attributes = {OPERATION: operation, PROVIDER: "antiphon", MODEL: self.card.id}
        return span


class TracedStream:
    """A model call that ends its span."""

    __slots__ = ("_inner", "_silent", "_span", "backend_id")

    def __init__(self, inner: RoutedStream, span: Span) -> None:
        self.backend_id = inner.backend_id
        self._inner = inner
        self._span = span
        self._silent = True

    @property
    def ignored(self) -> Sequence[str]:
        return self._inner.ignored

    async def pour(self, take: Take) -> bool:
        """Give what comes. Raises BackendError."""

        def look(deltas: Sequence[Delta]) -> bool:
            self._look(deltas)
            return take(deltas)

        try:
            ended = await self._inner.pour(look)
        except BaseException as error:
            _end(self._span, error)
            raise
        if ended:
            self._span.end()
        return ended

    def _look(self, deltas: Sequence[Delta]) -> None:
        if self._silent:
            self._silent = False
            self._span.note(FIRST_TOKEN)
        for delta in deltas:
            if isinstance(delta, UsageReport):
                _note_usage(self._span, delta.usage)
            elif isinstance(delta, Finish):
                self._span.attributes[REASONS] = [str(delta.reason)]

    def abort(self) -> None:
        """Let go of the call."""
        self._inner.abort()
        self._span.end()


class TracedBytes:
    """A relayed answer that ends its span."""

    def __init__(self, inner: ByteStream, span: Span) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._inner = inner
        self._span = span

    async def read(self) -> bytes:
        """Return the next piece. Raises BackendError."""
        try:
            data = await self._inner.read()
        except BaseException as error:
            _end(self._span, error)
            raise
        if not data:
            self._span.end()
        return data

    def abort(self) -> None:
        """Let go of the call."""
        self._inner.abort()
        self._span.end()


class TracedMessages(TracedBytes):
    """The same for the answer to a relayed Messages request."""

    def __init__(self, inner: RelayedAnswer, span: Span) -> None:
        super().__init__(inner, span)
        self._counting = inner

    @property
    def said(self) -> int:
        """Events so far."""
        return self._counting.said

    @property
    def incomplete(self) -> bool:
        """Whether the answer was cut off."""
        return self._counting.incomplete

    def usage(self) -> Usage | None:
        """Return the token counts so far; None where there are none."""
        return self._counting.usage()


class TracedToolServers:
    """ToolServers whose calls are spans."""

    def __init__(self, servers: ToolServers, exporter: Exporter) -> None:
        self._servers = servers
        self._exporter = exporter

    async def check(self, tool: McpTool, param: str) -> None:
        """Refuse a declaration that cannot be called. Raises InvalidRequest."""
        await self._servers.check(tool, param)

    def connect(self, tool: McpTool, *, session: bool = False) -> ToolServer:
        """Return the server."""
        return TracedToolServer(self._servers.connect(tool, session=session), tool.server_label, self._exporter)


class TracedToolServer:
    """A ToolServer whose calls are spans."""

    def __init__(self, server: ToolServer, label: str, exporter: Exporter) -> None:
        self._server = server
        self._label = label
        self._exporter = exporter

    async def list(self) -> Sequence[RemoteTool]:
        """Return its tools. Raises ToolServerError."""
        span = self._span(f"list_tools {self._label}")
        try:
            return await self._server.list()
        except ToolServerError as error:
            span.error = type(error).__name__
            raise
        finally:
            span.end()

    async def call(self, name: str, arguments: str) -> ToolOutput:
        """Call a tool. Raises ToolServerError."""
        span = self._span(f"execute_tool {name}")
        span.attributes |= {OPERATION: "execute_tool", TOOL: name, TOOL_TYPE: "extension"}
        try:
            output = await self._server.call(name, arguments)
            span.error = "tool_error" if output.failed else ""
            return output
        except ToolServerError as error:
            span.error = type(error).__name__
            raise
        finally:
            span.end()

    async def close(self) -> None:
        """Disconnect."""
        await self._server.close()

    def _span(self, name: str) -> Span:
        above = _current.get()
        span = Span(self._exporter, name, INTERNAL, above.context if above is not None else None)
        span.attributes = {"antiphon.mcp.server": self._label}
        return span


def tool_span(exporter: Exporter, name: str, kind: str, provider: str) -> Span:
    """Begin the span of a hosted tool's call, beneath the Response's."""
    above = _current.get()
    span = Span(exporter, f"execute_tool {name}", INTERNAL, above.context if above is not None else None)
    span.attributes = {OPERATION: "execute_tool", TOOL: name, TOOL_TYPE: "extension", TOOL_KIND: kind}
    if provider:
        span.attributes[TOOL_PROVIDER] = provider
    return span


def _note_usage(span: Span, usage: Usage | None) -> None:
    if usage is not None:
        span.attributes |= {INPUT_TOKENS: usage.input_tokens, OUTPUT_TOKENS: usage.output_tokens}


def _end(span: Span, error: BaseException) -> None:
    """End a span that failed, or that its client left: that is no failure."""
    if isinstance(error, APIError):
        span.error = error.code or error.type
    elif isinstance(error, Exception):
        span.error = type(error).__name__
    span.end()
