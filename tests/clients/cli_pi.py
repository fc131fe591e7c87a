"""pi: a tool loop, thoughts that come back, and a second turn in the same session."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.clients.lib import API_KEY, BASE_URL, HERE, MODEL, has, play, same, scenario

_MODEL = {"id": MODEL, "reasoning": True, "input": ["text", "image"], "contextWindow": 131072, "maxTokens": 8192}
_PROVIDER = {"baseUrl": BASE_URL, "api": "openai-responses", "apiKey": API_KEY, "models": [_MODEL]}


class Pi:
    """One folder, one person."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        (folder / "models.json").write_text(json.dumps({"providers": {"antiphon": _PROVIDER}}))
        self._environment = {**os.environ, "HOME": str(folder), "PI_CODING_AGENT_DIR": str(folder), "PI_OFFLINE": "1"}

    def run(self, prompt: str, *arguments: str) -> str:
        """Say something; return the answer."""
        command = [
            os.environ["NODE"],
            str(HERE / "node_modules/.bin/pi"),
            "--model",
            f"antiphon/{MODEL}",
            "-p",
            *arguments,
        ]
        done = subprocess.run(
            [*command, prompt],
            cwd=self.work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        same(done.returncode, 0)
        return done.stdout + done.stderr


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        agent = Pi(Path(folder))
        shell = {"think": "T1", "say": "Now.", "call": [["bash", {"command": "echo made-a"}]]}
        written = {"think": "T2", "call": [["write", {"path": "a.txt", "content": "one\n"}]]}
        prompt = play("NOTE colour=blue", shell, written, {"say": "{{tool.0}} {{tool.1}} {{thoughts}}"})
        text = agent.run(prompt, "--thinking", "medium")
        for part in ("made-a", "T1", "T2"):
            has(text, part)
        same((agent.work / "a.txt").read_text(), "one\n")
        again = agent.run(play("Which?", {"say": "{{note.colour}} {{thoughts}}"}), "--thinking", "medium", "--continue")
        has(again, "blue")
        has(again, "T1")


scenario(main)
