"""llm-comply, a suite that holds answers against OpenAPI documents: Messages, Open Responses, chat completions."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.lib import API_KEY, BASE_URL, same, scenario

COMMAND = str(Path(sys.executable).parent / "llm-comply")
SKIPPED = {"anthropic": 0, "open-responses": 1, "openai-chat": 1}  # a test that wants a model by its name


def comply(format: str, model: str) -> None:
    arguments = ["-u", BASE_URL, "-k", API_KEY, "-m", model, "--format", format, "--json"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=200)
    told = json.loads(done.stdout)
    same([result for result in told["results"] if result["status"] == "failed"], [])
    summary = told["summary"]
    same((summary["passed"] + SKIPPED[format], summary["skipped"]), (summary["total"], SKIPPED[format]))
    assert summary["total"] >= 9, summary


def main() -> None:
    comply("anthropic", "claude-opus-4-6")
    comply("open-responses", "capable")
    comply("openai-chat", "capable")


scenario(main)
