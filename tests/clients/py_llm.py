"""The `llm` command with a Responses model: prompts, chats that go on with sealed thoughts, tools, schemas, attachments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

LLM = Path(sys.executable).parent / "llm"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6364f8cf500f00038601805a34"
    "7d6b0000000049454e44ae426082"
)


def describe(folder: Path) -> None:
    settings = (
        "api_key_name: openai",
        "responses: true",
        "supports_tools: true",
        "supports_schema: true",
        "vision: true",
        f"model_name: {MODEL}",
    )
    common = "\n  ".join((f"api_base: {BASE_URL}", *settings))
    models = [
        f"- model_id: {name}\n  {common}\n{more}" for name, more in (("plain", ""), ("thinker", "  reasoning: true\n"))
    ]
    (folder / "extra-openai-models.yaml").write_text("".join(models))
    (folder / "keys.json").write_text(json.dumps({"openai": API_KEY}))
    (folder / "pixel.png").write_bytes(PIXEL)
    (folder / "tools.py").write_text('def look(city: str) -> str:\n    "Look at a city."\n    return f"seen {city}"\n')


def body(folder: Path) -> None:
    environment = {**os.environ, "LLM_USER_PATH": str(folder), "OPENAI_API_KEY": API_KEY}

    def llm(*arguments: str) -> str:
        done = subprocess.run(
            [str(LLM), *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    steps = [
        {"think": "HM", "say": "Looking.", "call": [["look", {"city": "Rome"}], ["look", {"city": "Oslo"}]]},
        {"say": "{{tool.0}} {{tool.1}} {{thoughts}}"},
    ]
    effort = ("-o", "reasoning_effort", "low", "-o", "reasoning_summary", "detailed")
    same(
        llm(
            "prompt",
            "-m",
            "plain",
            "-s",
            "BE",
            "-a",
            "pixel.png",
            play("x", {"think": "HM", "say": "{{system}} {{images}}"}),
        ),
        "BE 1",
    )
    for stream in ((), ("--no-stream",)):  # a start of the command takes seconds: few of them
        told = llm("prompt", "-m", "thinker", *effort, *stream, "--functions", "tools.py", play("NOTE pet=cat", *steps))
        has(told, "seen Rome seen Oslo HM")
    same(
        llm("prompt", "-m", "thinker", "-c", *effort, play("?", {"say": "{{users}} {{note.pet}} {{thoughts}}"})),
        "2 cat HM",
    )
    answer = llm(
        "prompt", "-m", "plain", "--schema", "x int, label", "--no-stream", play("x", {"json": {"x": 4, "label": "p"}})
    )
    same(json.loads(answer), {"x": 4, "label": "p"})
    failed = subprocess.run(
        [str(LLM), "-m", "plain", play("x", {"error": {"status": 400, "message": "WRONG"}})],
        env=environment,
        capture_output=True,
        text=True,
    )
    has(failed.stderr, "WRONG")


def everything() -> None:
    with tempfile.TemporaryDirectory() as folder:
        describe(Path(folder))
        body(Path(folder))


scenario(everything)
