"""The grammar that every stream of events keeps, however it ends (contract, "Stream")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

TERMINAL = ("response.completed", "response.incomplete", "response.failed")
CAN_FAIL = ("web_search_call", "image_generation_call", "file_search_call", "code_interpreter_call", "mcp_call")
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

    def take(self, event: Json) -> None:
        type = event["type"]
        if type == "response.output_item.added":
            self._added(event)
        elif type == "response.output_item.done":
            self._item_done(event)
        elif "item_id" in event:
            assert event["item_id"] == self.open[event["output_index"]]["id"]
            self._inner(type, event)

    def _added(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        assert index == len(self.open) + len(self.closed), "output_index rises by one"
        assert item["status"] == "in_progress" and item["id"]
        assert not item.get("content") and not item.get("arguments") and not item.get("input")
        self.open[index] = item

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
        assert item["status"] in ("completed", "incomplete") or item["type"] in CAN_FAIL
        for list in ("content", "summary"):
            parts = [part for key, part in self._parts.items() if key[:2] == (index, list)]
            assert item.get(list, []) == parts
        for field in ("arguments", "input", "code"):
            if field in item:
                assert item[field] == self._done[index, "", 0]
        self.closed[index] = item


def _key(type: str, event: Json) -> tuple[int, str, int]:
    if "summary_index" in event:
        return event["output_index"], "summary", event["summary_index"]
    if "content_index" in event:
        return event["output_index"], "content", event["content_index"]
    return event["output_index"], "", 0
