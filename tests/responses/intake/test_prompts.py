"""Prompt templates from a configuration file to a request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antiphon.config import PromptConfig
from antiphon.config.loading import load
from antiphon.core.request.decoding import decode_request
from antiphon.errors import APIError, ConfigError
from antiphon.responses.intake.prompts import Prompts
from antiphon.types.items import Message
from antiphon.types.request import CreateResponse

FILE = """
[prompts.greet]
instructions = "Be kind to {{name}}."
model = "small"
temperature = 0.25
max_output_tokens = 7
reasoning_effort = "low"
input = [{role = "user", content = "I am {{name}}."}]

[prompts.greet.versions.2]
instructions = "Be brief."
"""


@pytest.fixture
def prompts(tmp_path: Path) -> Prompts:
    (tmp_path / "antiphon.toml").write_text(FILE)
    return Prompts(load({}, {}, tmp_path).config.prompts)


def request(**fields: object) -> CreateResponse:
    return decode_request(json.dumps({"model": "m", "input": "x", **fields}).encode())[0]


def test_a_prompt_fills_in_what_the_request_leaves_open(prompts: Prompts) -> None:
    plain = request(prompt={"id": "greet", "variables": {"name": "Ann"}}, reasoning={"summary": "auto"})
    completed, items = prompts.apply(plain)
    assert completed.instructions == "Be kind to Ann."
    assert (completed.temperature, completed.top_p, completed.max_output_tokens) == (0.25, None, 7)
    assert completed.reasoning is not None
    assert (completed.reasoning.effort, completed.reasoning.summary) == ("low", "auto")
    assert completed.prompt == plain.prompt
    assert list(items) == [Message(role="user", content="I am Ann.")]


def test_the_request_goes_before_its_prompt(prompts: Prompts) -> None:
    own = {"instructions": "", "temperature": 0, "max_output_tokens": 9, "reasoning": {"effort": "high"}}
    completed, _ = prompts.apply(request(prompt={"id": "greet", "variables": {"name": "Ann"}}, **own))
    assert (completed.instructions, completed.temperature, completed.max_output_tokens) == ("", 0, 9)
    assert completed.reasoning is not None and completed.reasoning.effort == "high"


def test_versions(prompts: Prompts) -> None:
    for version in ("2", 2):
        completed, items = prompts.apply(request(prompt={"id": "greet", "version": version}))
        assert (completed.instructions, completed.temperature, list(items)) == ("Be brief.", None, [])
    named = request(prompt={"id": "greet", "version": "1", "variables": {"name": "Ann"}})
    assert prompts.apply(named)[0].instructions == "Be kind to Ann."


def test_a_request_without_a_prompt_is_passed_on_as_it_is(prompts: Prompts) -> None:
    plain = request()
    completed, items = prompts.apply(plain)
    assert completed is plain and list(items) == []


@pytest.mark.parametrize(
    ("prompt", "status", "param"),
    [
        ({"id": "none"}, 404, "prompt.id"),
        ({"id": "greet", "version": "3"}, 404, "prompt.version"),
        ({"id": "greet"}, 400, "prompt.variables.name"),
        ({"id": "greet", "variables": {"name": "x", "nane": "y"}}, 400, "prompt.variables.nane"),
        ({"variables": {}}, 400, "prompt.id"),
    ],
)
def test_what_is_refused(prompts: Prompts, prompt: dict[str, object], status: int, param: str) -> None:
    with pytest.raises(APIError) as error:
        prompts.apply(request(prompt=prompt))
    assert (error.value.status, error.value.param) == (status, param)


@pytest.mark.parametrize("model", [{}, {"model": None}])
def test_a_prompt_names_the_model(prompts: Prompts, model: dict[str, None]) -> None:
    body = json.dumps({**model, "prompt": {"id": "greet"}, "input": "ä"}).encode()
    assert decode_request(prompts.with_model(body))[0].model == "small"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","prompt":{"id":"greet"}}',
        b'{"prompt":{"id":"greet","version":"2"}}',
        b'{"prompt":{"id":1}}',
        b'{"prompt":null}',
        b'{"input":"\\"prompt\\""}',
        b'{"prompt":',
        b'{"prompt":"\xff"}',
        b'["prompt"]',
        b'{"prompt":' + b"[" * 100_000,
    ],
)
def test_other_bodies_are_left_alone(prompts: Prompts, body: bytes) -> None:
    assert prompts.with_model(body) is body


def test_an_unknown_prompt_without_a_model_is_named(prompts: Prompts) -> None:
    with pytest.raises(APIError) as error:
        prompts.with_model(b'{"prompt":{"id":"none"}}')
    assert error.value.param == "prompt.id"


def test_items_that_are_none_are_the_operators_mistake() -> None:
    with pytest.raises(ConfigError, match=r"prompts\.p \(version 1\): input\[0\]\.role"):
        Prompts({"p": PromptConfig(input=[{"type": "message", "content": "x"}])})
