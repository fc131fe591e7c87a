"""Codex compacts before a turn where the usage tells it to: with a summary of its own and with the server's compaction item."""

from tests.clients.codexes import Codex
from tests.clients.lib import has, play, scenario

LIMIT = "model_auto_compact_token_limit = 50000"


def compacts(name: str, provider: str) -> None:
    with Codex(model={}, name=name, provider=provider, top=LIMIT) as codex:
        call = {"think": "T1", "call": [["exec_command", {"cmd": "echo made-a"}]], "usage": [200, 20]}
        has(codex.run(play("NOTE colour=blue", call, {"say": "FULL", "usage": [60000, 20]})).text, "FULL")
        again = codex.run(play("Which?", {"say": "{{note.colour}} A{{assistants}}", "usage": [200, 20]}), resume=True)
        has(again.text, "blue")
        kept = "".join(path.read_text() for path in (codex.home / "sessions").rglob("*.jsonl"))
        has(kept, '"type":"compacted"')
        third = codex.run(play("And now?", {"say": "{{note.colour}}", "usage": [200, 20]}), resume=True)
        has(third.text, "blue")


def main() -> None:
    compacts("antiphon", "")
    compacts("OpenAI", "")
    compacts("OpenAI", "supports_websockets = true")


scenario(main)
