"""What agents and snippets are told of a model: its window, thoughts, images; which model is taken; Codex's profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from antiphon.cli.agents.profiles import launch
from antiphon.cli.agents.snippets import SNIPPETS, snippet
from antiphon.cli.agents.target import NAMED_KEY, AgentTarget
from tests.acceptance.command import serving
from tests.cli.test_launch import installed, run_launch

pytestmark = pytest.mark.slow

MODELS = """
store = "memory"
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
[models.an-embedder]
name = "scripted"
responses = false
[models.plain]
name = "scripted"
reasoning = false
images = {images}
context_length = {window}
[models.thinking]
name = "scripted"
"""
AGENT = """#!/bin/sh
for word; do case "$word" in model_catalog_json=*) eval "$word"; cat "$model_catalog_json" ;; esac; done
"""
PLAIN = AgentTarget(url="http://127.0.0.1:8080/v1", key="k", model="plain", context=20_000, thinks=False)


def home_of(folder: Path) -> dict[str, str]:
    """Return an environment with `folder` as home and its programs first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ANTIPHON_", "CODEX_"))}
    return {**kept, "HOME": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def antiphon(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "antiphon", *arguments],
        env=home_of(folder),
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("images", [False, True])
def test_codex_gets_the_models_own_card(tmp_path: Path, images: bool) -> None:
    installed(tmp_path, "codex", AGENT)
    (tmp_path / "antiphon.toml").write_text(MODELS.format(images=str(images).lower(), window=20_000))
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        done = run_launch(tmp_path, home_of(tmp_path), "codex", "--url", server.url, "--model", "plain")
    assert done.returncode == 0, done.stderr
    (model,) = json.loads(done.stdout)["models"]
    assert model["supported_reasoning_levels"] == [] and model.get("default_reasoning_level") is None
    assert model["context_window"] == 20_000
    assert model["input_modalities"] == (["text", "image"] if images else ["text"])
    assert "plain has a window of 20,000 tokens; agents need 32,768 or more" in done.stderr


def test_a_model_that_cannot_chat_is_not_taken_and_the_last_one_is_remembered(tmp_path: Path) -> None:
    installed(tmp_path, "codex", AGENT)
    (tmp_path / "antiphon.toml").write_text(MODELS.format(images="false", window=40_000))
    slugs = []
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        for model in ((), ("--model", "thinking"), ()):
            done = run_launch(tmp_path, home_of(tmp_path), "codex", "--url", server.url, *model)
            slugs.append(json.loads(done.stdout)["models"][0]["slug"])
        (tmp_path / ".local/share/antiphon/launch.json").write_text("[" * 100_000)
        broken = run_launch(tmp_path, home_of(tmp_path), "codex", "--url", server.url)
    assert slugs == ["plain", "thinking", "thinking"]
    assert json.loads(broken.stdout)["models"][0]["slug"] == "plain"


def test_the_demo_model_is_refused_for_agents(tmp_path: Path) -> None:
    installed(tmp_path, "codex", AGENT)
    done = antiphon(tmp_path, "launch", "codex", "--context", "4096")
    assert done.returncode == 1
    assert "antiphon-demo is too small for codex" in done.stderr


@pytest.mark.parametrize("agent", ["codex", "opencode", "pi", "llm"])
def test_no_agent_asks_a_model_for_thoughts_that_has_none(agent: str) -> None:
    told = "".join(launch(agent, PLAIN).files.values())
    assert '"reasoning": true' not in told and "reasoning: true" not in told
    assert '"effort"' not in told


PYTHON = ("python", "agents-sdk", "langchain", "pydantic-ai", "anthropic", "claude-agent-sdk")
JAVASCRIPT = ("javascript", "agents-sdk-js", "ai-sdk", "anthropic-js")


@pytest.mark.parametrize("client", sorted(SNIPPETS))
def test_the_key_is_read_from_the_environment_where_the_client_can(client: str) -> None:
    text = snippet(client, PLAIN._replace(key=NAMED_KEY))
    if client in PYTHON:
        assert 'os.environ["ANTIPHON_API_KEY"]' in text and "$ANTIPHON_API_KEY" not in text
        compile(text, client, "exec")
    elif client in JAVASCRIPT:
        assert "process.env.ANTIPHON_API_KEY" in text and "$ANTIPHON_API_KEY" not in text
    assert f"'{NAMED_KEY}" not in text, "a shell leaves it as it is between single quotes"


def test_codex_gets_a_profile_in_its_home_and_loses_it_again(tmp_path: Path) -> None:
    home = tmp_path / ".codex"
    home.mkdir()
    (home / "config.toml").write_text('model = "mine"\n')
    (tmp_path / "antiphon.toml").write_text(MODELS.format(images="false", window=40_000))
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        written = antiphon(tmp_path, "connect", "codex", "--write", "--url", server.url)
    assert written.returncode == 0, written.stderr
    profile = tomllib.loads((home / "antiphon.config.toml").read_text())
    assert profile["model"] == "plain" and profile["model_providers"]["antiphon"]["base_url"] == f"{server.url}/v1"
    assert json.loads(Path(profile["model_catalog_json"]).read_text())["models"][0]["context_window"] == 40_000
    assert antiphon(tmp_path, "connect", "codex", "--restore").returncode == 0
    assert [path.name for path in home.iterdir()] == ["config.toml"]
    (home / "antiphon.config.toml").write_text('model = "mine too"\n')
    for way in ("--write", "--restore"):
        refused = antiphon(tmp_path, "connect", "codex", way, "--url", server.url)
        assert refused.returncode == 1 and "is not from `antiphon connect codex --write`" in refused.stderr
    assert (home / "antiphon.config.toml").read_text() == 'model = "mine too"\n'
    assert antiphon(tmp_path, "connect", "zed", "--write").returncode == 2
