"""Who counts tokens: the backend, else a local tokenizer, else an estimate that learns."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from antiphon.config import ModelConfig
from antiphon.core.token_count import Estimator
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


def test_an_estimate_learns_from_real_counts() -> None:
    estimator = Estimator()
    asked = turn("a text of some length " * 20)
    before = estimator.estimate(asked)
    for _ in range(20):
        estimator.learn(asked, before * 3)
    assert abs(estimator.estimate(asked) - before * 3) <= 3


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"models\.m\.tokenizer"):
        TokenCounter(Estimator(), {"m": "/nowhere/tokenizer.json"})
