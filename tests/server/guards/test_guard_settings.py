"""Settings of guards, and guards that fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon import create_app
from antiphon.backends.base import ModelCard
from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config, GuardConfig
from antiphon.errors import ConfigError
from antiphon.responses.guards.stream import JudgedStream, PatternedStream, RefusedStream
from tests.examples.packages import add_package
from tests.server.guards.guards_setup import CODES, guarded, judge
from tests.server.guards.models import SECRET, SecretiveModel
from tests.server.guards.modes import MODES
from tests.server.whole import upstream, whole_server

pytestmark = pytest.mark.slow


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
    add_package(tmp_path, monkeypatch, {"antiphon.guards": "odd = tests.server.guards.test_guard_settings:Odd"})
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
