"""opencode: a tool loop and a second turn in the same session, by the AI SDK's OpenAI provider."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.clients.lib import API_KEY, BASE_URL, HERE, MODEL, has, play, same, scenario

_MODEL = {"name": MODEL, "reasoning": True, "tool_call": True, "limit": {"context": 131072, "output": 8192}}
_PROVIDER = {
    "npm": "@ai-sdk/openai",
    "name": "Antiphon",
    "options": {"baseURL": BASE_URL, "apiKey": API_KEY},
    "models": {MODEL: _MODEL},
}
_CONFIG = {
    "autoupdate": False,
    "share": "disabled",
    "provider": {"antiphon": _PROVIDER},
    "model": f"antiphon/{MODEL}",
    "small_model": f"antiphon/{MODEL}",
    "permission": {"edit": "allow", "bash": "allow"},
}


class OpenCode:
    """One folder, one person."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        (self.work / "opencode.json").write_text(json.dumps(_CONFIG))
        homes = {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        quiet = {f"OPENCODE_DISABLE_{what}": "1" for what in ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD")}
        self._environment = {**os.environ, "HOME": str(folder), "PWD": str(self.work), **homes, **quiet}

    def run(self, prompt: str, *arguments: str) -> str:
        """Say something on standard input; return all the text that came back."""
        command = [str(HERE / "node_modules/.bin/opencode"), "run", "--format", "json", *arguments]
        done = subprocess.run(
            command, cwd=self.work, env=self._environment, input=prompt, capture_output=True, text=True, timeout=180
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        same([event for event in events if event["type"] == "error"], [])
        return "".join(event["part"]["text"] for event in events if event["type"] == "text")


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        agent = OpenCode(Path(folder))
        shell = {"think": "T1", "say": "Now.", "call": [["bash", {"command": "echo made-a", "description": "say"}]]}
        written = {"think": "T2", "call": [["write", {"filePath": str(agent.work / "a.txt"), "content": "one\n"}]]}
        text = agent.run(play("NOTE colour=blue", shell, written, {"say": "{{tool.0}} {{tool.1}} {{thoughts}}"}))
        for part in ("Now.", "made-a", "T1", "T2"):
            has(text, part)
        same((agent.work / "a.txt").read_text(), "one\n")
        again = agent.run(play("Which?", {"say": "{{note.colour}} {{thoughts}}"}), "--continue")
        has(again, "blue")
        has(again, "T1")


scenario(main)
