"""The items of the rarer tools, and calls that the server runs: events as OpenAI's document has them, in their order."""

from __future__ import annotations

from functools import partial
from json import loads
from typing import Any

import pytest

from antiphon.core.deltas import (
    CallDelta,
    CallKind,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
)
from antiphon.core.stream.writers import LONG
from tests.core.stream.writer_streams import Json, call, ended, feed, opened, output, types

# Long texts


@pytest.mark.parametrize("mark", ['a"\n', "\U0001f9e0", "\ud800"])
@pytest.mark.parametrize("said", [TextDelta, ReasoningDelta, partial(CallDelta, "0")])
def test_a_long_text_is_told_as_a_short_one_is(said: Any, mark: str) -> None:
    def told(text: str) -> str:
        stream = opened()
        begun: list[Delta] = call("function", "") if isinstance(said, partial) else []
        feed(stream, *begun, said(text), Finish(FinishReason.STOP))
        stream.finish(2)
        assert stream.terminal is not None
        return "".join(repr(loads(event.body)) for event in [*stream.take(), stream.terminal])

    long = mark * (LONG // len(mark) + 1)
    short, whole = told("<text>"), told(long)
    assert len(whole) > 4 * len(long)
    assert whole.replace(repr(long)[1:-1], "<text>") == short


# Calls that the client runs


@pytest.mark.parametrize(
    ("kind", "arguments", "item"),
    [
        (
            "shell",
            '{"commands": ["ls", "pwd"], "timeout_ms": 5}',
            {
                "type": "shell_call",
                "id": "sh_00000",
                "action": {"commands": ["ls", "pwd"], "timeout_ms": 5, "max_output_length": None},
                "environment": {"type": "local"},
            },
        ),
        (
            "shell",
            '{"command": "ls"}',
            {
                "type": "shell_call",
                "id": "sh_00000",
                "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
                "environment": {"type": "local"},
            },
        ),
        (
            "local_shell",
            '{"command": ["ls", "-l"], "env": {"A": 1}, "working_directory": "/tmp"}',
            {
                "type": "local_shell_call",
                "id": "lsh_00000",
                "action": {
                    "type": "exec",
                    "command": ["ls", "-l"],
                    "env": {"A": "1"},
                    "working_directory": "/tmp",
                },
            },
        ),
        (
            "apply_patch",
            '{"type": "create_file", "path": "a", "diff": "+x"}',
            {
                "type": "apply_patch_call",
                "id": "apc_00000",
                "operation": {"type": "create_file", "path": "a", "diff": "+x"},
            },
        ),
        (
            "apply_patch",
            '{"operation": {"type": "delete_file", "path": "a"}}',
            {"type": "apply_patch_call", "id": "apc_00000", "operation": {"type": "delete_file", "path": "a"}},
        ),
        (
            "tool_search",
            '{"query": "weather", "limit": 3}',
            {
                "type": "tool_search_call",
                "id": "tsc_00000",
                "execution": "client",
                "arguments": {"query": "weather", "limit": 3},
            },
        ),
    ],
)
def test_calls_with_items_of_their_own(kind: CallKind, arguments: str, item: Json) -> None:
    stream = opened()
    feed(stream, *call(kind, arguments), Finish(FinishReason("tool_calls")))
    assert output(ended(stream)) == [{**item, "call_id": "call_0", "status": "completed"}]


def test_shell_commands_are_told_one_by_one() -> None:
    stream = opened()
    feed(stream, *call("shell", '{"commands": ["ls", "pwd"]}'))
    one = ["shell_call_command.added", "shell_call_command.delta", "shell_call_command.done"]
    assert types(ended(stream)) == ["output_item.added", *one, *one, "output_item.done"]


@pytest.mark.parametrize("arguments", ['{"commands": ["rm -rf', "rm -rf /", "[1]"])
def test_nothing_is_run_by_guess(arguments: str) -> None:
    stream = opened()
    feed(stream, *call("shell", arguments), Finish(FinishReason("length")))
    (item,) = output(ended(stream))
    assert (item["status"], item["action"]["commands"]) == ("incomplete", [])
