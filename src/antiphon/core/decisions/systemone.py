"""`POST /v1/systemone`, as TypeSafe, vLLM and Ollama have it: its body → DecisionRequest, and outcomes → its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from antiphon.core.decisions.answers import Distribution, expected
from antiphon.core.decisions.decision_request import (
    LONGEST_NAME,
    PREDICATE,
    check_count,
    check_options,
    check_questions,
)
from antiphon.core.decisions.questions import MOST_CHOICES, MOST_LEVELS, DecisionRequest, Option, Question
from antiphon.core.json_encoding import to_json
from antiphon.core.media import file_types
from antiphon.core.request.decoding import UnknownFields
from antiphon.core.request.validation import decode, decode_any, decode_fields
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputImage, InputText, Item, Message, Part
from antiphon.types.request import CreateResponse, ModelName

MOST_IMAGES = 100

_Text = str | dict[str, Raw] | list[Raw] | None


class _NoulQuestion(msgspec.Struct, tag="noul", tag_field="type", frozen=True):
    instructions: Raw
    criteria: dict[str, Raw] | None = None

    def options(self, path: str) -> Sequence[Option]:
        criteria = self.criteria or {}
        if unknown := criteria.keys() - {"true", "false"}:
            where = f"{path}.criteria"
            raise InvalidRequest(
                f"Invalid '{where}': expected 'true' and 'false', got '{sorted(unknown)[0][:64]}'.", param=where
            )
        return [
            Option(option.value, _text(criteria[option.text], f"{path}.criteria.{option.text}"))
            if option.text in criteria
            else option
            for option in PREDICATE
        ]


class _CriteriaQuestion(msgspec.Struct, tag="choice", tag_field="type", frozen=True):
    instructions: Raw
    criteria: dict[str, Raw] | list[str]

    def options(self, path: str) -> Sequence[Option]:
        where = f"{path}.criteria"
        given = self.criteria
        check_count(len(given), MOST_CHOICES, where, "options")
        if isinstance(given, list):
            if len(set(given)) < len(given):
                raise InvalidRequest(f"Invalid '{where}': each option must be unique.", param=where)
            return [Option(name) for name in given]
        return [Option(name, _text(about, f"{where}.{name[:64]}")) for name, about in given.items()]


class _RubricQuestion(msgspec.Struct, tag="score", tag_field="type", frozen=True):
    instructions: Raw
    criteria: list[Raw]

    def options(self, path: str) -> Sequence[Option]:
        where = f"{path}.criteria"
        check_count(len(self.criteria), MOST_LEVELS, where, "levels")
        return [Option(_text(one, f"{where}[{index}]")) for index, one in enumerate(self.criteria)]


class _SystemOneRequest(msgspec.Struct, frozen=True):
    model: ModelName
    state: Raw
    questions: dict[Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)], Raw]
    instructions: str | None = None
    images: Annotated[list[str], Meta(max_length=MOST_IMAGES)] | None = None
    safety_identifier: str | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    chat_template_kwargs: Raw | UnsetType = UNSET
    cache_salt: Raw | UnsetType = UNSET
    keep_alive: Raw | UnsetType = UNSET


_request = msgspec.json.Decoder(_SystemOneRequest)
_question: msgspec.json.Decoder[_NoulQuestion | _CriteriaQuestion | _RubricQuestion] = msgspec.json.Decoder(
    _NoulQuestion | _CriteriaQuestion | _RubricQuestion
)
_KINDS = {_NoulQuestion: "predicate", _CriteriaQuestion: "choice", _RubricQuestion: "score"}
_NAMES = frozenset(field.name for field in msgspec.structs.fields(_SystemOneRequest))
_PASSED = ("chat_template_kwargs", "cache_salt", "keep_alive")
"""Fields that are for the backend."""


def decode_systemone(body: bytes, unknown: UnknownFields = "forward") -> DecisionRequest:
    """Decode a body that has passed `check_json`. Raises InvalidRequest with the path of the offending field."""
    found = decode(_request, body)
    others = {name: raw for name, raw in decode_fields(body).items() if name not in _NAMES}
    if others and unknown == "reject":
        name = next(iter(others))
        raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    passed = {name: value for name in _PASSED if isinstance(value := getattr(found, name), Raw)}
    check_questions(len(found.questions))
    questions = [_decoded(name, raw) for name, raw in found.questions.items()]
    check_options(questions)
    return DecisionRequest(
        request=CreateResponse(
            model=found.model,
            prompt_cache_key=found.prompt_cache_key,
            safety_identifier=found.safety_identifier,
            user=found.user,
        ),
        items=_items(found),
        questions=questions,
        extra={**(others if unknown == "forward" else {}), **passed},
        body=body,
    )


def _items(found: _SystemOneRequest) -> list[Item]:
    state = InputText(text=_text(found.state, "state"))
    parts: list[Part] = [state, *(_image(data, f"images[{at}]") for at, data in enumerate(found.images or ()))]
    material = Message(role="user", content=state.text if len(parts) == 1 else parts)
    return [Message(role="system", content=found.instructions), material] if found.instructions else [material]


def _image(data: str, path: str) -> InputImage:
    """Return an image in base64, as Ollama takes it, or of a data URL."""
    if file_types.is_data_url(data):
        return InputImage(image_url=data)
    content = file_types.decode_base64(data, path)
    return InputImage(image_url=f"data:{file_types.media_type('', '', content)};base64,{data}")


def _decoded(name: str, raw: Raw) -> Question:
    path = f"questions.{name}"
    found = decode(_question, raw, path)
    return Question(
        kind=_KINDS[type(found)],  # type: ignore[arg-type]  # the values of a dict have no literal types
        name=name,
        instructions=_text(found.instructions, f"{path}.instructions"),
        options=found.options(path),
    )


def _text(raw: Raw, path: str) -> str:
    """Return what the model reads of a text, or of JSON."""
    value = decode_any(raw, path)
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value).decode()


def systemone_answer(question: Question, outcome: Distribution) -> dict[str, object]:
    """Return an answer as this API spells it."""
    shares, options = outcome.shares, question.options
    if question.kind == "predicate":
        return {"type": "noul", "noul": shares[0]}
    if question.kind == "choice":
        return {
            "type": "choice",
            "choice": options[shares.index(max(shares))].value,
            "probabilities": {option.text: share for option, share in zip(options, shares, strict=True)},
            "confidence": outcome.confidence,
        }
    return {
        "type": "score",
        "score": expected(shares),
        "legend": {str(level): option.text for level, option in enumerate(options)},
        "probabilities": {str(level): share for level, share in enumerate(shares)},
        "confidence": outcome.confidence,
    }
