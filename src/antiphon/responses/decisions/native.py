"""Requests to backends that have `/v1/decisions` themselves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from antiphon.access.caller import fits
from antiphon.backends.base import read_whole
from antiphon.config import DecisionsConfig
from antiphon.core.decisions.answers import Outcome
from antiphon.core.decisions.native import native_outcomes, native_request
from antiphon.core.decisions.questions import DecisionRequest, Question
from antiphon.errors import BackendError
from antiphon.responses.plan import Plan
from antiphon.runtime.offload import by_size
from antiphon.types.response import Usage

log = logging.getLogger("antiphon.responses.decisions")

MOST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer."""

NOT_TAKEN = (400, 404, 405, 413, 422)
"""Statuses of a backend that does not take a request which is well: it has fewer questions, options or kinds of input."""


def is_native(plan: Plan, settings: DecisionsConfig) -> bool:
    """Tell whether a model's backend is asked as it is."""
    return bool(settings.native) and fits(plan.route.card, tuple(settings.native))


async def ask_backend(
    asked: DecisionRequest, plan: Plan, questions: Sequence[Question]
) -> tuple[Sequence[Outcome], Usage] | None:
    """Return what the backend answered; None where it does not take the request: its model is asked by us then.

    Raises BackendError.
    """
    size = len(asked.body)
    request = await by_size(size, native_request, asked.request, plan.turn.items, questions, asked.extra, size)
    try:
        body = await read_whole(await plan.route.relay(request, plan.turn.hints), MOST_ANSWER)
    except BackendError as error:
        if error.status not in NOT_TAKEN:
            raise
        log.info("decisions: the backend of %s does not take the request: %s", plan.route.card.id, error.message)
        return None
    return await by_size(len(body), native_outcomes, body, questions)
