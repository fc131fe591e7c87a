"""Continue's CLI with `useResponsesApi`: answers, reads and writes a file, resumes a session."""

from __future__ import annotations

import json

from tests.apps.cases import case, run
from tests.apps.programs import Program
from tests.clients.lib import API_KEY, BASE_URL, has, play, same

_cn = Program("cn", {"CONTINUE_TELEMETRY_ENABLED": "0"})
_MODEL = {
    "name": "ours",
    "provider": "openai",
    "model": "gpt-5.4",
    "apiBase": BASE_URL,
    "apiKey": API_KEY,
    "useResponsesApi": True,
    "capabilities": ["tool_use"],
    "roles": ["chat"],
}
_config = _cn.home / "config.yaml"
_config.write_text(json.dumps({"name": "ours", "version": "1.0.0", "schema": "v1", "models": [_MODEL]}))
_OPTIONS = ("--config", str(_config), "--auto", "-p")


@case("hello")
def hello() -> None:
    has(_cn.run(*_OPTIONS, play("Hi", {"think": "T", "say": "hello {{systems}}"})), "hello 1")


@case("two tools")
def tools() -> None:
    (_cn.work / "a.txt").write_text("one line\n")
    read = {"think": "T", "call": [["Read", {"filepath": str(_cn.work / "a.txt")}]]}
    write = {"call": [["Write", {"filepath": str(_cn.work / "b.txt"), "content": "two\n"}]]}
    has(_cn.run(*_OPTIONS, play("Copy", read, write, {"say": "END {{tool.0}}"})), "one line")
    same((_cn.work / "b.txt").read_text(), "two\n")


@case("conversation")
def conversation() -> None:
    _cn.run(*_OPTIONS, "NOTE colour=blue")
    has(_cn.run("--resume", *_OPTIONS, play("Which?", {"say": "END {{note.colour}}"})), "END blue")


run()
