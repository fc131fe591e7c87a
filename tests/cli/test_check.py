"""`antiphon check` and `antiphon models`, the real command against a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config
from tests.cli.command import antiphon
from tests.net.upstream import Call, running
from tests.server.serving import serving

pytestmark = pytest.mark.slow

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _message(call: Call) -> dict[str, object]:
    """What a capable model answers."""
    if call.json.get("tools"):
        function = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
        return {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
    return {"content": '{"city":"Paris"}' if "response_format" in call.json else "Hi.", "reasoning_content": "Hm."}


async def capable(call: Call) -> None:
    """A server that can do everything."""
    if call.headers.get("authorization") != "Bearer good":
        await call.answer({"error": {"message": "wrong key"}}, 401)
    elif call.path.endswith("/models"):
        await call.answer({"data": [{"id": "able", "object": "model"}]})
    elif call.json.get("stream"):
        await call.start()
        await call.event({"choices": [{"index": 0, "delta": _message(call)}]})
        await call.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
        await call.event("[DONE]")
        await call.end()
    else:
        await call.answer({"choices": [{"message": _message(call), "finish_reason": "stop"}], "usage": USAGE})


async def plain(call: Call) -> None:
    """A server whose model only talks, and refuses tools."""
    if call.path.endswith("/models"):
        await call.answer({"data": [{"id": "plain", "object": "model"}]})
    elif call.json.get("tools"):
        await call.answer({"error": {"message": "this model has no tools"}}, 400)
    elif call.json.get("stream"):
        await call.start()
        await call.event({"choices": [{"index": 0, "delta": {"content": "Well."}, "finish_reason": "stop"}]})
        await call.event("[DONE]")
        await call.end()
    else:
        await call.answer({"choices": [{"message": {"content": "Well."}, "finish_reason": "stop"}]})


def signs(out: str) -> dict[str, str]:
    found = re.findall(r"^  ([✓✗–]) (models|answer|streaming|usage|reasoning|tool call|json_schema)", out, re.MULTILINE)
    return {name: sign for sign, name in found}


async def test_a_capable_backend_passes(tmp_path: Path) -> None:
    async with running(capable) as upstream:
        outcome = await antiphon(tmp_path, "check", "--backend", upstream.url, "--backend-key", "good")
    names = ("models", "answer", "streaming", "usage", "reasoning", "tool call", "json_schema")
    assert signs(outcome.out) == dict.fromkeys(names, "✓")
    assert outcome.code == 0
    assert "good" not in outcome.out + outcome.err


async def test_what_a_backend_cannot_do_is_said_and_is_no_failure(tmp_path: Path) -> None:
    async with running(plain) as upstream:
        outcome = await antiphon(tmp_path, "check", "--backend", upstream.url)
    found = signs(outcome.out)
    assert (found["answer"], found["streaming"], found["reasoning"]) == ("✓", "✓", "–")
    assert (found["usage"], found["tool call"]) == ("✗", "✗")
    assert "this model has no tools" in outcome.out
    assert outcome.code == 0


async def test_a_wrong_key_fails_with_a_hint(tmp_path: Path) -> None:
    async with running(capable) as upstream:
        outcome = await antiphon(tmp_path, "check", "--backend", upstream.url, "--backend-key", "hush")
    assert signs(outcome.out) == {"models": "✗"}
    assert "--backend-key" in outcome.out
    assert "hush" not in outcome.out + outcome.err
    assert outcome.code == 1


async def test_a_wrong_path_fails_with_a_hint(tmp_path: Path) -> None:
    async def lost(call: Call) -> None:
        await call.answer({"error": {"message": "no such page"}}, 404)

    async with running(lost) as upstream:
        outcome = await antiphon(tmp_path, "check", "--backend", upstream.url.removesuffix("/v1"))
    assert "with /v1 at its end?" in outcome.out
    assert outcome.code == 1


async def test_a_backend_that_is_down_fails_the_check(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "check", "--backend", "http://127.0.0.1:9/v1")
    assert signs(outcome.out) == {"models": "✗"}
    assert "Does it run" in outcome.out
    assert outcome.code == 1


async def test_offline_asks_nobody(tmp_path: Path) -> None:
    async with running(capable) as upstream:
        outcome = await antiphon(tmp_path, "check", "--offline", "--backend", upstream.url)
        assert (outcome.code, upstream.accepted) == (0, 0)


async def test_a_configured_model_that_the_backend_lacks_is_named(tmp_path: Path) -> None:
    async with running(plain) as upstream:
        file = f'[backends.b]\nurl = "{upstream.url}"\n[models.mine]\nbackends = ["b"]\nname = "absent"\n'
        (tmp_path / "antiphon.toml").write_text(file)
        outcome = await antiphon(tmp_path, "check")
    assert "models.mine" in outcome.out
    assert "does not list 'absent'" in outcome.out


async def test_the_models_that_would_be_served_are_listed(tmp_path: Path) -> None:
    async with running(capable) as upstream:
        file = '[models.mine]\nname = "able"\naliases = ["gpt-5"]\ncontext_length = 4096\n'
        (tmp_path / "antiphon.toml").write_text(file)
        outcome = await antiphon(tmp_path, "models", "--backend", upstream.url, "--backend-key", "good")
    assert outcome.out == "mine  4,096 tokens  (also gpt-5)\nable\n"


async def test_no_models_is_an_error(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "models", "--backend", "http://127.0.0.1:9/v1")
    assert (outcome.code, outcome.out) == (1, "")
    assert "antiphon check" in outcome.err


async def test_a_backend_that_speaks_responses_is_checked_too(tmp_path: Path) -> None:
    config = Config(
        store="memory", shutdown_grace=0, backends={"b": BackendConfig(url="http://127.0.0.1:9", api="scripted")}
    )
    with serving(build(config), config) as served:
        outcome = await antiphon(tmp_path, "check", "--backend", f"{served.url}/v1", "--backend-api", "responses")
    found = signs(outcome.out)
    assert (found["answer"], found["streaming"], found["usage"], found["tool call"]) == ("✓", "✓", "✓", "✗")
    assert outcome.code == 0
