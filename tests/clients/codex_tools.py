"""Codex with and without a catalogue entry: commands in parallel, patches, thoughts that come back, a picture."""

import base64

from tests.clients.codexes import Codex
from tests.clients.lib import has, play, same, scenario

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SHELL = [["exec_command", {"cmd": "echo one > a.txt; echo made-a"}], ["exec_command", {"cmd": "echo made-b; exit 3"}]]
PATCH = '*** Begin Patch\n*** Add File: b.txt\n+a "quoted" \\ line\n*** End Patch'


def commands() -> None:
    with Codex() as codex:
        turn = codex.run(play("Go.", {"say": "I start.", "call": SHELL}, {"say": "END {{tool.0}} {{tool.1}}"}))
        has(turn.text, "made-a")
        has(turn.text, "made-b")
        same(sorted(item["exit_code"] for item in turn.of("command_execution")), [0, 3])
        same((codex.work / "a.txt").read_text(), "one\n")
        same(turn.of("agent_message")[0]["text"], "I start.")
        assert turn.usage["input_tokens"] > 0 and turn.usage["output_tokens"] > 0, turn.usage


def patches() -> None:
    with Codex(model={}) as codex:
        step = {"think": "PATCH-IT", "raw": ["apply_patch", PATCH]}
        turn = codex.run(play("Patch.", step, {"say": "{{tool.0}} {{thoughts}} {{system}}"}))
        for part in ("b.txt", "PATCH-IT", "BASE-INSTRUCTIONS"):
            has(turn.text, part)
        same((codex.work / "b.txt").read_text(), 'a "quoted" \\ line\n')


def pictures() -> None:
    with Codex(model={}) as codex:
        (codex.work / "p.png").write_bytes(base64.b64decode(PIXEL))
        turn = codex.run("--image=p.png", play("Look.", {"say": "I{{images}}"}))
        same(turn.text, "I1")


def main() -> None:
    commands()
    patches()
    pictures()


scenario(main)
