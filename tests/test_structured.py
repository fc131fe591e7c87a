"""What fits a format and what does not."""

import json

import pytest
from msgspec import Raw

from antiphon.core.deltas import CallStart, ReasoningDelta, TextDelta
from antiphon.errors import BackendError
from antiphon.structured import StructuredOutput, fault_of
from antiphon.types.request import TextFormat

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
FORMAT = TextFormat(type="json_schema", name="x", schema=Raw(json.dumps(SCHEMA).encode()))
OBJECT = TextFormat(type="json_object")


def item(text):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return json.dumps(
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    ).encode()


@pytest.mark.parametrize(
    ("format", "text", "words"),
    [
        (FORMAT, '{"n": 1}', ""),
        (FORMAT, '{"n": "1"}', "At '/n'"),
        (FORMAT, '{"m": 1}', "At '/'"),
        (FORMAT, '{"n": 1', "not valid JSON"),
        (OBJECT, "{}", ""),
        (OBJECT, "[]", "not a JSON object"),
        (TextFormat(type="json_schema", name="x", schema=Raw(b'{"type": 12}')), "{}", ""),
    ],
)
def test_a_fault_is_named(format, text, words):
    assert (words in fault_of(text, format)) if words else fault_of(text, format) == ""


def test_a_wrong_answer_is_a_clear_failure_and_calls_are_not_looked_at():
    watch = StructuredOutput(FORMAT, repair=False)
    watch.check([item('{"n": 1}')])
    watch.check([b'{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}'])
    with pytest.raises(BackendError, match="required format") as failed:
        watch.check([item('{"n": true}')])
    assert failed.value.code == "invalid_output"


def test_without_repair_nothing_is_held():
    deltas = [ReasoningDelta("hm"), TextDelta("x")]
    assert StructuredOutput(FORMAT, repair=False).take(deltas) == deltas


def test_with_repair_the_text_is_held_and_released():
    watch = StructuredOutput(FORMAT, repair=True)
    assert watch.take([ReasoningDelta("hm"), TextDelta('{"n":')]) == [ReasoningDelta("hm")]
    assert watch.take([TextDelta(" 1}")]) == []
    assert watch.again(None) is None
    assert "".join(delta.text for delta in watch.release()) == '{"n": 1}'


def test_words_beside_a_call_are_no_answer():
    watch = StructuredOutput(FORMAT, repair=True)
    assert watch.take([TextDelta("Looking.")]) == []
    call = CallStart("0", "call_1", "look")
    assert watch.take([call]) == [TextDelta("Looking."), call]
    assert watch.again(None) is None
    watch.check(
        [item("Looking."), b'{"type":"function_call","id":"fc_1","call_id":"c","name":"look","arguments":"{}"}']
    )
