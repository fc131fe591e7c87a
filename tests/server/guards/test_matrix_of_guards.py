"""What a guard blocks reaches no client in any mode, however it comes; and every mode ends the same way."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import BackendConfig, EngineConfig, GuardConfig, ModelConfig
from antiphon.config.sections.guards import REFUSAL
from tests.server.guards.models import BEFORE, CUTS, PATTERN, PLACES, SECRET, SecretiveModel
from tests.server.guards.modes import MESSAGES, MODES, Told, background, resumed, streamed, websocket, whole
from tests.server.whole import Client, turn, upstream, whole_server

pytestmark = pytest.mark.slow

BACKENDS = ("chat", "responses", "anthropic")
GUARDS = {
    "patterns": {"codes": GuardConfig(patterns=[PATTERN], window=32)},
    "model": {"judge": GuardConfig(kind="moderation", model="mod-1", window=32)},
}
ENDS = {"text": {"text": BEFORE}, "reasoning": {"reasoning": BEFORE}, "tool_calls": {}}


@pytest.fixture(scope="module", params=GUARDS)
def guards(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module", params=BACKENDS)
def client(request: pytest.FixtureRequest, guards: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with guards, in front of a chat backend, or of another server of ours that speaks Responses or Messages."""
    with ExitStack() as stack:
        url = stack.enter_context(upstream(SecretiveModel))
        backends = {"upstream": BackendConfig(url=url)}
        if request.param != "chat":
            inner = stack.enter_context(whole_server(backends=backends))
            path = "/v1" if request.param == "responses" else ""
            backends = {
                "inner": BackendConfig(url=f"{inner.url}{path}", api=request.param),
                "upstream": BackendConfig(url=url, discover=False),
            }
        models = {"mod-1": ModelConfig(backends=["upstream"])}
        store = tmp_path_factory.mktemp("store") / "antiphon.db"
        yield stack.enter_context(
            whole_server(backends=backends, models=models, guards=GUARDS[guards], store=str(store))
        )


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_it_is_told_in_any_mode(client: Client, guards: str, place: str, cut: str) -> None:
    seen: list[Told] = []
    for mode in MODES:
        told = mode(client, model=f"{place}.{cut}", input="Say it.")
        assert SECRET not in told.raw, mode.__name__
        assert SECRET not in "".join(told.texts.values()), mode.__name__
        if guards == "patterns":
            refusal = "text" if mode in MESSAGES else "refusal"
            expected = dict(ENDS[place])
            expected[refusal] = expected.get(refusal, "") + REFUSAL
            assert told.texts == expected, mode.__name__
        if mode in MESSAGES:
            assert told.reason == "refusal"
            continue
        assert told.reason == "content_filter", mode.__name__
        seen.append(told)
    assert len({str(told.essence) for told in seen}) == 1


@pytest.mark.parametrize("mode", MODES)
def test_what_is_clean_passes_whole(client: Client, mode: Any) -> None:
    told = mode(client, model="clean", input="Say it.")
    assert told.texts == {"text": "Nothing secret."}
    assert told.reason in ("completed", "stop", "end_turn")


def test_a_request_is_blocked_before_a_model_is_asked(client: Client) -> None:
    SecretiveModel.asked.clear()
    asked = f"My code is {SECRET}."
    said = [{"role": "user", "content": asked}]
    part = [{"role": "user", "content": [{"type": "input_text", "text": asked}]}]
    output = [{"type": "function_call_output", "call_id": "call_1", "output": asked}]
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    tool = {"type": "function", "name": "look", "description": asked, "parameters": {"type": "object"}}
    for fields in (
        {"input": asked},
        {"input": asked, "stream": True},
        {"input": asked, "background": True},
        {"input": asked, "store": False},
        {"input": part},
        {"input": [call, *output]},
        {"input": "Hello.", "instructions": asked},
        {"input": "Hello.", "tools": [tool]},
    ):
        status, body = client.post("/v1/responses", model="clean", **fields)
        assert (status, body["error"]["code"], SECRET in str(body)) == (400, "invalid_prompt", False), body
    for stream in (False, True):
        status, body = client.post("/v1/chat/completions", model="clean", messages=said, stream=stream)
        assert (status, body["error"]["code"], SECRET in str(body)) == (400, "invalid_prompt", False), body
        status, body = client.post("/v1/messages", model="clean", max_tokens=9, messages=said, stream=stream)
        assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    with client.websocket() as connection:
        (event,) = turn(connection, model="clean", input=asked)
        assert (event["type"], event["error"]["code"]) == ("error", "invalid_prompt")
    status, body = client.post("/v1/responses/compact", model="clean", input=asked)
    assert (status, body["error"]["code"]) == (400, "invalid_prompt")
    assert not SecretiveModel.asked


def test_a_conversation_that_was_filled_by_hand_is_looked_at(client: Client) -> None:
    SecretiveModel.asked.clear()
    _, made = client.post("/v1/conversations", items=[{"role": "user", "content": f"It is {SECRET}."}])
    status, body = client.post("/v1/responses", model="clean", input="What is it?", conversation=made["id"])
    assert (status, body["error"]["code"]) == (400, "invalid_prompt")
    assert not SecretiveModel.asked


def test_the_embedded_model(tmp_path: Path) -> None:
    """Of what the demo model says, a word in the middle is forbidden: no mode says it, all stop before it."""
    asked = {"model": "demo", "input": "Who are you?", "temperature": 0.0}
    engine = EngineConfig()
    with whole_server(backends={}, engine=engine) as client:
        wait_for_model(client)
        model = client.get("/v1/models")[1]["data"][0]["id"]
        asked["model"] = model
        text = client.create(**asked)["output"][-1]["content"][0]["text"]
    word = max(re.findall(r"[A-Za-z]{4,}", text[8:]), key=len)
    guards = {"word": GuardConfig(words=[word], looks_at=["text"], window=32)}
    store = str(tmp_path / "antiphon.db")
    with whole_server(backends={}, engine=engine, guards=guards, store=store) as client:
        wait_for_model(client)
        for mode in (whole, streamed, websocket, background, resumed):
            told = mode(client, **asked)
            assert (told.reason, told.texts["refusal"]) == ("content_filter", REFUSAL), mode.__name__
            assert re.search(rf"\b{word}\b", told.texts.get("text", ""), re.IGNORECASE) is None
            assert text.startswith(told.texts.get("text", ""))


def wait_for_model(client: Client) -> None:
    """Wait until the embedded model is loaded."""
    for _ in range(600):
        if client.get("/ready")[0] == 200 and client.get("/v1/models")[1]["data"]:
            return
        threading.Event().wait(0.1)
    raise AssertionError("the model does not load")
