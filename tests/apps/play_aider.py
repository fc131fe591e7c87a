"""aider over chat completions: an edit is applied, streamed and whole."""

from __future__ import annotations

from tests.apps.cases import case, run
from tests.apps.programs import Program
from tests.clients.lib import API_KEY, BASE_URL, MODEL, play, same

_aider = Program("aider")
_OPTIONS = (
    f"--model openai/{MODEL} --openai-api-base {BASE_URL} --openai-api-key {API_KEY} --yes-always --no-git --no-check-update"
    " --analytics-disable --no-show-model-warnings --no-show-release-notes --no-detect-urls --edit-format diff --map-tokens 0"
).split()
_EDIT = "a.txt\n```\n<<<<<<< SEARCH\none\n=======\n{}\n>>>>>>> REPLACE\n```\n"


def each(option: str, name: str, new: str) -> None:
    @case(f"edited file, {name}")
    def edits() -> None:
        (_aider.work / "a.txt").write_text("one\n")
        _aider.run(*_OPTIONS, option, "--message", play("Change it", {"say": _EDIT.format(new)}), "a.txt")
        same((_aider.work / "a.txt").read_text(), f"{new}\n")


each("--stream", "streamed", "two")
each("--no-stream", "whole", "three")
run()
