"""Intake: a decoded request → a Plan, all that is needed to make one Response. What can be refused is refused here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

from msgspec import UNSET
from msgspec.structs import asdict, replace

from antiphon.access.caller import Caller, resolve
from antiphon.access.tool_limits import ALL_RIGHTS, rights_of
from antiphon.backends.base import Route
from antiphon.core import compaction as compact
from antiphon.core import context, token_count
from antiphon.core.citations.sources import Source
from antiphon.core.json_encoding import to_json
from antiphon.core.request.configuration_updates import updated
from antiphon.core.request.echo import echo_response
from antiphon.core.request.item_summary import ItemSummary, summary_of
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.tools.call_thoughts import CALLS
from antiphon.core.tools.mcp_content import Senses
from antiphon.core.tools.tool_map import ignored_tools
from antiphon.core.tools.unnamed_outputs import with_call_ids
from antiphon.core.turn import NO_HINTS, NO_OPTIONS, Hints, Turn, with_operators
from antiphon.errors import InvalidRequest
from antiphon.responses.calls.approvals import given
from antiphon.responses.calls.hosted_calls import offered, told
from antiphon.responses.compaction import threshold
from antiphon.responses.intake.abilities import EFFORT, beyond_chat, checked, untold, wants_effort
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.draft import NO_TOOLS, Draft, ToolsHere
from antiphon.responses.intake.history import Gathering, History, refers
from antiphon.responses.intake.hosted_tools import admitted, check_forced, run_here, settle_ignored, told_local_skills
from antiphon.responses.intake.mcp_declarations import check_brought, declared_servers
from antiphon.responses.intake.media import Media, MediaForm, media_holders
from antiphon.responses.intake.stream_terms import SEALED_REASONING, stream_terms
from antiphon.responses.plan import Identity, Plan
from antiphon.responses.services import Services
from antiphon.responses.structured_output import check_format
from antiphon.responses.unsealing import Unsealing
from antiphon.runtime.offload import LARGE, by_size
from antiphon.types.items import Item, OtherItem, Reasoning, UnnamedOutput
from antiphon.types.request import CreateResponse, prewarms
from antiphon.types.response import Response
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, Tool, ToolChoice

FORM = MediaForm(files_as_text=True, inline_images=True)  # chat models know text and images; few know files
FETCHED_THERE = MediaForm(files_as_text=True)  # for backends that fetch images themselves

MOST_ECHOED = 4 * 1024 * 1024
"""Bytes of what a response repeats of its request (tools, instructions, names): three events of a stream show it."""


LONG = 4096
"""Bytes of items from which on the JSON of their texts is made once."""

SEALED = frozenset((OtherItem, Reasoning))
"""The kinds of items that may hold sealed text."""

CLIENTS_OWN = frozenset((FunctionTool, CustomTool))
"""Declarations of tools that the client runs."""


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
        prompted, size, earlier = asked.prompted, asked.size, list[Item]()
        self._check_limits(asked)
        route = resolve(services.router, request.model, caller) if caller else services.router.resolve(request.model)
        if request.file_id is not None:
            own = await self._media.attach(own, request.file_id, owner)
        can, window = route.card.capabilities, route.card.context_length
        strict = self._config.unsupported_parameters == "refuse" and not asked.forgiving
        if size < LARGE:  # then no step is worth a detour
            summary = checked(can, asked, own, strict)
        else:
            summary = await by_size(size, checked, can, asked, own, strict)
        here = NO_TOOLS
        if not CLIENTS_OWN.issuperset(map(type, tools)) or (tools and isinstance(request.tool_choice, ToolChoice)):
            here = await self._admit_tools(request, tools, owner, caller, identity, route, strict)
        source = history or services.store.responses
        if refers(request, own, summary.kinds):
            own, earlier, size = await self._gathering.items(request, own, owner, source, size)
            summary = summary_of(own)
        if UnnamedOutput in summary.kinds:
            own = await by_size(size, with_call_ids, own, earlier)
            summary = summary_of(own)
        kinds = summary.kinds.union(map(type, chain(earlier, prompted))) if earlier or prompted else summary.kinds
        rare = OtherItem in kinds
        if rare:
            await check_brought(own, earlier, caller, self._media.guard)
            request, text = updated(request, text, chain(earlier, own))
        if text.format.type == "json_schema":
            await check_format(text, owner, services)
        if request.include and SEALED_REASONING in request.include and not services.sealer.loaded:
            await asyncio.to_thread(services.sealer.load)
        identity = identity or Identity(services.new_id_base(), int(services.clock()))
        plain = not (earlier or prompted or _hold_media(own, summary))
        shown = list(own) if plain else await self._shown(prompted, earlier, own, owner, route)
        draft = Draft(asked, request, text, owner, route, identity, hints, own, shown, size, plain, rare, here)
        if here.remote:
            draft.approvals = given(own, shown, {tool.server_label for tool in here.remote}, services.sealer, owner)
        if not (SEALED.isdisjoint(kinds) and CALLS.isdisjoint(kinds)):
            await self._restore(draft, source, sealed=not SEALED.isdisjoint(kinds))
        plan = self._complete(draft) if draft.size < LARGE else await by_size(draft.size, self._complete, draft)
        fits = window is None or (draft.plain and draft.size < window)  # a token takes a byte at least
        if fits and request.context_management is None and not draft.rare:
            return plan
        return await self._fit(plan, draft.size if draft.plain else -1, summary.long if draft.plain else 0)

    async def _admit_tools(
        self,
        request: CreateResponse,
        tools: Sequence[Tool],
        owner: str,
        caller: Caller | None,
        identity: Identity | None,
        route: Route,
        strict: bool,
    ) -> ToolsHere:
        """Find the tools that this server runs, and not the backend, and the caller has a right to. Raises APIError."""
        services, hosted, rights = self._services, [], ALL_RIGHTS
        remote = await declared_servers(tools, caller, services.tool_servers)
        if services.hosted_tools:
            if caller is not None:
                rights = rights_of(caller)
            elif identity is not None:
                rights = identity.rights
            check_forced(request.tool_choice, rights, services.hosted_tools)
            if not route.runs_hosted_tools:
                hosted = await admitted(tools, owner, services.hosted_tools, rights)
        ignored = ignored_tools(tools, run_here(hosted) if hosted else ()) if not route.runs_hosted_tools else []
        if ignored:
            settle_ignored(tools, ignored, services.tools_off, rights, strict=strict)
        ignored += [name for tool in hosted for name in tool.use.ignored()]
        about = "\n\n".join(filter(None, (told(hosted), told_local_skills(tools))))
        here = ToolsHere(remote, hosted, ignored, rights, about)
        return here if remote or hosted or ignored or about else NO_TOOLS

    async def _restore(self, draft: Draft, source: History, *, sealed: bool) -> None:
        """Put back what was kept beside items: sealed thoughts, thoughts of calls, what the model saw of tools' results."""
        services, owner, own = self._services, draft.owner, draft.own
        earlier: Sequence[Source] = ()
        if sealed:
            field = _source_of(draft.request)
            seals = Unsealing(services.sealer, owner, own, field, forgiving=draft.asked.forgiving)
            draft.shown = await seals.restored(draft.shown)
            draft.opaque, earlier = seals.opaque, seals.sources
            draft.size += seals.size
        if draft.route.card.capabilities.reasoning and not CALLS.isdisjoint(map(type, own)):
            shown, draft.opaque = await services.recall.restored(
                draft.shown, draft.opaque, owner, services.store.responses, draft.size, draft.route.card.id
            )
            if shown is not draft.shown:
                draft.shown, draft.plain, sealed = shown, False, True
        if sealed:
            draft.shown, draft.opaque, added, draft.sources = await self._gathering.with_model_texts(
                draft.shown, draft.opaque, owner, source
            )
            draft.size += added
            if earlier:
                draft.sources = [*earlier, *draft.sources]

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

    async def _fit(self, plan: Plan, size: int, least: int) -> Plan:
        """Bring a Plan into the model's window: compaction or truncation where the request wants it, else a 400.

        `size` are the bytes in which all that the model sees has come, -1 where they do not tell; `least` it has at least.
        """
        if compact.has_trigger(plan.own_items):
            return replace(plan, compaction="trigger")
        limit = threshold(plan.request.context_management)
        if limit is not None:
            if await self._count(plan) > limit:
                return replace(plan, compaction="threshold")
            return plan
        window = plan.route.card.context_length
        # This fits without counting, as above.
        if window is None or 0 <= size < window:
            return plan
        if not plan.turn.size and least < window and context.smaller_than(plan.turn.items, window):
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
        return replace(plan, turn=replace(plan.turn, items=items))

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
                "Invalid 'store': background can only be used when `store` is true, as background responses are stored.",
                param="store",
            )

    def _complete(self, draft: Draft) -> Plan:
        """Return the Plan of a request whose context is known."""
        asked, request, route, tools_here = draft.asked, draft.request, draft.route, draft.tools
        response = echo_response(
            request,
            id=f"resp_{draft.identity.id_base}",
            created_at=draft.identity.created_at,
            tools=asked.tools,
            text=draft.text,
            defaults=route.defaults,
            store_default=self._config.store_default,
        )
        plan = Plan(
            request=request,
            owner=draft.owner,
            route=route,
            turn=self._turn(draft, response),
            response=response,
            id_base=draft.identity.id_base,
            own_items=draft.own,
            stored=response.store,
            conversation_id=response.conversation.id if response.conversation else None,
            options=stream_terms(draft, self._config, self._services.sealer),
            ignored=_ignored(draft),
            sources=draft.sources,
            size=draft.size,
        )
        usual = draft.size < LARGE and tools_here is NO_TOOLS and not asked.forgiving
        return plan if usual else _with_rest(plan, draft)

    def _turn(self, draft: Draft, response: Response) -> Turn:
        """Return what the model sees."""
        asked, request, route = draft.asked, draft.request, draft.route
        defaults, can = route.defaults, route.card.capabilities
        sent = self._services.captures.of(response.id, draft.owner) if response.store else None
        turn = Turn(
            model=route.card.id,
            request=request,
            instructions=request.instructions if request.instructions is not None else route.instructions,
            items=draft.shown,
            tools=asked.tools,
            tool_choice=request.tool_choice or "auto",
            parallel_tool_calls=request.parallel_tool_calls is not False,
            text=draft.text,
            temperature=request.temperature if request.temperature is not None else defaults.temperature,
            top_p=request.top_p if request.top_p is not None else defaults.top_p,
            max_output_tokens=1 if prewarms(request) else response.max_output_tokens,
            reasoning_effort=response.reasoning.effort if can.reasoning else None,
            stream=bool(request.stream),
            hints=replace(draft.hints, owner=draft.owner, response=response.id, sent=sent),
            senses=Senses(can.images, can.audio),
        )
        encoded = asked.encoded or (EncodedTexts() if response.store and draft.size >= LONG else None)
        extra = with_operators(asked.extra, route.extra_body)
        if encoded is None and not (extra or draft.opaque) and asked.options is NO_OPTIONS:
            return turn
        # Not above: more than 15 arguments by name pass in a dict, which takes ten times as long (CPython 3.11).
        return replace(
            turn,
            opaque=draft.opaque,
            extra=extra,
            unknown=asked.extra.keys() if asked.extra else (),
            options=asked.options,
            encoded=encoded,
        )


def _hold_media(items: Sequence[Item], summary: ItemSummary) -> bool:
    """Tell whether items have media that are made ready for a backend."""
    return bool((summary.media or OtherItem in summary.kinds) and media_holders(items))


def _ignored(draft: Draft) -> Sequence[str]:
    """Return the fields and tools of a request that have no effect."""
    ignored, request = draft.tools.ignored, draft.request
    if request.reasoning is not None and not draft.route.card.capabilities.reasoning and wants_effort(request):
        ignored = [*ignored, EFFORT]
    beyond = [*beyond_chat(request), *untold(draft.shown)] if draft.rare else beyond_chat(request)
    if beyond and not draft.route.runs_hosted_tools:
        ignored = [*ignored, *beyond]
    return [*draft.asked.ignored, *ignored] if draft.asked.ignored else ignored


def _with_rest(plan: Plan, draft: Draft) -> Plan:
    """Return a Plan with what few requests have: tools that this server runs, a large size, a forgiving front end."""
    turn, tools, window = plan.turn, draft.tools, plan.route.card.context_length
    if draft.size >= LARGE:
        _check_echo(plan.response)
        turn = replace(turn, size=max(token_count.size_of_large(turn), LARGE))
    if draft.asked.forgiving and turn.max_output_tokens is not None and window is not None:
        turn = replace(turn, max_output_tokens=min(turn.max_output_tokens, window))
    if tools is not NO_TOOLS:
        turn = replace(turn, server_tools=offered(tools.hosted), tool_instructions=tools.about)
        plan = replace(plan, remote=tools.remote, hosted=tools.hosted, rights=tools.rights, approvals=draft.approvals)
    return replace(plan, turn=turn)


def _check_echo(response: Response) -> None:
    """Raise InvalidRequest where a response repeats too much of its request; `param` is the field that has most of it."""
    sizes = {name: len(to_json(value)) for name, value in asdict(response).items() if value is not UNSET}
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
    if NamespaceTool not in map(type, tools):
        return len(tools)
    return len(tools) + sum([max(len(tool.tools) - 1, 0) for tool in tools if type(tool) is NamespaceTool])
