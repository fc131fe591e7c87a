"""`antiphon launch` starts an agent with a profile of its own; `antiphon connect` prints snippets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from antiphon.cli.agents.choice import chosen
from antiphon.cli.agents.profiles import AGENTS, launch
from antiphon.cli.agents.snippets import SNIPPETS, snippet
from antiphon.cli.agents.target import AgentTarget
from antiphon.cli.client import ListedModel
from tests.acceptance.command import serving

pytestmark = pytest.mark.slow

TARGET = AgentTarget(url="http://127.0.0.1:8080/v1", key="sk-secret", model="org/a-model")
AGENT = """#!/bin/sh
echo "key $ANTIPHON_API_KEY home ${CODEX_HOME:-mine}"
for word; do echo "word $word"; done
case "$6" in model_catalog_json=*) eval "${6}"; cat "$model_catalog_json"; echo ;; esac
exit 7
"""
CLAUDE = """#!/bin/sh
env | sort
echo "arguments $@"
stat -c %a "$CLAUDE_CONFIG_DIR" "$CLAUDE_CONFIG_DIR/settings.json"
echo '{"mine": true}' > "$CLAUDE_CONFIG_DIR/settings.json"
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
    told = files + "".join(start.variables.values()) + "".join(start.command)
    assert TARGET.url in told or TARGET.url.removesuffix("/v1") in start.variables.values()
    assert TARGET.model in told
    assert TARGET.key not in files
    assert TARGET.key in start.variables.values()
    assert any("{folder}" in value for value in (*start.variables.values(), *start.command))


def test_codex_gets_a_provider_and_a_catalogue() -> None:
    start = launch("codex", TARGET, isolated=True)
    assert start.variables["CODEX_HOME"] == "{folder}"
    config = tomllib.loads(start.files["config.toml"])
    assert config["model_providers"]["antiphon"] == {
        "name": "Antiphon",
        "base_url": TARGET.url,
        "env_key": "ANTIPHON_API_KEY",
        "wire_api": "responses",
    }
    (model,) = json.loads(start.files["models.json"])["models"]
    assert model["slug"] == config["model"] == TARGET.model


@pytest.mark.parametrize("client", sorted(SNIPPETS))
def test_a_snippet_names_server_and_model(client: str) -> None:
    text = snippet(client, TARGET)
    assert TARGET.url.removesuffix("/v1") in text
    assert TARGET.model in text or client in ("jan", "open-webui")  # these list the models themselves
    assert "{url}" not in text
    assert "{{" not in text.replace("{{ secrets", "")
    assert not [
        name
        for name in ("base", "context", "output", "search", "key", "python_key", "thinks", "sees")
        if f"{{{name}}}" in text
    ]


def installed(folder: Path, name: str, text: str) -> Path:
    """Put a program into `folder`/bin."""
    program = folder / "bin" / name
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_an_agent_runs_against_the_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".codex").mkdir(parents=True)
    (home / ".codex/config.toml").write_text("mine = true\n")
    program = installed(tmp_path, "codex", AGENT)
    (tmp_path / "antiphon.toml").write_text(CONFIG)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(home)}
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        done = run_launch(tmp_path, environment, "codex", "--url", server.url, "--", "exec", "Do it.")
        alone = run_launch(tmp_path, environment, "codex", "--isolated", "--url", server.url)
    assert done.returncode == 7, done.stderr
    assert "key none home mine\n" in done.stdout
    words = [line.removeprefix("word ") for line in done.stdout.splitlines() if line.startswith("word ")]
    assert words[-2:] == ["exec", "Do it."]
    settings = tomllib.loads("\n".join(word for word in words if "=" in word))
    assert settings["model"] == "scripted" and settings["model_provider"] == "antiphon"
    assert settings["model_providers"]["antiphon"]["base_url"] == f"{server.url}/v1"
    (model,) = json.loads(done.stdout.splitlines()[-1])["models"]
    assert (model["slug"], model["supported_reasoning_levels"] != []) == ("scripted", True)
    assert not Path(settings["model_catalog_json"]).exists()
    assert "home mine" not in alone.stdout and "home /" in alone.stdout
    assert (home / ".codex/config.toml").read_text() == "mine = true\n"


def run_launch(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "antiphon", "launch", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


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


SIZED = """
store = "memory"
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
[models.scripted]
context_length = {window}
"""


def launched(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `antiphon launch claude` in an environment that has credentials for other servers."""
    others = {"ANTHROPIC_API_KEY": "sk-other", "CLAUDE_CODE_USE_BEDROCK": "1", "CLAUDE_CODE_OAUTH_TOKEN": "other"}
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return subprocess.run(
        [sys.executable, "-m", "antiphon", "launch", "claude", "--url", url, *arguments],
        env={**kept, **others, "PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


def test_claude_code_gets_the_window_and_nobody_elses_credentials(tmp_path: Path) -> None:
    installed(tmp_path, "claude", CLAUDE)
    (tmp_path / "antiphon.toml").write_text(SIZED.format(window=40_000))
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        done = launched(tmp_path, server.url, "--", "-p", "Do it.")
        assert done.returncode == 0, done.stderr
        again = launched(tmp_path, server.url)
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert told["ANTHROPIC_BASE_URL"] == server.url
    assert told["ANTHROPIC_AUTH_TOKEN"] == "none"
    assert {told[name] for name in told if name.endswith("_MODEL")} == {"scripted"}
    assert told["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "40000"
    assert told["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "10000"
    assert told["ENABLE_TOOL_SEARCH"] == "true"
    assert "other" not in done.stdout and "BEDROCK" not in done.stdout
    assert "arguments -p Do it." in done.stdout
    folder = tmp_path / ".local/share/antiphon/claude"
    assert told["CLAUDE_CONFIG_DIR"] == str(folder)
    assert done.stdout.split()[-2:] == ["700", "600"]
    assert again.returncode == 0
    assert json.loads((folder / "settings.json").read_text()) == {"mine": True}  # kept between runs


def test_claude_code_needs_a_window_for_its_own_prompt(tmp_path: Path) -> None:
    installed(tmp_path, "claude", CLAUDE)
    (tmp_path / "antiphon.toml").write_text(SIZED.format(window=8192))
    with serving(tmp_path, "--config", "antiphon.toml") as server:
        refused = launched(tmp_path, server.url, "--", "-p", "Hello.")
        bare = launched(tmp_path, server.url, "--", "--bare", "-p", "Hello.")
    assert refused.returncode == 1
    assert "scripted has a window of 8,192 tokens; claude needs 24,576" in refused.stderr
    assert "add `-- --bare`" in refused.stderr
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS=8192\n" in bare.stdout


def test_the_shell_takes_what_connect_prints_for_claude_code(tmp_path: Path) -> None:
    text = snippet("claude", TARGET._replace(key="$ANTIPHON_API_KEY")).removesuffix("claude\n")
    shell = ["sh", "-c", f"{text}\nenv"]
    done = subprocess.run(
        shell, env={"ANTIPHON_API_KEY": "sk-1"}, capture_output=True, text=True, timeout=30, check=True
    )
    assert "ANTHROPIC_AUTH_TOKEN=sk-1\n" in done.stdout
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8080\n" in done.stdout


def test_the_python_of_a_snippet_is_python() -> None:
    for client in ("python", "agents-sdk", "langchain", "pydantic-ai", "anthropic", "claude-agent-sdk"):
        compile(snippet(client, TARGET), client, "exec")


def test_a_model_whose_id_is_a_command_is_not_pasted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "antiphon", "connect", "claude", "--url", "http://127.0.0.1:9", "--model", "a$(rm b)"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1 and not done.stdout
    assert "cannot stand in a snippet" in done.stderr


class Terminal:
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_the_model_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [ListedModel(id="a", context_length=8192), ListedModel(id="b")]
    asked: list[object] = []

    def prompt(text: str, **options: object) -> int:
        asked.append(options["default"])
        return 2

    assert chosen(models, None, "url", "codex") is models[0]  # not in a terminal
    monkeypatch.setattr(sys.modules[chosen.__module__], "sys", SimpleNamespace(stdin=Terminal(), stderr=Terminal()))
    monkeypatch.setattr(click, "prompt", prompt)
    assert chosen(models, None, "url", "codex") is models[1]
    assert chosen(models, "b", "url", "codex") is models[1]
    assert chosen(models, "an-alias", "url", "codex").id == "an-alias"
    assert chosen(models[:1], None, "url", "codex") is models[0]
    assert asked == [1]
