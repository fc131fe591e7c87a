"""`/v1/decisions` of a backend: a request as it is written there, and what comes of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.decisions.answers import Declined, Distribution, Outcome
from antiphon.core.decisions.questions import Option, Question
from antiphon.core.json_encoding import to_json
from antiphon.core.relayed_request import RelayedForm, RelayedRequest
from antiphon.core.turn import with_operators
from antiphon.errors import BackendError
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse
from antiphon.types.response import Usage

PATH = "/v1/decisions"


class _Probability(msgspec.Struct):
    probability: float


class _NativeAnswer(msgspec.Struct):
    type: str
    probability: float = -1.0
    probabilities: list[_Probability] = []
    confidence: float | None = None


class _NativeDecision(msgspec.Struct):
    answers: list[_NativeAnswer]
    usage: Usage | None = None


_decision = msgspec.json.Decoder(_NativeDecision)


def native_request(
    request: CreateResponse,
    items: Sequence[Item],
    questions: Sequence[Question],
    extra: Mapping[str, Raw],
    size: int,
) -> RelayedRequest:
    """Return the request for a backend that has `/v1/decisions` itself."""
    fields: dict[str, object] = {
        "input": items,
        "questions": [_written(question) for question in questions],
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_options": request.prompt_cache_options,
        "safety_identifier": request.safety_identifier,
    }
    own = {name: Raw(to_json(value)) for name, value in fields.items() if value is not None} | dict(extra)

    def write(model: str, operators: Mapping[str, Raw]) -> bytes:
        return to_json({**with_operators(own, operators), "model": model})

    form = RelayedForm(endpoint="/decisions", write=write)
    return RelayedRequest(
        route=PATH, operation="decisions", forms=(form,), size=size, key=request.prompt_cache_key or ""
    )


def _written(question: Question) -> dict[str, object]:
    found: dict[str, object] = {"type": question.kind, "instructions": question.instructions}
    if question.name is not None:
        found["name"] = question.name
    if question.kind == "choice":
        found["choices"] = [_option(option, "value") for option in question.options]
    elif question.kind == "score":
        found["levels"] = [_option(option, "label") for option in question.options]
    return found


def _option(option: Option, name: str) -> dict[str, object]:
    return {name: option.value, "description": option.description} if option.description else {name: option.value}


def native_outcomes(body: bytes, questions: Sequence[Question]) -> tuple[Sequence[Outcome], Usage]:
    """Return what a backend answered, and what that has used. Raises BackendError for what is no answer to the questions."""
    try:
        found = _decision.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _nonsense() from None
    if len(found.answers) != len(questions):
        raise _nonsense()
    outcomes = [_outcome(answer, question) for answer, question in zip(found.answers, questions, strict=True)]
    return outcomes, found.usage or Usage()


def _outcome(answer: _NativeAnswer, question: Question) -> Outcome:
    if answer.type == "refusal":
        return Declined()
    shares = [one.probability for one in answer.probabilities]
    if question.kind == "predicate":
        shares = [answer.probability, 1 - answer.probability]
    told = answer.type == question.kind and len(shares) == len(question.options)
    if not told or not all(0 <= share <= 1 for share in shares):
        raise _nonsense()
    sure = answer.confidence
    return Distribution(shares, "native", sure if sure is not None and 0 <= sure <= 1 else None)


def _nonsense() -> BackendError:
    return BackendError(502, "The backend's answer is no answer to the questions.", code="invalid_output")
