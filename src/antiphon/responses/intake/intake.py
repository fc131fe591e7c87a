"""Intake: a decoded request → a Plan, all that is needed to make one Response. What can be refused is refused here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

import msgspec
from msgspec import UNSET, Raw

from antiphon.access.caller import Caller, resolve
from antiphon.access.tool_limits import ALL_RIGHTS, ToolRights, rights_of
from antiphon.backends.base import Route
from antiphon.core import compaction as compact
from antiphon.core import context, token_count
from antiphon.core.citations.sources import Source
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import NO_OPAQUE, Opaque, OpaqueData, SealedThoughts
from antiphon.core.request.configuration_updates import updated
from antiphon.core.request.echo import echo_response
from antiphon.core.request.text_format import ResolvedText
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.tools.call_thoughts import CALLS
from antiphon.core.tools.mcp_content import Senses
from antiphon.core.tools.tool_map import ignored_tools
from antiphon.core.turn import NO_HINTS, NO_OPTIONS, Hints, Turn, with_operators
from antiphon.errors import InvalidRequest
from antiphon.responses.approvals import given
from antiphon.responses.compaction import threshold
from antiphon.responses.hosted_calls import offered, told
from antiphon.responses.intake.abilities import EFFORT, check_capabilities, wants_effort
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.history import Gathering, History
from antiphon.responses.intake.hosted_tools import admitted, check_forced, run_here, tell_ignored
from antiphon.responses.intake.mcp_declarations import brings_servers, check_brought, declared_servers
from antiphon.responses.intake.media import Media, MediaForm, media_holders
from antiphon.responses.plan import Identity, Plan
from antiphon.responses.sealing import SealError
from antiphon.responses.services import Services
from antiphon.responses.structured_output import check_format
from antiphon.responses.unsealing import Unsealing
from antiphon.runtime.offload import LARGE, by_size
from antiphon.tools.base import AdmittedTool
from antiphon.types.items import Item, OtherItem, Reasoning
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from antiphon.types.tools import NamespaceTool, Tool

FORM = MediaForm(files_as_text=True, inline_images=True)  # chat models know text and images; few know files
FETCHED_THERE = MediaForm(files_as_text=True)  # for backends that fetch images themselves

MOST_ECHOED = 4 * 1024 * 1024
"""Bytes of what a response repeats of its request (tools, instructions, names): three events of a stream show it."""

NO_TOOLS: tuple[Sequence[AdmittedTool], ToolRights] = ((), ALL_RIGHTS)

SEALED = frozenset((OtherItem, Reasoning))
"""The kinds of items that may hold sealed text."""

SEALED_REASONING = "reasoning.encrypted_content"


class Intake:
    """Turns decoded requests (Asked) of all front ends into Plans."""

    def __init__(self, services: Services, media: Media) -> None:
        self._services = services
        self._media = media
        self._config = services.config
        self._gathering = Gathering(services.store.conversations, services.config)

    async def plan(
        self,
        asked: Asked,
        owner: str,
        *,
        caller: Caller | None = None,
        hints: Hints = NO_HINTS,
        history: History | None = None,
        identity: Identity | None = None,
    ) -> Plan:
        """Check and complete a request. Raises APIError with the offending field as `param`.

        A `caller` may call its own models only; without one, that was looked at before. `hints` tell where its calls are best
        answered, `history` where earlier responses are looked up, `identity` what it was called when it was first planned.
        """
        services, request, own, tools, text = self._services, asked.request, asked.items, asked.tools, asked.text
        prompted = asked.prompted
        self._check_limits(asked)
        route = resolve(services.router, request.model, caller) if caller else services.router.resolve(request.model)
        if request.file_id is not None:
            own = await self._media.attach(own, request.file_id, owner)
        seen = [*own, *prompted] if prompted else own
        can = route.card.capabilities
        strict = self._config.unsupported_parameters == "refuse" and not asked.forgiving
        if asked.size < LARGE:  # then no step is worth a detour
            check_capabilities(can, request, tools, text, seen, strict=strict)
        else:
            await by_size(asked.size, partial(check_capabilities, strict=strict), can, request, tools, text, seen)
        remote = await declared_servers(tools, caller, services.tool_servers) if tools else []
        hosted, rights = await self._hosted(request, tools, owner, caller, identity) if tools else NO_TOOLS
        source = history or services.store.responses
        own, earlier, size = await self._gathering.items(request, own, owner, source, asked.size)
        kinds = set(map(type, chain(earlier, own, prompted)))
        if OtherItem in kinds:
            if brings_servers(own) or brings_servers(earlier):
                await check_brought(own, earlier, caller, self._media.guard)
            request, text = updated(request, text, chain(earlier, own))
        if text.format.type == "json_schema":
            await check_format(text, owner, services)
        if request.include and SEALED_REASONING in request.include and not services.sealer.loaded:
            await asyncio.to_thread(services.sealer.load)
        if identity is None:
            identity = Identity(services.new_id_base(), int(services.clock()))
        plain = not (earlier or prompted or media_holders(own))
        shown = list(own) if plain else await self._shown(prompted, earlier, own, owner, route)
        approvals = given(own, shown, {tool.server_label for tool in remote}, services.sealer, owner) if remote else []
        opaque: OpaqueData = NO_OPAQUE
        sources: Sequence[Source] = ()
        earlier_sources: Sequence[Source] = ()
        if not SEALED.isdisjoint(kinds):
            seals = Unsealing(services.sealer, owner, own, _source_of(request), forgiving=asked.forgiving)
            shown = await seals.restored(shown)
            opaque, earlier_sources = seals.opaque, seals.sources
            size += seals.size
        if route.card.capabilities.reasoning and not CALLS.isdisjoint(map(type, own)):
            given_back, opaque = await services.recall.restored(
                shown, opaque, owner, services.store.responses, size, route.card.id
            )
            if given_back is not shown:
                shown, plain = given_back, False
                kinds.add(Reasoning)
        if not SEALED.isdisjoint(kinds):
            shown, opaque, added, sources = await self._gathering.with_model_texts(shown, opaque, owner, source)
            size += added
        ignored = ignored_tools(tools, run_here(hosted) if hosted else ())
        if ignored:
            tell_ignored(ignored, services.tools_off, rights)
        whole = (request, asked.extra, owner, route, tools, text, own, shown, identity, hints, ignored)
        plan = self._complete(*whole) if size < LARGE else await by_size(size, self._complete, *whole, large=True)
        if asked.options is not NO_OPTIONS or asked.ignored or asked.forgiving:
            plan = _with_options(plan, asked)
        if opaque:
            plan = msgspec.structs.replace(plan, turn=msgspec.structs.replace(plan.turn, opaque=opaque))
        if remote or hosted:
            turn = msgspec.structs.replace(plan.turn, server_tools=offered(hosted), tool_instructions=told(hosted))
            plan = msgspec.structs.replace(
                plan, turn=turn, remote=remote, hosted=hosted, rights=rights, approvals=approvals
            )
        if sources or earlier_sources:
            plan = msgspec.structs.replace(plan, sources=[*earlier_sources, *sources])
        return await self._fit(plan, size if plain else -1)

    async def _hosted(
        self,
        request: CreateResponse,
        tools: Sequence[Tool],
        owner: str,
        caller: Caller | None,
        identity: Identity | None,
    ) -> tuple[Sequence[AdmittedTool], ToolRights]:
        """Return the hosted tools of a request, and its caller's rights to them. Raises APIError."""
        services = self._services
        if not services.hosted_tools:
            return NO_TOOLS
        rights = rights_of(caller) if caller is not None else identity.rights if identity is not None else ALL_RIGHTS
        check_forced(request.tool_choice, rights, services.hosted_tools)
        return await admitted(tools, owner, services.hosted_tools, rights), rights

    async def _shown(
        self, prompted: Sequence[Item], earlier: list[Item], own: list[Item], owner: str, route: Route
    ) -> list[Item]:
        """Return what the model sees: the template's items, the history and the own input, with their media ready."""
        form = FORM if route.inline_images else FETCHED_THERE
        admitted = await self._media.admit(own, owner, form=form)
        restored = await self._media.restore(earlier, owner, form=form)
        shown = context.without_doubles(restored, admitted)
        if prompted:
            shown[:0] = await self._media.admit(prompted, owner, form=form, path="prompt.input")
        return shown

    async def _fit(self, plan: Plan, size: int) -> Plan:
        """Bring a Plan into the model's window: compaction or truncation where the request wants it, else a 400.

        `size` are the bytes in which all that the model sees has come, -1 where they do not tell.
        """
        if compact.has_trigger(plan.own_items):
            return msgspec.structs.replace(plan, compaction="trigger")
        limit = threshold(plan.request.context_management)
        if limit is not None:
            if await self._count(plan) > limit:
                return msgspec.structs.replace(plan, compaction="threshold")
            return plan
        window = plan.route.card.context_length
        # A token takes a byte at least: this fits without counting.
        if window is None or 0 <= size < window:
            return plan
        if not plan.turn.size and context.smaller_than(plan.turn.items, window):
            return plan
        return await self._fit_window(plan, window)

    async def _fit_window(self, plan: Plan, window: int) -> Plan:
        if plan.request.truncation != "auto":
            count = await plan.route.count_tokens(plan.turn)
            if count is not None and count > window:
                raise InvalidRequest(
                    f"The input has {count} tokens, but the model's context window has {window}.",
                    param="input",
                    code="context_length_exceeded",
                )
            return plan
        count = await self._count(plan)
        room = window - (plan.turn.max_output_tokens or window // 8)
        if count <= room:
            return plan
        items = await by_size(plan.turn.size, context.truncated, plan.turn.items, room / count)
        return msgspec.structs.replace(plan, turn=msgspec.structs.replace(plan.turn, items=items))

    async def _count(self, plan: Plan) -> int:
        return (await self._services.counter.count(plan.route, plan.turn)).tokens

    def _check_limits(self, asked: Asked) -> None:
        """Refuse what no decoder has to look for. Raises InvalidRequest."""
        config, request = self._config, asked.request
        limit = config.instructions_limit
        if limit and request.instructions and len(request.instructions) > limit:
            raise InvalidRequest(f"Invalid 'instructions': must be at most {limit} characters.", param="instructions")
        self._gathering.check_count(len(asked.items), "input")
        if asked.tools and _functions(asked.tools) > config.max_tools:
            raise InvalidRequest(f"A request declares at most {config.max_tools} tools.", param="tools")
        if request.background and request.store is False:
            raise InvalidRequest(
                "Invalid 'store': must not be false with 'background', as background responses are stored.",
                param="store",
            )

    def _complete(
        self,
        request: CreateResponse,
        extra: Mapping[str, Raw],
        owner: str,
        route: Route,
        tools: list[Tool],
        text: ResolvedText,
        own: list[Item],
        items: list[Item],
        identity: Identity,
        hints: Hints,
        ignored: list[str],
        *,
        large: bool = False,
    ) -> Plan:
        defaults, can = route.defaults, route.card.capabilities
        response = echo_response(
            request,
            id=f"resp_{identity.id_base}",
            created_at=identity.created_at,
            tools=tools,
            text=text,
            defaults=defaults,
            store_default=self._config.store_default,
        )
        effort = response.reasoning.effort
        if effort is not None and not route.card.capabilities.reasoning:
            effort = None
            if wants_effort(request):
                ignored = [*ignored, EFFORT]
        turn = Turn(
            model=route.card.id,
            request=request,
            instructions=request.instructions if request.instructions is not None else route.instructions,
            items=items,
            tools=tools,
            tool_choice=request.tool_choice or "auto",
            parallel_tool_calls=request.parallel_tool_calls is not False,
            text=text,
            temperature=request.temperature if request.temperature is not None else defaults.temperature,
            top_p=request.top_p if request.top_p is not None else defaults.top_p,
            max_output_tokens=response.max_output_tokens,
            reasoning_effort=effort,
            extra=with_operators(extra, route.extra_body),
            stream=bool(request.stream),
            hints=Hints(owner=owner, response=response.id, backend_id=hints.backend_id, traceparent=hints.traceparent),
            senses=Senses(images=can.images, audio=can.audio),
        )
        if large:
            _check_echo(response)
            turn = msgspec.structs.replace(turn, size=max(token_count.size_of_large(turn), LARGE))
        return Plan(
            request=request,
            owner=owner,
            route=route,
            turn=turn,
            response=response,
            id_base=identity.id_base,
            own_items=own,
            stored=response.store,
            conversation_id=response.conversation.id if response.conversation else None,
            options=self._stream_options(request, owner),
            ignored=ignored,
        )

    def _stream_options(self, request: CreateResponse, owner: str) -> StreamTerms:
        reasoning = request.reasoning
        summary = (reasoning.summary or reasoning.generate_summary) if reasoning else None
        sealed = SEALED_REASONING in (request.include or ())
        return StreamTerms(
            open_responses_names=self._config.open_responses_names,
            summarise=isinstance(summary, str) and summary != "none",
            seal=partial(self._sealed, owner) if sealed else None,
            seal_all=partial(self._sealed, owner) if sealed else None,
            seal_found=partial(self._sealed_found, owner) if sealed else None,
        )

    def _sealed(self, owner: str, text: str, opaque: Sequence[Opaque] = ()) -> str | None:
        """Return thoughts sealed for their owner, None where there are too many to be opened again."""
        try:
            if opaque:
                whole = to_json(SealedThoughts(text, tuple(opaque))).decode()
                return self._services.sealer.seal(whole, "thoughts", owner)
            return self._services.sealer.seal(text, "reasoning", owner)
        except SealError:
            return None

    def _sealed_found(self, owner: str, text: str) -> str | None:
        try:
            return self._services.sealer.seal(text, "found", owner)
        except SealError:
            return None


def _with_options(plan: Plan, asked: Asked) -> Plan:
    """Return a Plan with what a CreateResponse has no field for."""
    most, window = plan.turn.max_output_tokens, plan.route.card.context_length
    if asked.forgiving and most is not None and window is not None:
        most = min(most, window)
    turn = msgspec.structs.replace(plan.turn, options=asked.options, max_output_tokens=most)
    return msgspec.structs.replace(plan, turn=turn, ignored=[*asked.ignored, *plan.ignored])


def _check_echo(response: Response) -> None:
    """Raise InvalidRequest where a response repeats too much of its request; `param` is the field that has most of it."""
    sizes = {
        name: len(to_json(value)) for name, value in msgspec.structs.asdict(response).items() if value is not UNSET
    }
    if sum(sizes.values()) > MOST_ECHOED:
        largest = max(sizes, key=sizes.__getitem__)
        raise InvalidRequest(
            f"The request fields that the response repeats are larger than {MOST_ECHOED} bytes; '{largest}' has"
            f" {sizes[largest]}.",
            param=largest,
        )


def _source_of(request: CreateResponse) -> str:
    """Return the field that items before the request's own come from."""
    if request.previous_response_id is not None:
        return "previous_response_id"
    return "conversation" if request.conversation is not None else "input"


def _functions(tools: Sequence[Tool]) -> int:
    """Return how many functions the declarations may become."""
    return len(tools) + sum([max(len(tool.tools) - 1, 0) for tool in tools if type(tool) is NamespaceTool])
