"""What guards apply to, what is told of them, and what becomes of a response when one of them fails."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from antiphon import create_app
from antiphon.backends.base import ModelCard
from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config, GuardConfig, KeyConfig, ModelConfig
from antiphon.config.sections.guards import REFUSAL
from antiphon.errors import ConfigError
from antiphon.responses.guards.stream import JudgedStream, PatternedStream, RefusedStream
from tests.examples.packages import add_package
from tests.server.guards.models import BEFORE, PATTERN, SECRET, SecretiveModel
from tests.server.guards.modes import MODES, chat_streamed, chat_whole, streamed, websocket, whole
from tests.server.test_hosted_tools import TOOL
from tests.server.test_hosted_tools import Model as LookupModel
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.lookup import Lookup

pytestmark = pytest.mark.slow

CODES = GuardConfig(patterns=[PATTERN], window=32)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(SecretiveModel) as url:
        yield url


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    SecretiveModel.asked.clear()
    SecretiveModel.moderated.clear()
    yield
    SecretiveModel.moderation_status, SecretiveModel.hesitates = 200, None


@contextmanager
def guarded(url: str, guard: GuardConfig = CODES, name: str = "codes", **settings: Any) -> Iterator[Client]:
    with whole_server(backends={"upstream": BackendConfig(url=url)}, guards={name: guard}, **settings) as client:
        yield client


def judge(**fields: Any) -> GuardConfig:
    return GuardConfig(kind="moderation", model="mod-1", window=32, **fields)


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


async def test_settings_that_change_while_the_server_runs(url: str) -> None:
    config = Config(store="memory", backends={"upstream": BackendConfig(url=url)})
    parts = Parts(config)
    changed = msgspec.structs.replace(config, guards={"codes": CODES})
    card = ModelCard(id="clean")
    assert not parts.guards.apply(card, "")
    parts.reload(changed)
    assert parts.guards.apply(card, "")
    wrong = msgspec.structs.replace(config, guards={"codes": GuardConfig(patterns=["("])})
    with pytest.raises(ConfigError, match=r"guards.codes.patterns\[0\]: is no regular expression of RE2"):
        parts.reload(wrong)
    assert parts.guards.apply(card, "")
    await parts.registry.close()


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        (GuardConfig(), "expected words or patterns"),
        (GuardConfig(kind="moderation"), "model: expected the id"),
        (GuardConfig(kind="nobody", words=["x"]), "no package adds it"),
        (GuardConfig(patterns=["x*"]), "fits an empty text"),
        (GuardConfig(words=[" "]), "is empty"),
    ],
)
def test_settings_that_make_no_guard(guard: GuardConfig, why: str) -> None:
    backends = {"demo": BackendConfig(url="http://127.0.0.1:9", api="scripted")}
    config = Config(store="memory", backends=backends, guards={"g": guard})
    with pytest.raises(ConfigError, match=why):
        create_app(config)


# Failures


@pytest.mark.parametrize("stream", [False, True])
def test_a_guard_that_fails_closes(url: str, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    SecretiveModel.moderation_status = 500
    with guarded(url, judge(looks_at=["input"])) as client:
        status, body = client.post("/v1/responses", model="clean", input="Hi.", stream=stream)
        assert (status, body["error"]["code"]) == (503, "guard_unavailable")
        assert not SecretiveModel.asked
        assert 'outcome="failed"' in client.get("/metrics")[1].decode()
    with guarded(url, judge(looks_at=["text"])) as client:
        status, body = client.post("/v1/responses", model="text.end", input="Hi.", stream=stream)
        if stream:
            assert body[-1]["response"]["error"]["code"] == "guard_unavailable"
            assert not any(event["type"].endswith(".delta") for event in body)
        else:
            assert (status, body["error"]["code"]) == (503, "guard_unavailable")
    assert any("guard codes: failed" in line for line in caplog.messages)


@pytest.mark.parametrize("stream", [False, True])
def test_a_guard_that_fails_opens_where_that_is_set_and_it_is_told(url: str, stream: bool) -> None:
    SecretiveModel.moderation_status = 500
    with guarded(url, judge(on_failure="pass")) as client:
        made = (
            client.stream(model="clean", input="Hi.")[-1]["response"]
            if stream
            else client.create(model="clean", input="Hi.")
        )
    assert made["status"] == "completed"
    assert [made["moderation"][side]["code"] for side in ("input", "output")] == ["guard_unavailable"] * 2


class Odd:
    """A guard of another package that does what `options.does` says."""

    def __init__(self, name: str, config: GuardConfig) -> None:
        self._does = config.options["does"]

    async def check(self, texts: Any) -> Any:
        if self._does == "raises":
            raise RuntimeError(texts[0].text)
        if self._does == "hangs":
            await asyncio.sleep(60)
        return []

    async def close(self) -> None:
        """Hold nothing."""


@pytest.mark.parametrize("does", ["raises", "hangs", "says too little"])
def test_a_guard_of_another_package_that_fails(
    url: str, does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_package(tmp_path, monkeypatch, {"antiphon.guards": "odd = tests.server.guards.test_guards:Odd"})
    with guarded(url, GuardConfig(kind="odd", options={"does": does}, timeout=0.2)) as client:
        status, body = client.post("/v1/responses", model="clean", input=f"It is {SECRET}.")
        assert (status, body["error"]["code"]) == (503, "guard_unavailable")
    assert not any(SECRET in line for line in caplog.messages)


@pytest.mark.parametrize("mode", MODES)
def test_a_guard_of_another_package(url: str, mode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_package(tmp_path, monkeypatch, {"antiphon.guards": "prices = examples.custom_guard:NoPrices"})
    options = {"currencies": ["RET-1"]}
    guard = GuardConfig(kind="prices", looks_at=["text"], options=options, window=16)
    with guarded(url, guard, store=str(tmp_path / "antiphon.db")) as client:
        told = mode(client, model="text.shattered", input="Say it.")
        assert SECRET not in told.raw and told.reason in ("content_filter", "refusal")
        assert mode(client, model="clean", input="Say it.").texts == {"text": "Nothing secret."}


# Time


def test_text_that_waits_is_looked_at_before_its_window_is_full() -> None:
    with upstream(SecretiveModel) as url:
        backends = {"upstream": BackendConfig(url=url), "demo": BackendConfig(url="http://127.0.0.1:9", api="scripted")}
        guards = {"judge": GuardConfig(kind="moderation", model="mod-1", window=4096, delay=0.05, looks_at=["text"])}
        with whole_server(backends=backends, guards=guards) as client:
            events = client.stream(model="scripted", input="/delay 0.1\none two three four five six")
    assert len(SecretiveModel.moderated) > 2
    assert len([event for event in events if event["type"] == "response.output_text.delta"]) > 2
    assert SecretiveModel.moderated[-1] == "one two three four five six"


def test_no_way_past_deltas_is_offered_behind_a_guard() -> None:
    """The fast path from a backend's read to a client's write (`backends.base.offer`) would lead around a guard."""
    assert not any(hasattr(stream, "offer") for stream in (PatternedStream, JudgedStream, RefusedStream))
