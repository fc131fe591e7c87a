"""What fits a format and what does not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec import Raw

from antiphon.core.deltas import CallStart, ReasoningDelta, TextDelta
from antiphon.errors import BackendError
from antiphon.responses.structured_output import StructuredOutput
from antiphon.runtime.checker.pool import Checker
from antiphon.types.items import Message
from antiphon.types.request import TextFormat
from tests.backends.turns import turn

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
FORMAT = TextFormat(type="json_schema", name="x", schema=Raw(json.dumps(SCHEMA).encode()))


@pytest_asyncio.fixture
async def checker() -> AsyncIterator[Checker]:
    checker = Checker()
    yield checker
    await checker.close()


def item(text: str) -> bytes:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return json.dumps(
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    ).encode()


async def test_a_wrong_answer_is_a_clear_failure_and_calls_are_not_looked_at(checker: Checker) -> None:
    watch = StructuredOutput(FORMAT, checker, "ann", repair=False)
    await watch.check([item('{"n": 1}')])
    await watch.check([b'{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}'])
    with pytest.raises(BackendError, match=r"required format\. At '/n'") as failed:
        await watch.check([item('{"n": true}')])
    assert (failed.value.status, failed.value.code) == (502, "invalid_output")


THOUGHTS = b'{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]}'


@pytest.mark.parametrize("output", [[THOUGHTS], [item("")], []])
async def test_an_empty_answer_fits_no_format(checker: Checker, output: list[bytes]) -> None:
    watch = StructuredOutput(FORMAT, checker, "ann", repair=False)
    with pytest.raises(BackendError) as failed:
        await watch.check(output)
    assert failed.value.code == "invalid_output"


async def test_a_refusal_is_no_answer(checker: Checker) -> None:
    refused = item("").replace(b'"output_text", "text": ""', b'"refusal", "refusal": "No."')
    await StructuredOutput(FORMAT, checker, "ann", repair=False).check([refused])


async def test_with_repair_an_empty_answer_is_asked_for_again(checker: Checker) -> None:
    watch = StructuredOutput(FORMAT, checker, "ann", repair=True)
    watch.take([ReasoningDelta('{"n": 1}')])
    again = await watch.again(turn("Count."))
    assert again is not None
    assert [one.role for one in again.items if isinstance(one, Message)] == ["user", "user"]
    watch.take([ReasoningDelta("still nothing")])
    assert await watch.again(again) is None


async def test_an_answer_that_cannot_be_checked_is_another_failure(checker: Checker) -> None:
    watch = StructuredOutput(FORMAT, checker, "ann", repair=False)
    with pytest.raises(BackendError, match="cannot be checked") as failed:
        await watch.check([item("[" * 20_000)])
    assert (failed.value.status, failed.value.code) == (502, "unchecked_output")


async def test_without_repair_nothing_is_held(checker: Checker) -> None:
    deltas = [ReasoningDelta("hm"), TextDelta("x")]
    assert StructuredOutput(FORMAT, checker, "ann", repair=False).take(deltas) == deltas


async def test_with_repair_the_text_is_held_and_released(checker: Checker) -> None:
    watch = StructuredOutput(FORMAT, checker, "ann", repair=True)
    assert watch.take([ReasoningDelta("hm"), TextDelta('{"n":')]) == [ReasoningDelta("hm")]
    assert watch.take([TextDelta(" 1}")]) == []
    assert await watch.again(None) is None  # type: ignore[arg-type]  # it fits: the Turn is not looked at
    assert "".join(delta.text for delta in watch.release() if isinstance(delta, TextDelta)) == '{"n": 1}'


async def test_words_beside_a_call_are_no_answer(checker: Checker) -> None:
    watch = StructuredOutput(FORMAT, checker, "ann", repair=True)
    assert watch.take([TextDelta("Looking.")]) == []
    call = CallStart("0", "call_1", "look")
    assert watch.take([call]) == [TextDelta("Looking."), call]
    assert await watch.again(None) is None  # type: ignore[arg-type]
    await watch.check(
        [item("Looking."), b'{"type":"function_call","id":"fc_1","call_id":"c","name":"look","arguments":"{}"}']
    )
