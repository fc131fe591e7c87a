"""Codex over a WebSocket: several model calls in a turn, thoughts, patches, a second turn in the same thread."""

from tests.clients.codexes import Codex
from tests.clients.lib import has, play, same, scenario

SHELL = [["exec_command", {"cmd": "echo made-a"}], ["exec_command", {"cmd": "echo made-b"}]]
PATCH = "*** Begin Patch\n*** Add File: b.txt\n+line\n*** End Patch"


def main() -> None:
    with Codex(model={}, provider="supports_websockets = true") as codex:
        steps = ({"think": "T1", "say": "Now.", "call": SHELL}, {"think": "T2", "raw": ["apply_patch", PATCH]})
        turn = codex.run(
            play("NOTE colour=blue", *steps, {"say": "{{tool.0}} {{tool.1}} {{tool.2}} {{thoughts}} U{{users}}"})
        )
        for part in ("made-a", "made-b", "b.txt", "T1", "T2"):
            has(turn.text, part)
        same((codex.work / "b.txt").read_text(), "line\n")
        again = codex.run(play("Which?", {"say": "{{note.colour}}"}), resume=True)
        same(again.text, "blue")
        failed = codex.run(play("x", {"error": {"status": 400, "message": "too odd for me"}}))
        has(" ".join(failed.errors), "too odd for me")


scenario(main)
