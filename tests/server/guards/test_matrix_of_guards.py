"""What a guard blocks reaches no client in any mode, however it comes; and every mode ends the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from antiphon.config import BackendConfig, GuardConfig
from antiphon.config.guards import REFUSAL
from tests.server.guards.models import BEFORE, CUTS, PATTERN, PLACES, SECRET, SecretiveModel
from tests.server.guards.modes import CHAT, MESSAGES, MODES, Told
from tests.server.whole import Client, upstream, whole_server

pytestmark = pytest.mark.slow

BACKENDS = ("chat", "responses")
GUARDS = {
    "patterns": {"codes": GuardConfig(patterns=[PATTERN], window=32)},
    "model": {"judge": GuardConfig(kind="moderation", model="upstream/mod-1", window=32)},
}
ENDS = {"text": {"text": BEFORE}, "reasoning": {"reasoning": BEFORE}, "tool_calls": {}}


@pytest.fixture(scope="module", params=GUARDS)
def guards(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module", params=BACKENDS)
def client(request: pytest.FixtureRequest, guards: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with guards, in front of a chat backend, or of another server of ours that speaks Responses."""
    with ExitStack() as stack:
        url = stack.enter_context(upstream(SecretiveModel))
        backends = {"upstream": BackendConfig(url=url)}
        if request.param == "responses":
            inner = stack.enter_context(whole_server(backends=backends))
            backends = {
                "inner": BackendConfig(url=f"{inner.url}/v1", api="responses"),
                "upstream": BackendConfig(url=url, discover=False),
            }
        store = tmp_path_factory.mktemp("store") / "antiphon.db"
        yield stack.enter_context(whole_server(backends=backends, guards=GUARDS[guards], store=str(store)))


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
    refused = [
        client.post("/v1/responses", model="clean", input=asked),
        client.post("/v1/responses", model="clean", input=asked, stream=True),
        client.post("/v1/responses", model="clean", input=asked, background=True),
        client.post("/v1/responses", model="clean", input="Hello.", instructions=asked),
        client.post(
            "/v1/responses", model="clean", input=[{"role": "user", "content": [{"type": "input_text", "text": asked}]}]
        ),
        *(
            client.post(
                "/v1/chat/completions", model="clean", messages=[{"role": "user", "content": asked}], stream=stream
            )
            for stream in (False, True)
        ),
    ]
    for status, body in refused:
        assert (status, body["error"]["code"]) == (400, "invalid_prompt"), body
        assert SECRET not in str(body)
    for stream in (False, True):
        messages = [{"role": "user", "content": asked}]
        status, body = client.post("/v1/messages", model="clean", max_tokens=9, messages=messages, stream=stream)
        assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    with client.websocket() as connection:
        from tests.server.whole import turn

        (event,) = turn(connection, model="clean", input=asked)
        assert (event["type"], event["error"]["code"]) == ("error", "invalid_prompt")
    assert not SecretiveModel.asked


def test_a_conversation_that_was_filled_by_hand_is_looked_at(client: Client) -> None:
    SecretiveModel.asked.clear()
    _, made = client.post("/v1/conversations", items=[{"role": "user", "content": f"It is {SECRET}."}])
    status, body = client.post("/v1/responses", model="clean", input="What is it?", conversation=made["id"])
    assert (status, body["error"]["code"]) == (400, "invalid_prompt")
    assert not SecretiveModel.asked


assert CHAT
