"""Preparer: a request's body and its caller → an admitted Plan with its permit.

Used by HTTP, WebSocket, background responses, token counting and compaction. Each front end has a Preparer, with a
RequestDecoder and a Dialect of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from antiphon.access.caller import Caller, only_model
from antiphon.access.limits import FREE, Demand, Permit
from antiphon.access.quota import Header
from antiphon.core.request.json_text import check_bounds, check_json, mended
from antiphon.core.stream.writer_table import OPENAI, Dialect
from antiphon.core.turn import NO_HINTS, Hints
from antiphon.errors import APIError, InvalidRequest, spelled
from antiphon.responses.delta_trace import DeltaTrace
from antiphon.responses.intake.asked import Asked, RequestDecoder
from antiphon.responses.intake.history import History
from antiphon.responses.intake.hosted_tools import forced_kind
from antiphon.responses.intake.intake import Intake
from antiphon.responses.intake.past_input import Continued
from antiphon.responses.intake.past_inputs import SMALLEST, PastInputs
from antiphon.responses.plan import Identity, Plan
from antiphon.responses.run import Run
from antiphon.responses.services import Services
from antiphon.runtime.offload import LARGE, by_size

T = TypeVar("T")


class Prepared(msgspec.Struct, frozen=True):
    """An admitted response. The caller of `prepare` settles its `permit`; `trace` is set if the client asked for it.

    `unnamed`: the request names no model, and the only one is meant. `body` is that of the request, as it was checked.
    """

    plan: Plan
    permit: Permit
    trace: DeltaTrace | None = None
    unnamed: bool = False
    body: bytes = b""

    def traced(self) -> Prepared:
        """Return the same response with a DeltaTrace."""
        trace = DeltaTrace(self.plan.route)
        return Prepared(replace(self.plan, route=trace.route), self.permit, trace, self.unnamed, self.body)


class Preparer:
    """Decodes, checks, plans and admits the requests of one front end, and begins their Runs."""

    def __init__(self, services: Services, intake: Intake, decoder: RequestDecoder, dialect: Dialect = OPENAI) -> None:
        self._services = services
        self._intake = intake
        self._decoder = decoder
        self._dialect = dialect

    async def prepare(
        self,
        body: bytes,
        caller: Caller,
        hints: Hints = NO_HINTS,
        *,
        history: History | None = None,
        guesses: bool = True,
        checked: bool = True,
    ) -> Prepared:
        """Return a response that may begin. `guesses`: without a model the only one is meant that the caller may call.

        `checked`: the body has passed `check_json`. One that has not is a Responses request as it came, of which the beginning
        may be known (PastInputs).

        Raises APIError: 400 with the field at fault as `param`, 429 or 402, 503 where it could not be stored at its end.
        """
        services = self._services
        services.limiter.check(caller)
        unnamed = False
        try:
            if checked or len(body) < SMALLEST:
                body = body if checked else check_json(body)
                asked = await self._decoder.decode(body)
            else:
                body, asked = await self._decoded(body, caller.owner)
        except InvalidRequest as error:
            model = only_model(services.router, caller) if guesses and error.param == "model" else None
            if model is None:
                raise
            body = body if checked else await _by_size(check_json, body)
            unnamed, asked = True, await self._decoder.decode(body, model)
        planned = self._plan(asked, caller, hints, history)
        guards = services.guards
        plan = await (
            guards.guarded(planned, caller, asked.spell) if guards.concern(asked.request.moderation) else planned
        )
        if plan.stored:
            services.store.database.condition.check()
        turn = plan.turn
        told = await self._tool_limits(plan) if plan.rights.limits else ()
        permit = FREE
        if caller.limits:
            permit = await services.limiter.admit(
                caller, plan.route.card, lambda: Demand(services.estimator.estimate(turn), turn.max_output_tokens)
            )
        if told:
            permit.headers = [*permit.headers, *told]
        return Prepared(plan, permit, unnamed=unnamed, body=body)

    async def _decoded(self, body: bytes, owner: str) -> tuple[bytes, Asked]:
        """Check and decode a body; of one that goes on where an earlier one ended, only the rest. Raises InvalidRequest."""
        inputs = self._services.inputs
        continued = inputs.find(owner, body)
        if continued is not None:
            asked = await self._continued(inputs, continued, body)
            if asked is not None:
                return body, inputs.keep(owner, body, asked, continued, self._decoder)
        await _by_size(check_bounds, body)
        try:
            asked = await self._decoder.decode(body)
        except InvalidRequest:
            fit = await _by_size(mended, body)
            if fit is body:
                raise
            return fit, await self._decoder.decode(fit)
        return body, inputs.keep(owner, body, asked)

    async def _continued(self, inputs: PastInputs, continued: Continued, body: bytes) -> Asked | None:
        """Decode what is new in a body; None where that cannot be: whoever decodes the whole of it knows what to say."""
        try:
            asked = inputs.with_more(continued, body, self._decoder)
            if asked is not None:
                return asked
            await _by_size(check_bounds, continued.short)
            return inputs.whole(continued, await self._decoder.decode(continued.short), len(body))
        except APIError:
            return None

    async def _tool_limits(self, plan: Plan) -> Sequence[Header]:
        """Return what an answer tells of limits on its tools. Raises APIError where a tool that is forced has none left."""
        forced = forced_kind(plan.turn.tool_choice)
        units = {unit for tool in plan.hosted for unit in tool.kind.meters}
        needed = forced.meters if forced is not None else ()
        return await self._services.tool_meters.told(plan.rights, plan.route.card, units, needed)

    def run(self, prepared: Prepared, *, mute: bool = False) -> Run:
        """Return the Run of a prepared response; a `mute` one makes no Events but the last."""
        return Run(prepared.plan, self._services, mute, prepared.permit, self._dialect)

    async def prepare_count(self, body: bytes, caller: Caller) -> Prepared:
        """Return a request whose tokens are only counted: a request as others are, which uses none.

        It may leave the model out: the first that the caller may call is meant. Raises APIError.
        """
        services = self._services
        services.limiter.check(caller)
        cards = (card.id for card in services.router.cards() if caller.may_call(card))
        asked = await self._decoder.decode(body, next(cards, None))
        plan = await self._plan(asked, caller)
        return Prepared(plan, await services.limiter.admit(caller, plan.route.card, lambda: Demand(0, 1)))

    async def plan_to_count(self, body: bytes, caller: Caller) -> Plan:
        """Return the Plan of a request whose tokens are only counted, without a look at limits. Raises APIError."""
        return await self._plan(await self._decoder.decode(body), caller)

    def _plan(
        self, asked: Asked, caller: Caller, hints: Hints = NO_HINTS, history: History | None = None
    ) -> Awaitable[Plan]:
        plan = self._intake.plan(asked, caller.owner, caller=caller, hints=hints, history=history)
        return plan if asked.spell is None else _spelled(plan, asked.spell)

    async def plan_again(self, body: bytes, owner: str, identity: Identity) -> Plan:
        """Return the Plan of a request that was admitted before: no caller is asked for and nothing is reserved.

        Raises APIError.
        """
        asked = await self._decoder.decode(body)
        planned = self._intake.plan(asked, owner, identity=identity)
        guards = self._services.guards
        return await (guards.guarded(planned) if guards.concern(asked.request.moderation) else planned)


async def _by_size(work: Callable[[bytes], T], body: bytes) -> T:
    """Look at a body; at a large one off the event loop. Raises InvalidRequest."""
    return work(body) if len(body) < LARGE else await by_size(len(body), work, body)


async def _spelled(planned: Awaitable[Plan], spell: Callable[[str], str]) -> Plan:
    """Return a Plan whose errors name the fields of a front end; one that cannot be made raises such an APIError."""
    try:
        plan = await planned
    except APIError as error:
        raise spelled(error, spell) from None
    return replace(plan, spell=spell)
