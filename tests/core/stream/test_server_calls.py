"""Calls that the server makes between turns: events, approvals, limits, ends."""

from __future__ import annotations

from functools import partial

import pytest

from antiphon.core.deltas import (
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    UsageReport,
)
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.terms import Action
from antiphon.core.stream.tool_writers import ListingWriter, approval_request
from antiphon.core.tools.results import ToolResult
from antiphon.errors import APIError
from antiphon.types.response import Usage
from tests.core.stream.writer_streams import call, ended, feed, opened, output, types

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
