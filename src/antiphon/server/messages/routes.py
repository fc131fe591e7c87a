"""The handlers of `/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.writer_table import Dialect, WriterTable
from antiphon.core.tools.results import ToolResult
from antiphon.responses.intake.abilities import EFFORT
from antiphon.responses.intake.intake import Intake
from antiphon.responses.plan import FailedCall, Plan
from antiphon.responses.prepare import Prepared, Preparer
from antiphon.responses.services import Services
from antiphon.server.api.admin import Ring
from antiphon.server.api.counting import ESTIMATED
from antiphon.server.api.foreground import Foreground, ignored_header
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Header, Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.server.messages.answer import AnswerTerms
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.server.messages.emitter import CallBlock, MessagesEmitter, TextBlock, ThinkingBlock
from antiphon.server.messages.errors import FORM
from antiphon.server.messages.limit_headers import limit_headers
from antiphon.server.messages.models import ModelNames
from antiphon.server.messages.past_messages import PastMessages
from antiphon.server.messages.relay import MessagesRelayer, betas_of
from antiphon.server.messages.server_blocks import ServerCallBlock, ServerResultBlock
from antiphon.types.items import InputText, Message

SESSION = b"x-claude-code-session-id"
AGENT = b"x-claude-code-agent-id"
MCP_CLIENT = "mcp-client-"
LISTINGS = "mcp-client-2026-09-15"
"""The beta of MCP servers that has listings of their tools, and later ones."""

BINDING = "thinking-binding-controls-"
SEARCHES, THINKING = "web_search", "thinking"
LONGEST_QUERY = 400


class MessagesRoutes:
    """The handlers."""

    def __init__(
        self, services: Services, intake: Intake, foreground: Foreground, names: ModelNames, ring: Ring
    ) -> None:
        self._services = services
        self._intake = intake
        self._foreground = foreground
        self._names = names
        self._relayer = MessagesRelayer(services, names, ring)

    async def create(self, request: Request) -> Reply | None:
        """POST /v1/messages: a Message, or its events. A backend that speaks this API gets the request as it is."""
        body = await request.body(checked=False)
        relayed, reply = await self._relayer.relay(request, body)
        if relayed:
            return reply
        decoder = self._decoder(request, session=_session(request))
        preparer = Preparer(self._services, self._intake, decoder, _dialect(decoder.told))
        prepared = await preparer.prepare(body, request.caller, request_hints(request))
        if decoder.searches_only and SEARCHES in prepared.plan.ignored:
            prepared = replace(prepared, plan=replace(prepared.plan, failed=[_no_search(prepared.plan)]))
        plan, told = prepared.plan, decoder.told
        told.window = plan.route.card.context_length
        _take_betas(told, betas_of(request), decoder.dropped)
        told.seal, told.request_id = plan.options.seal_found, request.request_id
        if told.thinks and not plan.route.card.capabilities.reasoning:
            plan = replace(plan, ignored=[*(name for name in plan.ignored if name != EFFORT), THINKING])
            prepared = replace(prepared, plan=plan)
        told.estimate = partial(self._services.estimator.estimate, plan.turn)
        limits = limit_headers(prepared.permit.headers, self._services.clock())
        headers = [*prepared.permit.headers, *limits, *_told_headers(request, prepared, decoder)]
        if not plan.request.stream:
            run = preparer.run(prepared, mute=True)
            return await self._foreground.whole(request, run, headers)
        await self._foreground.stream(request, preparer.run(prepared), headers, last=b"")
        return None

    async def count_tokens(self, request: Request) -> Reply:
        """POST /v1/messages/count_tokens: counted as the answer's usage would be. No limit is touched."""
        body = await request.body(checked=False)
        relayed = await self._relayer.count(request, body)
        if relayed is not None:
            return relayed
        decoder = self._decoder(request, counting=True)
        preparer = Preparer(self._services, self._intake, decoder)
        plan = await preparer.plan_to_count(body, request.caller)
        count = await self._services.counter.count(plan.route, plan.turn)
        headers = [(b"x-request-id", request.request_id.encode()), *ignored_header(plan.ignored)]
        fields: dict[str, object] = {"input_tokens": count.tokens}
        if decoder.told.beta and decoder.told.edits is not None:
            cleared = sum(int(str(edit["cleared_input_tokens"])) for edit in decoder.told.edits)
            fields["context_management"] = {"original_input_tokens": count.tokens + cleared}
        return json_reply(fields, headers=[*headers, ESTIMATED] if count.estimated else headers)

    def _decoder(self, request: Request, *, session: str = "", counting: bool = False) -> MessagesRequestDecoder:
        past = PastMessages(self._services.inputs, request.owner)
        beta = request.query.get("beta", ("",))[-1] == "true"
        return MessagesRequestDecoder(self._names.resolve, session=session, beta=beta, counting=counting, past=past)


def _dialect(told: AnswerTerms) -> Dialect:
    """Return the Emitter and the Writers of one request."""
    writers = WriterTable(
        message=TextBlock,  # type: ignore[arg-type]  # its own Emitter
        reasoning=partial(ThinkingBlock, told=told),
        call=CallBlock,  # type: ignore[arg-type]  # its own Emitter
        serve=partial(ServerCallBlock, told=told),
        serve_output=partial(ServerResultBlock, told=told),
    )
    return Dialect(
        emitter=partial(MessagesEmitter, told),
        mute=partial(MessagesEmitter, told, quiet=True),
        writers=writers,
        links=False,
    )


def _no_search(plan: Plan) -> FailedCall:
    """Return the search that a request is made for, as failed: the client learns that there is none."""
    said = next((item for item in reversed(plan.own_items) if isinstance(item, Message) and item.role == "user"), None)
    parts = said.content if said is not None and not isinstance(said.content, str) else ()
    query = next((part.text for part in reversed(parts) if isinstance(part, InputText)), "")
    arguments = to_json({"queries": [query[:LONGEST_QUERY]]}).decode()
    result = ToolResult(error="There is no web search here.", code="unavailable")
    return FailedCall(CallStart("off", "off", SEARCHES, SEARCHES), arguments, result)


def _take_betas(told: AnswerTerms, betas: Sequence[str], dropped: Sequence[str]) -> None:
    """Take note of what a client knows."""
    told.lists = any(beta.startswith(MCP_CLIENT) and beta >= LISTINGS for beta in betas)
    if any(beta.startswith(BINDING) for beta in betas):
        shared = {"type": "thinking_dropped", "reason": "model_binding_mismatch"}
        told.transformations = [{**shared, "path": path} for path in dropped]


def _told_headers(request: Request, prepared: Prepared, decoder: MessagesRequestDecoder) -> list[Header]:
    headers: list[Header] = [(b"x-request-id", request.request_id.encode())]
    most, asked = prepared.plan.turn.max_output_tokens, decoder.asked_tokens
    if asked and most is not None and most != asked:
        headers.append((b"x-antiphon-adjusted", b"max_tokens=" + to_json(most)))
    return headers


def _session(request: Request) -> str:
    """Return what the calls of one conversation have in common: sub-agents of a session have prompts of their own."""
    session, agent = request.header(SESSION), request.header(AGENT)
    if session is None:
        return ""
    return hashlib.sha256(b"%b/%b" % (session, agent or b"")).hexdigest()[:32]


def add_messages(router: RouteTable, routes: MessagesRoutes) -> None:
    """Register `/messages`."""
    router.add("POST", "/messages", routes.create, form=FORM)
    router.add("POST", "/messages/count_tokens", routes.count_tokens, form=FORM)
