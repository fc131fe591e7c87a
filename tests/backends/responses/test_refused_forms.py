"""Servers that refuse a form of request: they are asked once more without it, and so from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.backends.error_words import ErrorWords
from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.responses.items import RequestForm
from antiphon.backends.responses.refused_forms import form_of, lesson_of, next_form
from antiphon.errors import BackendError
from tests.backends.responses.test_backend import pair, play
from tests.backends.turns import read_all, turn
from tests.net.upstream import Call

Json = dict[str, Any]

HISTORY: list[Json] = [
    {"type": "message", "role": "user", "content": "x"},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
        "encrypted_content": "gAAA",
    },
    {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "Hi"}]},
    {"type": "message", "role": "user", "content": "y"},
]


def _seals(body: Json) -> bool:
    return any(item.get("encrypted_content") for item in body["input"])


def _thoughts(body: Json) -> bool:
    return any(item["type"] == "reasoning" and item.get("content") for item in body["input"])


def _without_id(body: Json) -> bool:
    return any("id" not in item for item in body["input"] if item.get("role") == "assistant")


# What a server does not take, its status and its error: OpenAI's, Azure's, xAI's, FastAPI's words.
SERVERS: dict[str, tuple[Callable[[Json], bool], int, Json]] = {
    "no sealed thoughts (OpenAI, models that do not think)": (
        lambda body: "include" in body,
        400,
        {"error": {"message": "Encrypted content is not supported with this model.", "param": "include", "code": None}},
    ),
    "no thoughts as text (OpenAI)": (
        _thoughts,
        400,
        {
            "error": {
                "message": "Invalid 'input[1].content': array too long. Expected an array with maximum length 0, but got an"
                " array with length 1 instead.",
                "param": "input[1].content",
                "code": "array_above_max_length",
            }
        },
    ),
    "an item that is not kept (Azure)": (
        _thoughts,
        404,
        {"error": {"message": "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."}},
    ),
    "an unknown kind of item (xAI)": (
        _thoughts,
        422,
        {"error": "Failed to deserialize the JSON body: data did not match any variant of untagged enum ModelInput"},
    ),
    "items with ids only (vLLM before 0.20)": (
        _without_id,
        400,
        {
            "detail": [
                {"type": "missing", "loc": ["body", "input", "ResponseOutputMessageParam", "id"], "msg": "required"}
            ]
        },
    ),
    "a required id": (_without_id, 400, {"error": {"message": "Missing required parameter: 'input[2].id'."}}),
}


@pytest.mark.parametrize(("refuses", "status", "error"), SERVERS.values(), ids=SERVERS)
async def test_it_is_asked_once_more_and_so_from_then_on(
    refuses: Callable[[Json], bool], status: int, error: Json
) -> None:
    async def strict(call: Call) -> None:
        if refuses(call.json):
            await call.answer(error, status=status)
        else:
            await play(call)

    async with pair(strict) as (backend, upstream):
        for _ in range(2):
            await read_all(await backend.open(turn(items=HISTORY)))
        assert [refuses(call.json) for call in upstream.calls] == [True, False, False]


async def test_a_foreign_seal_is_a_matter_of_one_history() -> None:
    async def strict(call: Call) -> None:
        if any(item.get("encrypted_content") == "gAAA" for item in call.json["input"]):
            words = "The encrypted content gAAA could not be verified."
            await call.answer({"error": {"message": words, "code": "invalid_encrypted_content"}}, status=400)
        else:
            await play(call)

    own = [{**HISTORY[1], "encrypted_content": "own"}]
    async with pair(strict) as (backend, upstream):
        await read_all(await backend.open(turn(items=HISTORY)))
        await read_all(await backend.open(turn(items=own)))
        assert [_seals(call.json) for call in upstream.calls] == [True, False, True]
        assert [_thoughts(call.json) for call in upstream.calls] == [True, True, True]


async def test_a_server_that_refuses_all_of_it_is_asked_once_for_each() -> None:
    async def stubborn(call: Call) -> None:
        words = "invalid_encrypted_content, encrypted content is not supported, reasoning_text, ResponseOutputMessage"
        await call.answer({"error": {"message": words}}, status=400)

    async with pair(stubborn) as (backend, upstream):
        with pytest.raises(BackendError, match="is not supported"):
            await backend.open(turn(items=HISTORY))
        assert len(upstream.calls) == 5


@pytest.mark.parametrize("words", ["Encrypted content is not supported with this model.", "Bad temperature."])
async def test_another_refusal_is_final(words: str) -> None:
    async def refuse(call: Call) -> None:
        await call.answer({"error": {"message": words}}, status=400)

    async with pair(refuse) as (backend, upstream):
        for _ in range(2):
            with pytest.raises(BackendError, match=words):
                await backend.open(turn("x"))
        bodies = [call.json for call in upstream.calls]
        assert len(bodies) == (4 if words.startswith("Encrypted") else 2)
        assert "include" in bodies[-2 if len(bodies) == 4 else -1]  # nothing was learned


@pytest.mark.parametrize("seals", [True, False])
@pytest.mark.parametrize("asks_seals", [True, False])
@pytest.mark.parametrize("thoughts", [True, False])
@pytest.mark.parametrize("ids", [True, False])
def test_a_form_is_remembered_beside_what_else_was_learned(
    seals: bool, asks_seals: bool, thoughts: bool, ids: bool
) -> None:
    form = RequestForm(seals=seals, asks_seals=asks_seals, thoughts=thoughts, ids=ids)
    other = Adaptation(drop=("temperature",), efforts=("low",), context_length=4096)
    learned = other.plus(lesson_of(form))
    assert form_of(learned) == replace(form, seals=True)
    assert learned.context_length == 4096 and learned.drop[0] == "temperature"


async def test_what_one_owner_has_taught_is_not_done_to_others() -> None:
    async def strict(call: Call) -> None:
        if _thoughts(call.json):
            await call.answer({"error": {"message": "reasoning_text is not supported"}}, status=400)
        else:
            await play(call)

    async with pair(strict) as (backend, upstream):
        for owner in ("mallory", "mallory", "alice", "bob"):
            asked = turn(items=HISTORY)
            await read_all(await backend.open(replace(asked, hints=replace(asked.hints, owner=owner))))
        assert [_thoughts(call.json) for call in upstream.calls] == [True, False, False, True, False, False]
        assert backend.learned == {asked.model: Adaptation(reasoning_out="none")}


def test_a_long_refusal_is_not_read_to_its_end() -> None:
    assert next_form(RequestForm(), ErrorWords(message="x" * 5_000 + "include")) is None
    assert next_form(RequestForm(), ErrorWords(message="encrypted content " * 100_000)) is None
