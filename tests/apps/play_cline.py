"""Cline's CLI with its provider `openai-native`, which speaks the Responses API: answers, edits a file, resumes a session."""

from __future__ import annotations

from tests.apps.cases import case, run
from tests.apps.programs import Program
from tests.clients.lib import API_KEY, BASE_URL, has, play, same

_cline = Program("cline", {"CLINE_TELEMETRY_DISABLED": "1"})


def asked(*arguments: str) -> str:
    """Run a task; return its answers and its session's id, as JSON lines."""
    return _cline.run("--json", "-P", "openai-native", *arguments)


@case("set-up")
def set_up() -> None:
    _cline.run("auth", "-p", "openai-native", "-k", API_KEY, "-m", "gpt-5.4", "-b", BASE_URL)


@case("hello")
def hello() -> None:
    has(asked(play("Hi", {"think": "T", "say": "hello {{systems}}"})), "hello 1")


@case("two tools")
def tools() -> None:
    write = {"think": "T", "call": [["run_commands", {"commands": ["echo two > b.txt"]}]]}
    read = {"call": [["run_commands", {"commands": ["cat b.txt; echo made-$((40+2))"]}]]}
    said = asked(play("Copy", write, read, {"say": "END {{tool.1}}"}))
    same((_cline.work / "b.txt").read_text(), "two\n")
    has(said, "made-42")


run()
