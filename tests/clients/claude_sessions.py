"""Claude Code's sessions: resumed, compacted on command and because a window is full, counted, and where the server refuses."""

from __future__ import annotations

import json
import os
import urllib.request

from tests.clients.claudes import Claude
from tests.clients.lib import has, play, same, scenario

NOISE = ["Bash", {"command": "head -c 29000 /dev/zero | tr '\\0' 'x'", "description": "noise"}]  # 7,250 tokens


def resumes() -> None:
    with Claude() as claude:
        call = {"think": "T1", "call": [["Bash", {"command": "echo x", "description": "x"}]]}
        told = claude.run(play("NOTE colour=blue", call, {"say": "noted"}))
        same(told.text, "noted")
        again = claude.run(
            play("Which?", {"say": "{{note.colour}} {{thoughts}}"}), "--resume", told.result["session_id"]
        )
        same(again.text, "blue T1")
        told = claude.run("/compact", "--continue")
        same([event["compact_metadata"]["trigger"] for event in told.system("compact_boundary")], ["manual"])
        same(claude.run(play("Which?", {"say": "{{note.colour}}"}), "--continue").text, "blue")


def compacts_where_the_window_is_full() -> None:
    """It takes the window to be larger than it is, so that the server's refusal is what tells it to compact."""
    with Claude(model="narrow", context=200_000) as claude:
        same(claude.run(play("NOTE colour=blue", {"call": [NOISE]}, {"say": "ONE"})).text, "ONE")
        same(claude.run(play("More.", {"call": [NOISE]}, {"say": "TWO"}), "--continue").text, "TWO")
        told = claude.run(play("More.", {"call": [NOISE, NOISE]}, {"say": "THREE {{note.colour}}"}), "--continue")
        same(told.text, "THREE blue")
        same([event["compact_metadata"]["trigger"] for event in told.system("compact_boundary")], ["auto"])


def keeps_the_beginning_of_its_prompts() -> None:
    """Over a session of several runs, so that a prefix cache reads nothing twice. Which tools there are stays the same."""
    with Claude() as claude:
        (claude.work / "a.txt").write_text("one\n")
        shell = [
            ["Bash", {"command": "echo x", "description": "x"}],
            ["Bash", {"command": "exit 3", "description": "x"}],
        ]
        read = [["Read", {"file_path": str(claude.work / "a.txt")}]]
        first = ({"think": "T1", "say": "Now.", "call": shell}, {"think": "T2", "call": read}, {"say": "done"})
        same(claude.run(play("MARK-kept-together", *first)).text, "done")
        edit = {"file_path": str(claude.work / "a.txt"), "old_string": "one", "new_string": "two"}
        again = ({"think": "T3", "call": [["Edit", edit]]}, {"say": "{{thoughts}}"})
        same(claude.run(play("More.", *again), "--continue").text, "T1 | T2 | T3")
        same(claude.run(play("And?", {"say": "the end"}), "--continue").text, "the end")
    with urllib.request.urlopen(f"{os.environ['UPSTREAM_URL']}/kept/MARK-kept-together") as answer:
        kept = json.load(answer)["kept"]
    assert len(kept) == 5 and min(kept) >= 0.99, kept


def counts() -> None:
    with Claude() as claude:
        told = claude.run("/context").text
        for part in ("**Model:** played", "131.1k", "| System prompt |", "| System tools |", "| Free space |"):
            has(told, part)


def is_refused() -> None:
    with Claude(model="no-such-model") as claude:
        told = claude.run("Hello.", code=1)
        same((told.result["is_error"], told.result["api_error_status"]), (True, 404))
    with Claude(ANTHROPIC_AUTH_TOKEN="sk-wrong") as claude:
        told = claude.run("Hello.", code=1)
        same((told.result["is_error"], told.result["api_error_status"]), (True, 401))
        assert told.result["duration_ms"] < 30_000, "it has tried again and again"  # a minute without x-should-retry
    with Claude(CLAUDE_CODE_MAX_RETRIES="1") as claude:
        told = claude.run(play("x", {"error": {"status": 500, "message": "out of order"}}), code=1)
        has(told.result["result"], "out of order")


def main() -> None:
    resumes()
    compacts_where_the_window_is_full()
    keeps_the_beginning_of_its_prompts()
    counts()
    is_refused()


scenario(main)
