"""From a Plan to the permit to carry it out."""

from __future__ import annotations

from antiphon.access.caller import Caller
from antiphon.access.limits import Demand, Permit
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services


async def admit(services: Services, caller: Caller, plan: Plan) -> Permit:
    """Return a permit. Raises APIError 429 or 402, and 503 where the response could not be stored at its end."""
    if plan.stored:
        services.store.database.condition.check()
    turn = plan.turn
    return await services.limiter.admit(
        caller, plan.route.card, lambda: Demand(services.estimator.estimate(turn), turn.max_output_tokens)
    )
