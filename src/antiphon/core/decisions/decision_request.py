"""The body of `POST /v1/decisions` → DecisionRequest, or a 400 that names the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from antiphon.core.context import check_ids, content_of
from antiphon.core.decisions.input_parts import check_image, decode_parts, with_json_as_text
from antiphon.core.decisions.questions import (
    MOST_CHOICES,
    MOST_LEVELS,
    MOST_OPTIONS,
    MOST_QUESTIONS,
    DecisionRequest,
    Option,
    Question,
)
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import UnknownFields, decode_items, decode_request
from antiphon.core.request.validation import decode, decode_fields, missing
from antiphon.core.tools.unnamed_outputs import with_call_ids
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Part,
    PlainText,
    Refusal,
    UnnamedOutput,
)
from antiphon.types.raw import JsonText
from antiphon.types.request import CreateResponse

FIELDS = frozenset("model input prompt_cache_key prompt_cache_options safety_identifier user".split())
"""Fields that a request shares with CreateResponse; its others mean nothing here and are refused."""

_OTHERS = frozenset(field.name for field in msgspec.structs.fields(CreateResponse)) - FIELDS
LONGEST_NAME = 1024  # characters: it stands in the answer again

Instructions = str | list[Raw]
_Name = Annotated[str, Meta(max_length=LONGEST_NAME)] | None

PREDICATE = (Option(True), Option(False))


class _PredicateQuestion(msgspec.Struct, tag="predicate", tag_field="type", frozen=True):
    instructions: Instructions
    name: _Name = None

    def options(self, path: str) -> Sequence[Option]:
        return PREDICATE


class _ChoiceValue(msgspec.Struct, frozen=True):
    value: str | bool
    description: str | None = None


class _ChoiceQuestion(msgspec.Struct, tag="choice", tag_field="type", frozen=True):
    instructions: Instructions
    choices: list[_ChoiceValue]
    name: _Name = None

    def options(self, path: str) -> Sequence[Option]:
        check_count(len(self.choices), MOST_CHOICES, f"{path}.choices", "choices")
        seen: set[tuple[bool, str | bool]] = set()
        for index, one in enumerate(self.choices):
            key = (isinstance(one.value, bool), one.value)
            if key in seen:
                where = f"{path}.choices[{index}].value"
                raise InvalidRequest(f"Invalid '{where}': each choice must be unique.", param=where)
            seen.add(key)
        return [Option(one.value, one.description or "") for one in self.choices]


class _ScoreLevel(msgspec.Struct, frozen=True):
    label: Annotated[str, Meta(min_length=1)]
    description: str | None = None


class _ScoreQuestion(msgspec.Struct, tag="score", tag_field="type", frozen=True):
    instructions: Instructions
    levels: list[_ScoreLevel]
    name: _Name = None

    def options(self, path: str) -> Sequence[Option]:
        check_count(len(self.levels), MOST_LEVELS, f"{path}.levels", "levels")
        return [Option(one.label, one.description or "") for one in self.levels]


_questions = msgspec.json.Decoder(list[Raw])
_question: msgspec.json.Decoder[_PredicateQuestion | _ChoiceQuestion | _ScoreQuestion] = msgspec.json.Decoder(
    _PredicateQuestion | _ChoiceQuestion | _ScoreQuestion
)
_KINDS: dict[type, Literal["predicate", "choice", "score"]] = {
    _PredicateQuestion: "predicate",
    _ChoiceQuestion: "choice",
    _ScoreQuestion: "score",
}


def check_count(count: int, most: int, path: str, what: str) -> None:
    """Refuse too few or too many options. Raises InvalidRequest."""
    if not 2 <= count <= most:
        raise InvalidRequest(f"Invalid '{path}': must have between 2 and {most} {what}.", param=path)


def decode_decision(body: bytes, unknown: UnknownFields = "forward") -> DecisionRequest:
    """Decode a body that has passed `check_json`. Raises InvalidRequest with the path of the offending field."""
    fields = decode_fields(body)
    for name in fields.keys() & _OTHERS:
        raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    asked = fields.pop("questions", None)
    if asked is None or bytes(asked) == b"null":
        raise missing("questions")
    request, extra = decode_request(to_json(fields), unknown)
    return DecisionRequest(
        request=request,
        items=_items(request),
        questions=_decode_questions(asked),
        extra=extra,
        body=body,
    )


def check_questions(count: int, path: str = "questions") -> None:
    """Refuse too few or too many questions. Raises InvalidRequest."""
    if not 1 <= count <= MOST_QUESTIONS:
        raise InvalidRequest(f"Invalid '{path}': must have between 1 and {MOST_QUESTIONS} questions.", param=path)


def check_options(questions: Sequence[Question], path: str = "questions") -> None:
    """Refuse too many options of all questions together. Raises InvalidRequest."""
    if sum(len(question.options) for question in questions) > MOST_OPTIONS:
        raise InvalidRequest(
            f"Invalid '{path}': all questions together must have at most {MOST_OPTIONS} options.", param=path
        )


def _decode_questions(asked: Raw) -> list[Question]:
    raws = decode(_questions, asked, "questions")
    check_questions(len(raws))
    questions = [_decoded(raw, f"questions[{index}]") for index, raw in enumerate(raws)]
    check_options(questions)
    return questions


def _decoded(raw: Raw, path: str) -> Question:
    found = decode(_question, raw, path)
    where = f"{path}.instructions"
    given = found.instructions
    instructions: str | list[Part] = given if isinstance(given, str) else decode_parts(given, where)
    if not instructions:
        raise InvalidRequest(f"Invalid '{where}': must not be empty.", param=where)
    return Question(kind=_KINDS[type(found)], name=found.name, instructions=instructions, options=found.options(path))


# Input

_PARTS: dict[str, tuple[type, ...]] = {
    "user": (InputText, PlainText, InputImage),
    "developer": (InputText, PlainText),
    "system": (InputText, PlainText),
    "assistant": (OutputText, Refusal),
    "output": (InputText, PlainText, InputImage),
}
"""What the content of a message of each role holds, and the output of a tool."""

_OUTPUT_OF: dict[type, type] = {FunctionCallOutput: FunctionCall, CustomToolCallOutput: CustomToolCall}


def _items(request: CreateResponse) -> list[Item]:
    given = request.input
    if isinstance(given, str):
        return [Message(role="user", content=given)]
    if not isinstance(given, list):
        raise missing("input")
    items = decode_items([with_json_as_text(raw, f"input[{index}]") for index, raw in enumerate(given)])
    check_ids(items)
    if any(isinstance(item, UnnamedOutput) for item in items):
        items = with_call_ids(items, [])
    calls: set[tuple[type, str]] = set()
    for index, item in enumerate(items):
        _check_item(item, f"input[{index}]", calls)
    return items


def _check_item(item: Item, path: str, calls: set[tuple[type, str]]) -> None:
    """Refuse items that decisions do not take, and outputs without their call. Raises InvalidRequest."""
    if isinstance(item, FunctionCall | CustomToolCall):
        calls.add((type(item), item.call_id))
        return
    if isinstance(item, Message):
        _check_parts(content_of(item), _PARTS[item.role], f"{path}.content")
        return
    if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
        if (_OUTPUT_OF[type(item)], item.call_id) not in calls:
            raise InvalidRequest(f"Invalid '{path}.call_id': no call before it has this id.", param=f"{path}.call_id")
        _check_parts(content_of(item), _PARTS["output"], f"{path}.output")
        return
    kind = getattr(item, "type", None) or item.__struct_config__.tag
    raise InvalidRequest(
        f"Invalid '{path}': items of the type '{kind}' are not supported here.", param=path, code="invalid_value"
    )


def _check_parts(parts: str | JsonText | Sequence[Part], allowed: tuple[type, ...], path: str) -> None:
    if isinstance(parts, str | JsonText):
        return
    for index, part in enumerate(parts):
        where = f"{path}[{index}]"
        if not isinstance(part, allowed):
            raise InvalidRequest(
                f"Invalid '{where}': content of the type '{part.__struct_config__.tag}' is not supported here.",
                param=where,
            )
        if isinstance(part, InputImage):
            check_image(part, where)
