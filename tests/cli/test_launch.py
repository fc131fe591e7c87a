"""`antiphon launch` starts an agent with a profile of its own; `antiphon connect` prints snippets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from antiphon.cli.agents import AGENTS, SNIPPETS, AgentTarget, launch, snippet
from tests.acceptance.command import serving

pytestmark = pytest.mark.slow

TARGET = AgentTarget(url="http://127.0.0.1:8080/v1", key="sk-secret", model="org/a-model")
AGENT = """#!/bin/sh
cat "$CODEX_HOME/config.toml"
echo "key $ANTIPHON_KEY folder $CODEX_HOME arguments $@"
exit 7
"""
CONFIG = """
store = "memory"
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
"""


@pytest.mark.parametrize("agent", AGENTS)
def test_a_profile_names_the_server_and_hides_the_key(agent: str) -> None:
    start = launch(agent, TARGET)
    files = "".join(start.files.values())
    assert TARGET.url in files
    assert TARGET.model in files
    assert TARGET.key not in files
    assert TARGET.key in start.variables.values()
    assert any("{folder}" in value for value in start.variables.values())


def test_codex_gets_a_provider_and_a_catalogue() -> None:
    start = launch("codex", TARGET)
    config = tomllib.loads(start.files["config.toml"])
    assert config["model_providers"]["antiphon"] == {
        "name": "Antiphon",
        "base_url": TARGET.url,
        "env_key": "ANTIPHON_KEY",
        "wire_api": "responses",
    }
    (model,) = json.loads(start.files["models.json"])["models"]
    assert model["slug"] == config["model"] == TARGET.model


@pytest.mark.parametrize("client", sorted(SNIPPETS))
def test_a_snippet_names_server_and_model(client: str) -> None:
    text = snippet(client, TARGET)
    assert TARGET.url in text
    assert TARGET.model in text
    assert "{url}" not in text
    assert "{{" not in text


def test_an_agent_runs_against_the_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".codex").mkdir(parents=True)
    (home / ".codex/config.toml").write_text("mine = true\n")
    program = tmp_path / "bin/codex"
    program.parent.mkdir()
    program.write_text(AGENT)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "antiphon.toml").write_text(CONFIG)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(home)}
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        done = subprocess.run(
            [sys.executable, "-m", "antiphon", "launch", "codex", "--url", server.url, "--", "exec", "Do it."],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 7, done.stderr
    assert f'base_url = "{server.url}/v1"' in done.stdout
    assert "key none" in done.stdout
    assert "arguments exec Do it." in done.stdout
    folder = done.stdout.split("folder ")[1].split(" arguments")[0]
    assert not Path(folder).exists()
    assert (home / ".codex/config.toml").read_text() == "mine = true\n"


def test_an_agent_that_is_not_there_is_told_how_to_get(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(CONFIG)
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        done = subprocess.run(
            [sys.executable, "-m", "antiphon", "launch", "pi", "--url", server.url],
            env={**os.environ, "PATH": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert "pi is not installed: npm install" in done.stderr
