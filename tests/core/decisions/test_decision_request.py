"""What is refused of `/v1/decisions` and `/v1/systemone`, and by which field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.core.decisions.decision_request import decode_decision
from antiphon.core.decisions.questions import MOST_OPTIONS, Option
from antiphon.core.decisions.systemone import decode_systemone
from antiphon.errors import InvalidRequest
from antiphon.types.items import FunctionCallOutput, InputImage, InputText

PREDICATE = {"type": "predicate", "instructions": "x"}
CHOICES = [{"value": "a"}, {"value": "b"}]
CHOICE = {"type": "choice", "instructions": "x", "choices": CHOICES}
SCORE = {"type": "score", "instructions": "x", "levels": [{"label": "a"}, {"label": "b"}]}
DEEP: Any = {}
for _ in range(40):
    DEEP = {"a": DEEP}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "x", "questions": [PREDICATE], **fields}).encode()


def user(*content: Any, role: str = "user") -> list[Any]:
    return [{"role": role, "content": list(content)}]


def text(text: str = "x", type: str = "input_text") -> dict[str, str]:
    return {"type": type, "text": text}


REFUSED = {
    "no model": ({"model": None}, "model"),
    "no questions": ({"questions": None}, "questions"),
    "questions of no list": ({"questions": {"a": PREDICATE}}, "questions"),
    "none": ({"questions": []}, "questions"),
    "401": ({"questions": [PREDICATE] * 401}, "questions"),
    "too many options": (
        {"questions": [{**CHOICE, "choices": [{"value": str(n)} for n in range(255)]}] * 40},
        "questions",
    ),
    "no type": ({"questions": [PREDICATE, {"instructions": "x"}]}, "questions[1].type"),
    "another type": ({"questions": [{**PREDICATE, "type": "box"}]}, "questions[0].type"),
    "no instructions": ({"questions": [{"type": "predicate"}]}, "questions[0].instructions"),
    "empty": ({"questions": [{**PREDICATE, "instructions": ""}]}, "questions[0].instructions"),
    "no parts": ({"questions": [{**PREDICATE, "instructions": []}]}, "questions[0].instructions"),
    "a name of another type": ({"questions": [{**PREDICATE, "name": 5}]}, "questions[0].name"),
    "a long name": ({"questions": [{**PREDICATE, "name": "n" * 2000}]}, "questions[0].name"),
    "no choices": ({"questions": [{**PREDICATE, "type": "choice"}]}, "questions[0].choices"),
    "one choice": ({"questions": [{**CHOICE, "choices": CHOICES[:1]}]}, "questions[0].choices"),
    "256 choices": (
        {"questions": [{**CHOICE, "choices": [{"value": str(n)} for n in range(256)]}]},
        "questions[0].choices",
    ),
    "the same choice": (
        {"questions": [{**CHOICE, "choices": [*CHOICES, CHOICES[0]]}]},
        "questions[0].choices[2].value",
    ),
    "a number": ({"questions": [{**CHOICE, "choices": [{"value": 1}, {"value": 2}]}]}, "questions[0].choices[0].value"),
    "one level": ({"questions": [{**SCORE, "levels": [{"label": "a"}]}]}, "questions[0].levels"),
    "11 levels": ({"questions": [{**SCORE, "levels": [{"label": str(n)} for n in range(11)]}]}, "questions[0].levels"),
    "a level without a label": (
        {"questions": [{**SCORE, "levels": [{"label": ""}] * 2}]},
        "questions[0].levels[0].label",
    ),
    "an audio part": (
        {"questions": [{**PREDICATE, "instructions": [{"type": "input_audio"}]}]},
        "questions[0].instructions[0].type",
    ),
    "a file's id": (
        {"questions": [{**PREDICATE, "instructions": [{"type": "input_image", "file_id": "file-1"}]}]},
        "questions[0].instructions[0].file_id",
    ),
    "json of no object": (
        {"questions": [{**PREDICATE, "instructions": [{"type": "input_json", "data": [1]}]}]},
        "questions[0].instructions[0].data",
    ),
    "no input": ({"input": None}, "input"),
    "an empty input": ({"input": []}, "input"),
    "an item of another type": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    "thoughts": ({"input": [{"type": "reasoning", "summary": []}]}, "input[0]"),
    "an output without its call": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        "input[0].call_id",
    ),
    "an output that names no call, and no call": (
        {"input": [{"type": "function_call_output", "output": "x"}]},
        "input[0].call_id",
    ),
    "an image of an assistant": (
        {"input": user({"type": "input_image", "image_url": "data:,"}, role="assistant")},
        "input[0].content[0]",
    ),
    "an image of a developer": (
        {"input": user(text(), {"type": "input_image", "image_url": "x"}, role="developer")},
        "input[0].content[1]",
    ),
    "an image by id": ({"input": user({"type": "input_image", "file_id": "file-1"})}, "input[0].content[0].file_id"),
    "a file": ({"input": user({"type": "input_file", "file_data": "x"})}, "input[0].content[0]"),
    "an output's text of the user": ({"input": user(text(type="output_text"))}, "input[0].content[0]"),
    "json without data": ({"input": user(text(), {"type": "input_json"})}, "input[0].content[1].data"),
    "json that is text": ({"input": user({"type": "input_json", "data": "{}"})}, "input[0].content[0].data"),
    "deep json": ({"input": user({"type": "input_json", "data": DEEP})}, "input[0].content[0].data"),
    "wide json": ({"input": user({"type": "input_json", "data": {"a": [0] * 10_001}})}, "input[0].content[0].data"),
    "long json": ({"input": user({"type": "input_json", "data": {"a": "x" * 300_000}})}, "input[0].content[0].data"),
    "tools": ({"tools": []}, "tools"),
    "a stream": ({"stream": True}, "stream"),
    "a temperature": ({"temperature": 0.5}, "temperature"),
    "an id to continue": ({"previous_response_id": "resp_1"}, "previous_response_id"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    fields, param = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        decode_decision(body(**fields))
    assert (caught.value.status, caught.value.param) == (400, param)


def test_an_output_without_an_id_belongs_to_the_call_before_it() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    asked = decode_decision(body(input=[call, {"type": "function_call_output", "output": "x"}]))
    assert [item.call_id for item in asked.items if isinstance(item, FunctionCallOutput)] == ["c"]


def test_unknown_fields_are_a_setting() -> None:
    assert list(decode_decision(body(cache_salt="s")).extra) == ["cache_salt"]
    assert not decode_decision(body(cache_salt="s"), "ignore").extra
    with pytest.raises(InvalidRequest, match="cache_salt"):
        decode_decision(body(cache_salt="s"), "reject")


def test_as_many_as_there_may_be() -> None:
    assert len(decode_decision(body(questions=[PREDICATE] * 400)).questions) == 400
    most = [{**CHOICE, "choices": [{"value": str(n)} for n in range(250)]}] * (MOST_OPTIONS // 250)
    assert len(decode_decision(body(questions=most)).questions) == 40


def test_a_text_and_a_boolean_are_distinct() -> None:
    choices = [{"value": "true"}, {"value": True, "description": None}, {"value": "1"}]
    [question] = decode_decision(body(questions=[{**CHOICE, "choices": choices, "name": None}])).questions
    assert [type(option.value) for option in question.options] == [str, bool, str]
    assert question.options[1].text == "true"


# System One


def systemone(**fields: Any) -> bytes:
    questions = {"q": {"type": "noul", "instructions": "x"}}
    return json.dumps({"model": "m", "state": "x", "questions": questions, **fields}).encode()


NOUL = {"type": "noul", "instructions": "x"}
PICK = {"type": "choice", "instructions": "x", "criteria": {"a": "b", "c": None}}
RATE = {"type": "score", "instructions": "x", "criteria": ["a", {"b": 1}]}

REFUSED_SYSTEMONE = {
    "no state": ({"state": None, "questions": {}}, "questions"),
    "a list": ({"questions": [NOUL]}, "questions"),
    "an empty name": ({"questions": {"": NOUL}}, "questions"),
    "another type": ({"questions": {"q": {**NOUL, "type": "box"}}}, "questions.q.type"),
    "criteria of neither": ({"questions": {"q": {**NOUL, "criteria": {"maybe": "x"}}}}, "questions.q.criteria"),
    "one option": ({"questions": {"q": {**PICK, "criteria": {"a": "b"}}}}, "questions.q.criteria"),
    "11 levels": ({"questions": {"q": {**RATE, "criteria": ["a"] * 11}}}, "questions.q.criteria"),
    "no criteria": ({"questions": {"q": {"type": "score", "instructions": "x"}}}, "questions.q.criteria"),
    "an image that is none": ({"images": ["?"]}, "images[0]"),
}


@pytest.mark.parametrize("case", REFUSED_SYSTEMONE)
def test_what_systemone_refuses(case: str) -> None:
    fields, param = REFUSED_SYSTEMONE[case]
    with pytest.raises(InvalidRequest) as caught:
        decode_systemone(systemone(**fields))
    assert caught.value.param == param


def test_systemone_is_the_same_in_other_words() -> None:
    asked = decode_systemone(
        systemone(
            state={"a": 1},
            instructions="Be strict.",
            images=["iVBORw0KGgo="],
            keep_alive="5m",
            questions={
                "n": {**NOUL, "criteria": {"true": "It does."}},
                "p": PICK,
                "l": {**PICK, "criteria": ["a", "b"]},
                "r": {**RATE, "instructions": {"question": "?"}},
            },
        )
    )
    assert [question.kind for question in asked.questions] == ["predicate", "choice", "choice", "score"]
    assert asked.questions[0].options == [Option(True, "It does."), Option(False)]
    assert asked.questions[1].options == [Option("a", "b"), Option("c")]
    assert asked.questions[3].instructions == '{"question":"?"}'
    assert asked.questions[3].options == [Option("a"), Option('{"b":1}')]
    assert [item.role for item in asked.items] == ["system", "user"]
    assert asked.items[1].content == [
        InputText(text='{"a":1}'),
        InputImage(image_url="data:image/png;base64,iVBORw0KGgo="),
    ]
    assert list(asked.extra) == ["keep_alive"]
