"""Who counts tokens: the backend, else a local tokenizer, else an estimate that learns."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw
from tokenizers import Tokenizer, models, pre_tokenizers

from antiphon.config import ModelConfig
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items, decode_request, decode_tools, resolve_text
from antiphon.core.token_count import Estimator, texts_of
from antiphon.errors import ConfigError
from antiphon.responses.intake.token_count import PER_TEXT, TokenCounter
from tests.backends.turns import turn
from tests.server.whole import Client, golden_upstream, whole_server


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A tokenizer that knows nothing: every word is one token."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)


def count(client: Client, **fields: object) -> tuple[int, str | None]:
    request = urllib.request.Request(f"{client.url}/v1/responses/input_tokens", json.dumps(fields).encode())
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)["input_tokens"], reply.headers["x-antiphon-token-count"]


def test_a_local_tokenizer_counts_all_that_the_model_reads(file: str) -> None:
    counted = {"counted": ModelConfig(name="text", tokenizer=file)}
    with golden_upstream() as url, whole_server(url, models=counted) as client:
        tokens, header = count(client, model="counted", input="one two three", instructions="be brief")
        assert (tokens, header) == (3 + 2 + 2 * PER_TEXT, None)
        more, _ = count(client, model="counted", input="one two three", tools=[{"type": "function", "name": "look"}])
        assert more > 3 + PER_TEXT


def test_an_estimate_says_that_it_is_one() -> None:
    with golden_upstream() as url, whole_server(url) as client:
        tokens, header = count(client, model="text", input="one two three")
        assert tokens > 0
        assert header == "estimate"


PICTURE = "QUFB" * 100_000
URL = f"data:image/png;base64,{PICTURE}"
MCP_OUTPUT = to_json({"type": "image", "data": PICTURE, "mimeType": "image/png"}).decode()
WITH_PICTURES = [
    {"role": "user", "content": [{"type": "input_image", "image_url": URL}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}}]},
    {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": URL}]},
    {"type": "computer_call_output", "call_id": "a", "output": {"type": "computer_screenshot", "image_url": URL}},
    {"type": "mcp_call", "id": "a", "server_label": "x", "name": "y", "arguments": "{}", "output": MCP_OUTPUT},
]


@pytest.mark.parametrize("item", WITH_PICTURES, ids=lambda item: item.get("type", "message"))
def test_pictures_and_sounds_do_not_count_by_their_bytes(item: dict[str, object]) -> None:
    asked = msgspec.structs.replace(turn("look"), items=decode_items([Raw(to_json(item))]))
    assert 500 < Estimator().estimate(asked) < 3000
    assert sum(map(len, texts_of(asked))) < 1000
    large = msgspec.structs.replace(asked, size=len(to_json(item)))
    assert 500 < Estimator().estimate(large) < 3000


def test_other_long_texts_count_as_what_they_are() -> None:
    for item in (
        {"role": "user", "content": PICTURE},
        {"type": "mcp_call", "id": "a", "server_label": "x", "name": "y", "arguments": "{}", "output": PICTURE},
    ):
        asked = msgspec.structs.replace(turn("look"), items=decode_items([Raw(to_json(item))]))
        assert Estimator().estimate(asked) > 90_000


def test_an_estimate_learns_from_real_counts() -> None:
    estimator = Estimator()
    asked = turn("a text of some length " * 20)
    before = estimator.estimate(asked)
    for _ in range(20):
        estimator.learn(asked, before * 3)
    assert abs(estimator.estimate(asked) - before * 3) <= 3


WEATHER = decode_tools([Raw(to_json({"type": "function", "name": "get_weather", "parameters": {"type": "object"}}))])
SEEN = {
    "transformers": (17, 28, 41, 45),
    "LiteLLM": (19, 30, 43, 47),
    "a template that adds a long text": (817, 828, 841, 845),
}
"""Tokens of the same four inputs, as servers without a tokenizer for clients reported them."""


@pytest.mark.parametrize("server", SEEN)
def test_after_a_few_counts_estimates_of_such_requests_are_right(server: str) -> None:
    """Templates add tokens for each request, message and tool: a rate per byte alone was wrong by half for short inputs."""
    hello, paris = turn("Say hello in five words."), turn("What is the weather in Paris?")
    turns = [
        hello,
        msgspec.structs.replace(hello, instructions="You are a pirate."),
        msgspec.structs.replace(paris, tools=WEATHER),
        msgspec.structs.replace(turn("What is the weather in Paris and in Rome?"), tools=WEATHER),
    ]
    estimator = Estimator()
    for _ in range(4):
        for asked, tokens in zip(turns, SEEN[server], strict=True):
            estimator.learn(asked, tokens)
    for asked, tokens in zip(turns, SEEN[server], strict=True):
        assert abs(estimator.estimate(asked) - tokens) <= max(4, tokens // 20)


def test_short_inputs_do_not_spoil_the_estimates_of_long_ones() -> None:
    estimator = Estimator()
    for words in range(1, 17):
        estimator.learn(turn("word " * words), 12 + words)
    assert 8_000 < estimator.estimate(turn("word " * 10_000)) < 14_000


@pytest.mark.parametrize("tokens", [1, 2**31, 10**15])
def test_an_estimate_recovers_from_wrong_counts(tokens: int) -> None:
    estimator = Estimator()
    asked = turn("a text of some length " * 200)
    for _ in range(8):
        estimator.learn(asked, tokens)
    for _ in range(24):
        estimator.learn(asked, 1_100)
    assert 700 < estimator.estimate(asked) < 1_500


def test_counts_of_inputs_that_were_changed_teach_nothing() -> None:
    """With `truncation: auto` the model may have seen less; a format may be told in the prompt."""
    estimator = Estimator()
    asked = turn("a text of some length " * 200)
    before = estimator.estimate(asked)
    request, _ = decode_request(to_json({"model": "m", "text": {"format": {"type": "json_object"}}}))
    cut = msgspec.structs.replace(asked, request=msgspec.structs.replace(asked.request, truncation="auto"))
    formatted = msgspec.structs.replace(asked, text=resolve_text(request.text))
    for one in (cut, formatted):
        for _ in range(4):
            estimator.learn(one, 17)
    assert estimator.estimate(asked) == before


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"models\.m\.tokenizer"):
        TokenCounter(Estimator(), {"m": "/nowhere/tokenizer.json"})
