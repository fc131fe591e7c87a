"""What guards apply to, what is told of them, and what becomes of a response when one of them fails."""

from __future__ import annotations

import json
import logging
import re
import threading
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.config import BackendConfig, GuardConfig, KeyConfig, ModelConfig
from antiphon.config.sections.guards import REFUSAL
from tests.server.guards.guards_setup import CODES, guarded, judge
from tests.server.guards.models import BEFORE, PATTERN, SECRET, SecretiveModel
from tests.server.guards.modes import chat_streamed, chat_whole, streamed, websocket, whole
from tests.server.test_hosted_tools import TOOL
from tests.server.test_hosted_tools import Model as LookupModel
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.lookup import Lookup

pytestmark = pytest.mark.slow


# What is told


def test_a_block_is_told_in_the_response_the_log_and_the_metrics_without_the_text(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with guarded(url) as client, caplog.at_level(logging.INFO, "antiphon"):
        made = client.create(model="text.across", input="Say it.")
        (item,) = made["output"]
        assert (made["status"], made["incomplete_details"], item["status"]) == (
            "incomplete",
            {"reason": "content_filter"},
            "incomplete",
        )
        assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]
        told = made["moderation"]["output"]
        assert (told["type"], told["flagged"], told["categories"]) == ("moderation_result", True, {"codes": True})
        assert made["moderation"]["input"]["flagged"] is False
        status, _ = client.post("/v1/responses", model="clean", input=f"It is {SECRET}.")
        assert status == 400
        page = client.get("/metrics")[1].decode()
    assert f"response {made['id']}: guard codes (patterns[0]) blocked the text" in caplog.messages
    assert not any(SECRET in line for line in caplog.messages)
    assert 'antiphon_guard_looks_total{guard="codes",place="text",outcome="blocked"} 1' in page
    assert 'antiphon_guard_looks_total{guard="codes",place="input",outcome="blocked"} 1' in page


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("guard", [CODES, GuardConfig(kind="moderation", model="mod-1", window=32)])
def test_tokens_of_a_blocked_answer_are_counted_where_they_are_known(url: str, api: Any, guard: GuardConfig) -> None:
    models = {"mod-1": ModelConfig(backends=["upstream"])}
    with whole_server(backends={"upstream": BackendConfig(url=url)}) as inner:
        backend = BackendConfig(url=url if api == "chat" else f"{inner.url}/v1", api=api)
        backends = {"asked": backend, "upstream": BackendConfig(url=url, discover=False)}
        with whole_server(backends=backends, models=models, guards={"codes": guard}) as client:
            made = client.create(model="text.inside", input="Say it.")
    assert made["incomplete_details"] == {"reason": "content_filter"}
    assert (made["usage"]["input_tokens"], made["usage"]["output_tokens"]) == (5, 7)


def test_a_stream_ends_with_the_refusals_events(url: str) -> None:
    with guarded(url, CODES) as client:
        types = [event["type"] for event in client.stream(model="text.inside", input="Say it.")]
    assert types[-7:] == [
        "response.content_part.done",  # of the text
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]


def test_what_passes_is_told_only_where_it_was_asked_for(url: str) -> None:
    with guarded(url) as client:
        assert "moderation" not in client.create(model="clean", input="Hi.")
        made = client.create(model="clean", input="Hi.", moderation={"model": "codes"})
        assert [made["moderation"][side]["flagged"] for side in ("input", "output")] == [False, False]


def test_the_sdk_reads_all_of_it(url: str) -> None:
    moderation: Any = {"model": "mod-1", "policy": {"output": {"mode": "block"}}}
    with guarded(url, judge(applies="asked")) as client:
        sdk = openai.OpenAI(base_url=f"{client.url}/v1", api_key="none")
        made = sdk.responses.create(model="text.inside", input="Say it.", moderation=moderation)
        assert made.incomplete_details is not None and made.incomplete_details.reason == "content_filter"
        assert made.moderation is not None and made.moderation.output.type == "moderation_result"
        assert made.moderation.output.flagged and made.moderation.output.category_scores["secrets"] == 0.9
        events = list(sdk.responses.create(model="text.inside", input="Say it.", moderation=moderation, stream=True))
        assert events[-1].type == "response.incomplete" and events[-1].response.moderation == made.moderation
        said: Any = [{"role": "user", "content": "Say it."}]
        chat = sdk.chat.completions.create(model="text.inside", messages=said, moderation=moderation)
        assert chat.choices[0].finish_reason == "content_filter" and chat.choices[0].message.refusal == REFUSAL
        assert chat.moderation is not None and chat.moderation.output.type == "moderation_results"
        chunks = list(
            sdk.chat.completions.create(model="text.inside", messages=said, moderation=moderation, stream=True)
        )
        assert [chunk.moderation.output.type for chunk in chunks if chunk.moderation is not None] == [
            "moderation_results"
        ]


# What a request asks for


def test_a_request_asks_for_scores_or_to_be_blocked(url: str) -> None:
    with guarded(url, judge(applies="asked")) as client:
        fields: Json = {"model": "text.inside", "input": "Say it."}
        assert "moderation" not in client.create(**fields) and not SecretiveModel.moderated
        scored = client.create(**fields, moderation={"model": "mod-1"})
        assert scored["status"] == "completed" and SECRET in str(scored["output"])
        assert scored["moderation"]["output"]["category_scores"]["secrets"] == 0.9
        for side, asked in (("output", fields), ("input", {"model": "clean", "input": f"It is {SECRET}."})):
            policy = {side: {"mode": "block"}}
            status, body = client.post("/v1/responses", **asked, moderation={"model": "mod-1", "policy": policy})
            assert (status, body.get("status")) == ((200, "incomplete") if side == "output" else (400, None))


def test_a_model_that_judges_can_be_asked_for_without_a_guard_in_the_settings(url: str) -> None:
    models = {"mod-1": ModelConfig(backends=["upstream"], type="moderation")}
    keys = {"a": KeyConfig(key="sk-a"), "b": KeyConfig(key="sk-b", models=["text.*"])}
    with whole_server(backends={"upstream": BackendConfig(url=url)}, models=models, keys=keys) as client:
        policy = {"output": {"mode": "block"}}
        fields: Json = {"model": "text.inside", "input": "Say it.", "moderation": {"model": "mod-1", "policy": policy}}
        made = Client(client.url, "sk-a").create(**fields)
        assert made["incomplete_details"] == {"reason": "content_filter"}
        status, body = Client(client.url, "sk-b").post("/v1/responses", **fields)
        assert (status, body["error"]["code"]) == (400, "model_not_found")
        fields["moderation"]["model"] = "clean"  # one that only talks
        status, body = Client(client.url, "sk-a").post("/v1/responses", **fields)
        assert (status, body["error"]["code"]) == (400, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_moderation_model_that_there_is_not(url: str, path: str) -> None:
    asked: Json = {"input": "Hi."} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "Hi."}]}
    with guarded(url, judge(applies="asked")) as client:
        status, made = client.post(path, model="clean", **asked, moderation={"model": "omni"})
        assert (status, made["moderation"]["output"]["code"]) == (200, "model_not_found")
        policy = {"output": {"mode": "block"}}
        status, body = client.post(path, model="clean", **asked, moderation={"model": "omni", "policy": policy})
        assert (status, body["error"]["param"], body["error"]["code"]) == (400, "moderation.model", "model_not_found")
    assert len(SecretiveModel.asked) == 1


def test_a_request_cannot_switch_off_what_always_applies(url: str) -> None:
    with guarded(url) as client:
        policy = {"input": {"mode": "score"}, "output": {"mode": "score"}}
        made = client.create(model="text.inside", input="Say it.", moderation={"model": "codes", "policy": policy})
        assert made["incomplete_details"] == {"reason": "content_filter"}


# What they apply to


def test_guards_of_some_models_and_owners(url: str) -> None:
    keys = {
        name: KeyConfig(key=f"sk-{name}", owner=f"team-{name}", scopes=["responses", "chat"]) for name in ("a", "b")
    }
    guard = GuardConfig(patterns=[PATTERN], models=["text.*"], owners=["team-a"])
    with guarded(url, guard, keys=keys) as client:
        for owner, model, blocked in (
            ("a", "text.inside", True),
            ("b", "text.inside", False),
            ("a", "reasoning.end", False),
        ):
            own = Client(client.url, f"sk-{owner}")
            for mode in (whole, streamed, chat_whole, chat_streamed):
                told = mode(own, model=model, input="Say it.")
                assert (SECRET in told.raw) != blocked, (owner, model, mode.__name__)


def test_routes_without_a_way_through_guards_refuse(url: str) -> None:
    with guarded(url) as client:
        status, body = client.post("/v1/completions", model="clean", prompt="Say it.")
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_model", "model")
        question = {"type": "predicate", "instructions": f"Is {SECRET} a code?"}
        status, body = client.post("/v1/decisions", model="clean", input="Judge.", questions=[question])
        assert (status, body["error"]["code"]) == (400, "invalid_prompt"), body
    assert not SecretiveModel.asked


def test_places_that_are_not_looked_at_pass(url: str) -> None:
    guard = GuardConfig(patterns=[PATTERN], looks_at=["text"])
    with guarded(url, guard) as client:
        for model in ("reasoning.shattered", "tool_calls.shattered"):
            assert SECRET in whole(client, model=model, input=f"It is {SECRET}.").raw
        assert SECRET not in whole(client, model="text.shattered", input="Say it.").raw


def test_without_a_guard_chat_completions_are_relayed_as_they_come(url: str) -> None:
    said = [{"role": "user", "content": "Say it."}]
    with whole_server(backends={"upstream": BackendConfig(url=url)}) as client:
        chat_streamed(client, model="clean", input="Say it.")
        status, made = client.post("/v1/chat/completions", model="clean", messages=said, seed=7, made_up=1)
        assert (status, "id" in made) == (200, False)  # as the backend said it
    SecretiveModel.asked.pop(0)
    with guarded(url) as client:
        client.post("/v1/chat/completions", model="clean", messages=said, seed=7, made_up=1)
    for asked in SecretiveModel.asked:
        assert (asked["seed"], asked["made_up"]) == (7, 1)


@pytest.mark.parametrize("mode", [whole, streamed, websocket])
def test_what_a_tool_of_this_server_gives(mode: Any) -> None:
    guard = GuardConfig(patterns=["of cats"], looks_at=["tool_results"])
    with upstream(LookupModel) as url, whole_server(url, guards={"cats": guard}, hosted=[Lookup()]) as client:
        LookupModel.asked.clear()
        made: Json
        fields: Json = {"model": "m", "input": "look cats", "tools": [TOOL]}
        if mode is websocket:
            with client.websocket() as connection:
                made = turn(connection, **fields)[-1]["response"]
        else:
            made = client.create(**fields) if mode is whole else client.stream(**fields)[-1]["response"]
        assert [item["type"] for item in made["output"]] == ["lookup_call", "message"]
        assert (made["output"][0]["status"], made["incomplete_details"]) == ("failed", {"reason": "content_filter"})
        assert made["output"][1]["content"][0]["refusal"] == REFUSAL
        assert len(LookupModel.asked) == 1  # the model is not told
        dogs = client.create(model="m", input="look dogs", tools=[TOOL])
        assert dogs["status"] == "completed"


def test_a_run_that_another_server_takes_over_is_guarded(url: str, tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    gate = SecretiveModel.hesitates = threading.Event()
    SecretiveModel.reached.clear()
    with guarded(url, store=store, background_lease=1.0, shutdown_grace=0.1) as client:
        id = client.create(model="text.across", input="Say it.", background=True)["id"]
        assert SecretiveModel.reached.wait(20)
    gate.set()
    with guarded(url, store=store, background_lease=1.0) as client:
        made = client.finished(id)
        events = client.get(f"/v1/responses/{id}?stream=true")[1]
    assert made["incomplete_details"] == {"reason": "content_filter"}
    assert [part.get("text") or part.get("refusal") for part in made["output"][0]["content"]] == [BEFORE, REFUSAL]
    assert events[-1]["response"] == made and SECRET not in str(events)


def test_what_a_backend_said_is_traced_only_as_far_as_it_passed(url: str) -> None:
    body = json.dumps({"model": "text.shattered", "input": "Say it.", "stream": True}).encode()
    with guarded(url) as client:
        asked = urllib.request.Request(f"{client.url}/v1/responses", body, {"x-antiphon-trace": "deltas"})
        with urllib.request.urlopen(asked, timeout=20) as reply:
            told = reply.read().decode()
    comments = [line for line in told.split("\n") if line.startswith(":")]
    assert comments and "refusal" in told
    assert "SECRET" not in "".join(re.findall(r'"text":"([^"]*)"', "".join(comments)))


def test_input_that_steers_is_looked_at(url: str) -> None:
    with guarded(url) as client, client.websocket() as connection:
        turn(connection, model="clean", input="Hi.")
        (event,) = turn(connection, model="clean", input=f"It is {SECRET}.", generate=False)
        assert (event["type"], event["error"]["code"]) == ("error", "invalid_prompt")


def test_an_input_that_is_too_long_to_be_judged(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.responses.guards.response_guard.MOST_JUDGED", 1000)
    with guarded(url, judge(on_failure="pass")) as client:
        status, body = client.post("/v1/responses", model="clean", input="x" * 1001)
        assert (status, body["error"]["code"]) == (400, "string_above_max_length")
