"""Qwen Code over chat completions: answers, reads and writes a file, keeps thoughts, continues a session."""

from __future__ import annotations

from tests.apps.cases import case, run
from tests.apps.programs import Program
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same

_qwen = Program("qwen", {"OPENAI_MODEL": MODEL, "QWEN_TELEMETRY_ENABLED": "0"})
_OPTIONS = ("--auth-type", "openai", "--openai-api-key", API_KEY, "--openai-base-url", BASE_URL, "-m", MODEL, "--yolo")


@case("hello")
def hello() -> None:
    has(_qwen.run(*_OPTIONS, "-p", play("Hi", {"say": "hello {{systems}}"})), "hello 1")


@case("two tools")
def tools() -> None:
    (_qwen.work / "a.txt").write_text("one line\n")
    read = {"think": "FIRST", "call": [["read_file", {"file_path": str(_qwen.work / "a.txt")}]]}
    write = {"think": "MORE", "call": [["write_file", {"file_path": str(_qwen.work / "b.txt"), "content": "two\n"}]]}
    said = _qwen.run(*_OPTIONS, "-p", play("Copy", read, write, {"say": "END {{tool.0}} {{thoughts}}"}))
    has(said, "END ")
    has(said, "one line")
    has(said, "FIRST | MORE")
    same((_qwen.work / "b.txt").read_text(), "two\n")


@case("conversation")
def conversation() -> None:
    _qwen.run(*_OPTIONS, "-p", "NOTE colour=blue")
    has(_qwen.run(*_OPTIONS, "--continue", "-p", play("Which?", {"say": "END {{note.colour}}"})), "END blue")


run()
