"""The body of a CreateResponse as it is asked: its parts decoded, its model found, its size kept."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from antiphon.config import Config, PromptConfig
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.decoding import ResponsesDecoder
from antiphon.responses.intake.prompts import Prompts
from antiphon.types.items import Message
from antiphon.types.tools import FunctionTool

FUNCTION = {"type": "function", "name": "f", "parameters": {}}
PROMPTS = {"greet": PromptConfig(instructions="Be kind.", model="small")}


def decode(fields: dict[str, Any], model: str | None = None, **settings: Any) -> Asked:
    decoder = ResponsesDecoder(Prompts(PROMPTS), Config(**settings))
    return asyncio.run(decoder.decode(json.dumps(fields).encode(), model))


@pytest.mark.parametrize("size", [1, 300_000])
def test_all_parts_are_decoded(size: int) -> None:
    text = "x" * size
    asked = decode({"model": "m", "input": text, "tools": [FUNCTION], "min_p": 0.5})
    assert asked.items == [Message(role="user", content=text)]
    assert [type(tool) for tool in asked.tools] == [FunctionTool]
    assert list(asked.extra) == ["min_p"]
    assert asked.size > size and asked.text.format.type == "text"


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({"input": "x"}, "first"),
        ({"input": "x", "model": None}, "first"),
        ({"input": "x", "model": "own"}, "own"),
        ({"input": "x", "prompt": {"id": "greet"}}, "small"),
    ],
)
def test_which_model_is_meant(fields: dict[str, Any], model: str) -> None:
    assert decode(fields, "first").request.model == model


def test_without_any_model_it_is_missing() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode({"input": "x"})
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("name", "value"),
    [("input", [{"role": "user", "content": "x"}] * 3), ("tools", [FUNCTION] * 3), ("include", ["a"] * 3)],
)
def test_long_lists_are_refused_before_their_entries_are_looked_at(name: str, value: list[Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(
            {"model": "m", "input": "x", name: [*value[:2], 5] if name != "include" else value},
            max_items=2,
            max_tools=2,
        )
    assert caught.value.param == name
