"""The grammar of a stream of Responses events: order, numbers, and that all that is said twice is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.conformance.event_stream import ReadEvent
from antiphon.conformance.shapes import EVENTS, ITEMS, RESPONSE, TEXT, USAGE
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json, decoded

TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
BEGINNING = ("response.created", "response.queued", "response.in_progress")
_DELTAS = {
    "response.output_text.delta": "response.output_text.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta": "response.custom_tool_call_input.done",
}
_WHOLE = {
    "response.output_text.done": "text",
    "response.function_call_arguments.done": "arguments",
    "response.custom_tool_call_input.done": "input",
}


def whole_response(talk: CheckTalk, value: Any) -> Json:
    """Return a Response that has the shape of one, with its items. Raises NonConforming."""
    response = talk.fits(value, RESPONSE, "response")
    talk.want(isinstance(response.get("status"), str), "response.status is missing")
    for index, item in enumerate(response["output"]):
        where = f"response.output[{index}]"
        talk.need(isinstance(item, dict) and isinstance(item.get("type"), str), f"{where} is no item")
        if item["type"] in ITEMS:
            talk.fits(item, ITEMS[item["type"]], where)
        if item["type"] == "message":
            for part in item["content"]:
                if isinstance(part, dict) and part.get("type") == "output_text":
                    talk.fits(part, TEXT, f"{where}.content")
    return response


def usage_adds_up(talk: CheckTalk, response: Json) -> None:
    """Look at the token counts of a finished response."""
    usage = response.get("usage")
    talk.want(usage is not None, "response.usage is missing")
    if usage is not None:
        found = talk.fits(usage, USAGE, "response.usage")
        total = found["input_tokens"] + found["output_tokens"]
        talk.want(found["total_tokens"] == total, "usage.total_tokens is not the sum of the other two")
        talk.want(found["input_tokens"] > 0 and found["output_tokens"] > 0, "usage counts no tokens")


def text_of(response: Json) -> str:
    """Return the text of a response."""
    messages = [item for item in response["output"] if item.get("type") == "message"]
    parts = [part for item in messages for part in item["content"] if isinstance(part, dict)]
    return "".join(part["text"] for part in parts if part.get("type") == "output_text")


def calls_of(response: Json, type: str = "function_call") -> list[Json]:
    """Return the calls of a response."""
    return [item for item in response["output"] if item.get("type") == type]


def parsed(talk: CheckTalk, events: Sequence[ReadEvent]) -> list[Json]:
    """Return the events as objects. Raises NonConforming for what is none."""
    found = []
    for event in events:
        value = decoded(event.data)
        talk.need(
            isinstance(value, dict) and isinstance(value.get("type"), str), "an event's data is no object with a type"
        )
        if event.name:
            talk.want(event.name == value["type"], f"the event's name is {event.name}, its type {value['type'][:60]}")
        else:
            talk.want(False, "the events have no names (`event:` lines)")
        found.append(value)
    return found


def judged(talk: CheckTalk, events: Sequence[Json], first: int = 0) -> Json:
    """Hold the events of one response against the grammar; return its last state. Raises NonConforming."""
    talk.need(events, "no events")
    _numbered(talk, events, first)
    for event in events:
        if event["type"] in EVENTS:
            talk.fits(event, EVENTS[event["type"]], event["type"])
    ends = [index for index, event in enumerate(events) if event["type"] in TERMINAL]
    talk.need(ends, f"the stream ends with {events[-1]['type'][:60]}, not with a terminal event")
    talk.need(ends == [len(events) - 1], "events follow the terminal event")
    if first == 0:
        talk.need(
            events[0]["type"] == "response.created",
            f"the first event is {events[0]['type'][:60]}, not response.created",
        )
        talk.want(any(event["type"] == "response.in_progress" for event in events), "no response.in_progress")
    final = whole_response(talk, events[-1].get("response"))
    if first == 0:
        talk.need(events[0]["response"].get("id") == final["id"], "the response's id changes within the stream")
        _Items(talk).judge(events, final)
    return final


def _numbered(talk: CheckTalk, events: Sequence[Json], first: int) -> None:
    numbers = [event.get("sequence_number") for event in events]
    talk.need(all(isinstance(number, int) for number in numbers), "events without sequence_number")
    start: Any = numbers[0]
    talk.need(numbers == list(range(start, start + len(numbers))), "sequence numbers do not go up by one")
    talk.want(start == first, f"the first sequence_number is {start}, not {first}")


class _Items:
    """Items of a stream while they are open."""

    def __init__(self, talk: CheckTalk) -> None:
        self._talk = talk
        self._open: dict[int, Json] = {}
        self._closed: dict[int, Json] = {}
        self._texts: dict[tuple[str, int, int], list[str]] = {}

    def judge(self, events: Sequence[Json], final: Json) -> None:
        """Hold items and parts against the order, and the last state against what was streamed."""
        need = self._talk.need
        for event in events:
            if event["type"] == "response.output_item.added":
                need(event["output_index"] not in self._open, "an item is added at an output_index that is taken")
                self._open[event["output_index"]] = event["item"]
            elif event["type"] == "response.output_item.done":
                self._done(event)
            elif "item_id" in event:
                self._within(event)
        need(self._open.keys() == self._closed.keys(), "an item is added and never done")
        output = [self._closed[index] for index in sorted(self._closed)]
        need(
            len(output) == len(final["output"]),
            f"{len(output)} items are streamed, the response has {len(final['output'])}",
        )
        for streamed, kept in zip(output, final["output"], strict=True):
            need(_said(streamed) == _said(kept), "an item of the response is not as it was streamed")
            self._talk.want(
                streamed.get("id") == kept.get("id"), "an item of the response has another id than in the stream"
            )

    def _done(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        self._talk.need(index in self._open, "an item is done that was not added")
        self._talk.need(index not in self._closed, "an item is done twice")
        same = self._open[index].get("id") == item.get("id")
        self._talk.want(same, "an item's id changes between added and done")
        self._closed[index] = item
        said = "".join("".join(pieces) for (_, at, _), pieces in self._texts.items() if at == index)
        if said:
            self._talk.need(said == _said(item)[1], "the deltas of an item are not what it says when it is done")

    def _within(self, event: Json) -> None:
        index: Any = event.get("output_index")
        self._talk.need(
            index in self._open and index not in self._closed, f"{event['type'][:60]} outside of an open item"
        )
        known = self._open[index].get("id")
        self._talk.want(known in (None, event["item_id"]), "an event's item_id is not that of its item")
        part = event.get("content_index", 0)
        key: Any = (event["type"].rpartition(".")[0], index, part)
        if event["type"] in _DELTAS:
            self._talk.need(isinstance(event.get("delta"), str), f"{event['type']} without a delta")
            self._texts.setdefault(key, []).append(event["delta"])
        elif event["type"] in _WHOLE:
            whole = event.get(_WHOLE[event["type"]])
            self._talk.need("".join(self._texts.get(key, [])) == whole, f"{event['type']} is not what the deltas say")


def _said(item: Json) -> tuple[Any, str]:
    """Return an item's type, and what it says."""
    if item.get("type") == "message":
        parts = item.get("content") or []
        return "message", "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
    return item.get("type"), str(item.get("arguments", item.get("input", "")))
