"""The items of the rarer tools, and calls that the server runs: events as OpenAI's document has them, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from json import loads
from typing import Any

import pytest

from antiphon.core.deltas import (
    CallDelta,
    CallKind,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    UsageReport,
)
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.fold import fold
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.terms import Action
from antiphon.core.stream.tool_writers import ListingWriter, approval_request
from antiphon.core.stream.writers import LONG
from antiphon.core.tools.results import ToolResult
from antiphon.errors import APIError
from antiphon.types.events import Event
from antiphon.types.response import Response, Usage
from tests.oracle.documents import OPENAI

Json = dict[str, Any]


def opened(**fields: Any) -> ResponseStream:
    stream = ResponseStream(Response(id="resp_1", created_at=1, model="m", **fields), "0")
    stream.start()
    return stream


def feed(stream: ResponseStream, *deltas: Delta) -> None:
    for delta in deltas:
        stream.feed(delta)
    stream.end_turn()


def call(kind: CallKind, arguments: str, key: str = "0", namespace: str | None = None) -> list[Delta]:
    pieces: list[Delta] = [CallDelta(key, char) for char in arguments]
    return [CallStart(key, f"call_{key}", kind, kind, namespace), *pieces]


def ended(stream: ResponseStream) -> list[Json]:
    """Finish, and return all events: each has passed OpenAI's document, and they fold to the terminal response."""
    if stream.terminal is None:
        assert stream.action is Action.DONE
        stream.finish(2)
    assert stream.terminal is not None
    events: list[Event] = [*stream.take(), stream.terminal]
    bodies: list[Json] = [loads(event.body) for event in events]
    for index, body in enumerate(bodies):
        assert body["sequence_number"] == index
        faults = [
            fault for fault in OPENAI.event_faults(body) if not fault.startswith((".response.us", ".type: no event 'k"))
        ]
        assert not faults, (body, faults)
    folded: list[Json] = loads(to_json(fold(events)))["output"]
    assert folded == bodies[-1]["response"]["output"]
    return bodies


def types(events: Sequence[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events][2:-1]


def output(events: Sequence[Json]) -> list[Json]:
    found: list[Json] = events[-1]["response"]["output"]
    return found


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


# Calls that the server runs

IN_PROGRESS = ["output_item.added", "mcp_call.in_progress"]
DONE = ["mcp_call_arguments.done", "mcp_call.completed", "output_item.done"]


def gave(output: str) -> ToolResult:
    return ToolResult(fields={"output": output})


def mcp(key: str = "0", arguments: str = "{}") -> list[Delta]:
    return call("mcp", arguments, key, "server")


def test_a_call_runs_and_the_model_goes_on() -> None:
    stream = opened()
    feed(
        stream,
        TextDelta("Wait."),
        *mcp(),
        UsageReport(Usage(1, output_tokens=2, total_tokens=3)),
        Finish(FinishReason("tool_calls")),
    )
    (pending,) = stream.pending
    assert stream.action is Action.CALL_TOOLS
    assert (pending.namespace, pending.name, pending.arguments) == ("server", "mcp", "{}")
    stream.tool_result(pending.key, gave("sunny"))
    assert stream.action is Action.CALL_MODEL and not stream.pending
    feed(
        stream,
        TextDelta("It is sunny."),
        UsageReport(Usage(4, output_tokens=5, total_tokens=9)),
        Finish(FinishReason("stop")),
    )
    events = ended(stream)
    message, made, answer = output(events)
    assert made == {
        "type": "mcp_call",
        "id": "mcp_00001",
        "status": "completed",
        "server_label": "server",
        "name": "mcp",
        "arguments": "{}",
        "output": "sunny",
        "error": None,
        "approval_request_id": None,
    }
    assert (message["content"][0]["text"], answer["content"][0]["text"]) == ("Wait.", "It is sunny.")
    assert events[-1]["response"]["usage"]["total_tokens"] == 12


def test_arguments_stream_where_no_approval_is_needed() -> None:
    stream = opened()
    stream.announce_calls(lambda call: False)
    feed(stream, *mcp())
    stream.tool_result("0", ToolResult(error="down"))
    feed(stream, TextDelta("Sorry."))
    events = ended(stream)
    assert types(events)[:7] == [
        *IN_PROGRESS,
        "mcp_call_arguments.delta",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.failed",
        "output_item.done",
    ]
    failed = output(events)[0]
    assert (failed["status"], failed["output"]) == ("failed", None)
    assert failed["error"] == {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "down"}]}


def test_parallel_calls_are_answered_in_any_order() -> None:
    stream = opened()
    feed(stream, *mcp("0"), *mcp("1", '{"a":1}'))
    stream.tool_result("1", gave("one"))
    assert stream.action is Action.CALL_TOOLS
    stream.tool_result("0", gave("zero"))
    assert stream.action is Action.CALL_MODEL
    feed(stream, TextDelta("x"))
    assert [item.get("output") for item in output(ended(stream))] == ["one", "zero", None]


def test_the_client_answers_its_own_functions_first() -> None:
    stream = opened()
    feed(stream, *mcp("0"), *call("function", "{}", "1"))
    stream.tool_result("0", gave("x"))
    assert stream.action is Action.DONE
    assert [item["type"] for item in output(ended(stream))] == ["function_call", "mcp_call"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_person_is_asked(announced: bool) -> None:
    stream = opened()
    if announced:
        stream.announce_calls(lambda call: True)
    feed(stream, *mcp("0", '{"a":1}'), *mcp("1"))
    stream.ask_instead("0", "mcpr", lambda id: (id, approval_request(id, "server", "mcp", '{"a":1}')))
    stream.tool_result("1", gave("x"))
    events = ended(stream)
    assert output(events)[0] == {
        "type": "mcp_approval_request",
        "id": "mcpr_00000",
        "server_label": "server",
        "name": "mcp",
        "arguments": '{"a":1}',
    }
    assert types(events)[:2] == ["output_item.added", "output_item.done"]


def test_an_approved_call_comes_before_the_model() -> None:
    stream = opened()
    listing = stream.open_item("mcpl", partial(ListingWriter, label="server"))
    stream.close_item(listing, listing.tools([b'{"name":"t","input_schema":{}}']))
    stream.begin_call(CallStart("key", "key", "t", "mcp", "server", "mcpr_9"), "{}")
    stream.tool_result("key", gave("x"))
    assert stream.action is Action.CALL_MODEL
    feed(stream, TextDelta("Done."))
    events = ended(stream)
    assert types(events)[:4] == [
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
    ]
    assert types(events)[4:10] == [*IN_PROGRESS, "mcp_call_arguments.delta", *DONE]
    listing, made, _ = output(events)
    assert (listing["tools"], made["approval_request_id"]) == ([{"name": "t", "input_schema": {}}], "mcpr_9")


def test_a_listing_that_fails() -> None:
    stream = opened()
    listing = stream.open_item("mcpl", partial(ListingWriter, label="server"))
    stream.close_item(listing, listing.fail("unreachable"))
    stream.fail(APIError(424, "unreachable", code="server_error"), 2)
    events = ended(stream)
    assert output(events)[0]["error"] == "unreachable" and "mcp_list_tools.failed" in types(events)


def test_the_limit_of_tool_calls() -> None:
    stream = opened(max_tool_calls=1)
    feed(stream, *mcp("0"), *mcp("1"))
    assert [pending.key for pending in stream.pending] == ["0"]
    stream.tool_result("0", gave("x"))
    assert stream.action is Action.CALL_MODEL
    feed(stream, *mcp("0"))
    assert stream.action is Action.DONE, "a model that goes on calling is not asked again"
    statuses = [item["status"] for item in output(ended(stream))]
    assert statuses == ["failed", "completed", "failed"]


def test_a_turn_that_was_cut_off_calls_nothing() -> None:
    stream = opened()
    stream.announce_calls(lambda call: False)
    feed(stream, *mcp("0", '{"a'), Finish(FinishReason("length")))
    assert stream.action is Action.DONE and not stream.pending
    events = ended(stream)
    assert (events[-1]["type"], output(events)[0]["status"]) == ("response.incomplete", "incomplete")


@pytest.mark.parametrize("announced", [True, False])
def test_an_end_while_calls_are_made(announced: bool) -> None:
    stream = opened()
    if announced:
        stream.announce_calls(lambda call: False)
    feed(stream, *mcp())
    stream.open_item("mcpl", partial(ListingWriter, label="other"))
    stream.fail(APIError(500, "stopped", code="server_error"), 2)
    events = ended(stream)
    assert events[-1]["type"] == "response.failed"
    assert [item["type"] for item in output(events)] == (["mcp_call"] if announced else []) + ["mcp_list_tools"]


# Endings


def test_cancelled() -> None:
    stream = opened()
    stream.feed(TextDelta("Hel"))
    stream.cancel(2)
    events = ended(stream)
    assert events[-1]["type"] == "response.incomplete" and events[-1]["response"]["status"] == "cancelled"
    assert output(events)[0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("deltas", "kinds"),
    [
        ([], ["message"]),
        ([Finish(FinishReason("stop"))], ["message"]),
        ([ReasoningDelta("hm")], ["reasoning"]),
        ([Finish(FinishReason("length"))], []),
    ],
)
def test_no_turn_ends_without_an_item_or_a_reason(deltas: list[Delta], kinds: list[str]) -> None:
    stream = opened()
    feed(stream, *deltas)
    events = ended(stream)
    assert [item["type"] for item in output(events)] == kinds
    assert kinds or events[-1]["response"]["incomplete_details"]


def test_a_silent_turn_behind_a_call_has_a_message() -> None:
    stream = opened()
    feed(stream, *mcp())
    stream.tool_result("0", gave("x"))
    feed(stream, Finish(FinishReason("stop")))
    assert [item["type"] for item in output(ended(stream))] == ["mcp_call", "message"]


def test_an_item_that_is_whole_from_the_start() -> None:
    stream = opened()
    stream.add_item("cmp", lambda id: to_json({"type": "compaction", "id": id, "encrypted_content": "x"}))
    feed(stream, TextDelta("a"))
    events = ended(stream)
    assert types(events)[:2] == ["output_item.added", "output_item.done"]
    assert output(events)[0] == {"type": "compaction", "id": "cmp_00000", "encrypted_content": "x"}
