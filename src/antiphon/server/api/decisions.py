"""`POST /v1/decisions` and `POST /v1/systemone`: questions with a closed set of answers → probabilities.

`Decisions.answer` and `Decisions.systemone_answer` need no connection: whoever has a body and a Caller may call them.
"""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.access.caller import Caller
from antiphon.access.quota import Header
from antiphon.core.decisions.answers import Declined, Distribution, answer
from antiphon.core.decisions.decision_request import decode_decision
from antiphon.core.decisions.questions import DecisionRequest
from antiphon.core.decisions.systemone import decode_systemone, systemone_answer
from antiphon.core.request.decoding import UnknownFields
from antiphon.core.turn import NO_HINTS, Hints
from antiphon.errors import APIError
from antiphon.responses.decisions.decider import Decided, Decider
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Reply, Request, json_reply

FAILED = b"x-antiphon-failed-questions"


class Decisions:
    """The handlers. `unknown`: what becomes of unknown fields (setting `unknown_fields`)."""

    def __init__(self, decider: Decider, unknown: UnknownFields) -> None:
        self._decider = decider
        self._unknown: UnknownFields = unknown

    async def create(self, request: Request) -> Reply:
        """Answer questions with a closed set of options about one input, each with a probability for every option."""
        body = await request.body()
        request.cancel_on_disconnect()
        return await self.answer(body, request.caller, request_hints(request))

    async def create_systemone(self, request: Request) -> Reply:
        """Answer typed questions about a state, in the words of TypeSafe's System One API."""
        body = await request.body()
        request.cancel_on_disconnect()
        return await self.systemone_answer(body, request.caller, request_hints(request))

    async def answer(self, body: bytes, caller: Caller, hints: Hints = NO_HINTS) -> Reply:
        """Answer the body of `/v1/decisions`, which has passed `check_json`. Raises APIError."""
        decided = await self._decider.decide(body, caller, self._decoded, hints)
        found = {
            "model": decided.model,
            "answers": [answer(*one) for one in zip(decided.questions, decided.outcomes, strict=True)],
            "usage": decided.usage,
        }
        return json_reply(found, headers=_headers(decided))

    async def systemone_answer(self, body: bytes, caller: Caller, hints: Hints = NO_HINTS) -> Reply:
        """Answer the body of `/v1/systemone`, which has passed `check_json`. Raises APIError."""
        decided = await self._decider.decide(body, caller, self._systemone_decoded, hints)
        answers: dict[str, object] = {}
        for question, outcome in zip(decided.questions, decided.outcomes, strict=True):
            if isinstance(outcome, Declined):
                raise outcome.error or _declined(question.name or "")
            assert isinstance(outcome, Distribution)
            answers[question.name or ""] = systemone_answer(question, outcome)
        usage = decided.usage
        told = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        return json_reply({"model": decided.model, "answers": answers, "usage": told}, headers=_headers(decided))

    def _decoded(self, body: bytes) -> DecisionRequest:
        return decode_decision(body, self._unknown)

    def _systemone_decoded(self, body: bytes) -> DecisionRequest:
        return decode_systemone(body, self._unknown)


def _headers(decided: Decided) -> Sequence[Header]:
    return [*decided.headers, (FAILED, b"%d" % decided.failed)] if decided.failed else decided.headers


def _declined(name: str) -> APIError:
    """Return the error of an API that has no word for a question which a model declines."""
    return APIError(
        422, f"The model declined to answer the question '{name[:200]}'.", code="refusal", param=f"questions.{name}"
    )
