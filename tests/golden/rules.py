"""The grammar that every stream of events keeps, however it ends (contract, "Stream")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

TERMINAL = ("response.completed", "response.incomplete", "response.failed")
CAN_FAIL = (
    "web_search_call",
    "image_generation_call",
    "file_search_call",
    "code_interpreter_call",
    "mcp_call",
    "lookup_call",
)
SHELL_OUTPUT = "shell_call_output"
AT_FIRST = {SHELL_OUTPUT: "completed", "program": None, "program_output": "completed", "mcp_list_tools": None}
"""Type of an item → its status in its first event, where that is not `in_progress`."""
TEXT_FIELD = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}


def check_stream(events: Sequence[Json]) -> None:
    """Assert numbers, order, the life of every item and part, and that all places tell the same text."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[0]["response"]["usage"] is None and events[0]["response"]["output"] == []
    assert [place for place, event in enumerate(events) if event["type"] in TERMINAL] == [len(events) - 1]
    items = _Items()
    for event in events:
        items.take(event)
    terminal = events[-1]
    response = terminal["response"]
    assert terminal["type"] == f"response.{response['status']}"
    assert not items.open, "items left open"
    assert response["output"] == [items.closed[index] for index in range(len(items.closed))]
    _check_ending(events, response)


def _check_ending(events: Sequence[Json], response: Json) -> None:
    failed = response["status"] == "failed"
    assert (events[-2]["type"] == "error") is failed
    assert (response["error"] is not None) is failed
    assert (response["incomplete_details"] is not None) is (response["status"] == "incomplete")
    assert (response["completed_at"] is not None) is (response["status"] == "completed")
    if failed:
        error = events[-2]
        assert error["message"] == error["error"]["message"] == response["error"]["message"]


class _Items:
    """Follows items from their first event to their last."""

    def __init__(self) -> None:
        self.open: dict[int, Json] = {}
        self.closed: dict[int, Json] = {}
        self._parts: dict[tuple[int, str, int], Json] = {}
        self._texts: dict[tuple[int, str, int], str] = {}
        self._done: dict[tuple[int, str, int], str] = {}
        self._commands: dict[int, list[str]] = {}
        self._ended: dict[int, list[Json]] = {}

    def take(self, event: Json) -> None:
        type = event["type"]
        if type == "response.output_item.added":
            self._added(event)
        elif type == "response.output_item.done":
            self._item_done(event)
        elif "item_id" in event:
            item = self.open[event["output_index"]]
            assert event["item_id"] == item["id"]
            if item["type"] == SHELL_OUTPUT:
                self._printed(type, event)
            else:
                self._inner(type, event)
        elif "command_index" in event:
            self._command(type, event)

    def _added(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        assert index == len(self.open) + len(self.closed), "output_index rises by one"
        # What a shell's commands gave is told as completed from the beginning, as OpenAI's API does.
        assert item.get("status") == AT_FIRST.get(item["type"], "in_progress") and item["id"]
        assert not item.get("output") or item["type"] != SHELL_OUTPUT
        assert not item.get("content") and not item.get("arguments") and not item.get("input")
        self.open[index] = item

    def _printed(self, type: str, event: Json) -> None:
        """Follow what a shell's commands print: what is told at the end is what came in pieces."""
        index, command = event["output_index"], event["command_index"]
        assert command == len(self._ended.setdefault(index, []))
        if type.endswith(".delta"):
            ((stream, text),) = event["delta"].items()
            assert text, "no empty delta"
            key = (index, stream, command)
            self._texts[key] = self._texts.get(key, "") + text
        else:
            (entry,) = event["output"]
            for stream in ("stdout", "stderr"):
                text = self._texts.get((index, stream, command), "")
                assert entry[stream] == text or not text  # a call that could not be made prints nothing
            self._ended[index].append(entry)

    def _command(self, type: str, event: Json) -> None:
        """Follow the commands of a shell's call."""
        index, command = event["output_index"], event["command_index"]
        key = (index, "command", command)
        if type.endswith(".added"):
            assert command == len(self._commands.setdefault(index, [])) and event["command"] == ""
            self._texts[key] = ""
        elif type.endswith(".delta"):
            self._texts[key] += event["delta"]
        else:
            assert event["command"] == self._texts[key]
            self._commands[index].append(event["command"])

    def _inner(self, type: str, event: Json) -> None:
        key = _key(type, event)
        if type.endswith("_part.added"):
            assert key not in self._parts
            self._parts[key] = event["part"]
            assert event["part"][TEXT_FIELD[event["part"]["type"]]] == ""
        elif type.endswith("_part.done"):
            part = event["part"]
            assert part[TEXT_FIELD[part["type"]]] == self._done[key]
            self._parts[key] = part
        elif type.endswith(".delta"):
            assert event["delta"], "no empty delta"
            assert key not in self._done, "no delta after done"
            assert key in self._parts or not key[1], "the part is open"
            self._texts[key] = self._texts.get(key, "") + event["delta"]
        elif type.endswith(".done"):
            text = next(event[name] for name in ("text", "refusal", "arguments", "input", "code") if name in event)
            assert text == self._texts.get(key, "")
            self._done[key] = text

    def _item_done(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        added = self.open.pop(index)
        assert (item["id"], item["type"]) == (added["id"], added["type"])
        assert item.get("status") in ("completed", "incomplete") or item["type"] in (
            *CAN_FAIL,
            "program",
            "mcp_list_tools",
        )
        if item["type"] == SHELL_OUTPUT:
            assert item["output"] == self._ended.get(index, [])
        if item["type"] == "shell_call":
            assert item["action"]["commands"] == self._commands.get(index, [])
        for list in ("content", "summary"):
            parts = [part for key, part in self._parts.items() if key[:2] == (index, list)]
            assert item.get(list, []) == parts
        for field in ("arguments", "input", "code"):
            if field in item and item["type"] not in ("program", "tool_search_call"):
                assert item[field] == self._done[index, "", 0]
        self.closed[index] = item


def _key(type: str, event: Json) -> tuple[int, str, int]:
    if "summary_index" in event:
        return event["output_index"], "summary", event["summary_index"]
    if "content_index" in event:
        return event["output_index"], "content", event["content_index"]
    return event["output_index"], "", 0
