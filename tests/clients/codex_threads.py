"""Codex: a thread that is resumed, a schema for the last message, a catalogue and a plain start as with a local model."""

import json

from tests.clients.codexes import Codex
from tests.clients.lib import has, play, same, scenario


def resumes() -> None:
    with Codex(model={}) as codex:
        first = play(
            "NOTE colour=blue", {"think": "T1", "call": [["exec_command", {"cmd": "echo x"}]]}, {"say": "noted"}
        )
        same(codex.run(first).text, "noted")
        turn = codex.run(play("Which?", {"say": "{{note.colour}} {{thoughts}}"}), resume=True)
        same(turn.text, "blue T1")


def schema() -> None:
    with Codex(model={}) as codex:
        wanted = {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        }
        (codex.work / "schema.json").write_text(json.dumps(wanted))
        turn = codex.run(play("Give.", {"json": {"n": 4}}), "--output-schema", "schema.json")
        same(json.loads(turn.text), {"n": 4})


def local() -> None:
    with Codex() as codex:
        (codex.home / "config.toml").write_text("[analytics]\nenabled = false\n")
        turn = codex.run(
            play("Hi.", {"say": "from here {{tools}}"}), "--oss", "--local-provider", "lmstudio", "-m", "played"
        )
        has(turn.text, "from here")


def main() -> None:
    resumes()
    schema()
    local()


scenario(main)
