"""PastInputs where all but further items is as it was: nothing else is decoded. Halves of characters are mended anywhere."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from antiphon.responses.prepare import Preparer
from tests.responses.intake.test_past_inputs import Json, Reader, conversation, dumped


def settled(reader: Reader, turns: int = 3, **fields: Any) -> Json:
    """Read a conversation until all that stands around its items is known; return its next request."""
    for number in range(1, turns + 1):
        assert reader.short(dumped(conversation(number, **fields))) is (number > 2)
    return conversation(turns + 1, **fields)


def test_nothing_but_further_items_is_decoded_where_the_rest_is_known() -> None:
    reader = Reader()
    body = settled(reader)
    assert reader.short(dumped(body)) and not reader.decoded
    for change in ({"temperature": 0.5}, {"tools": [{"type": "function", "name": "write"}]}, {"store": False}):
        assert reader.short(dumped(body | change)) and len(reader.decoded[0]) < 6_000, "settings have changed"
        assert reader.short(dumped(body | change)) and not reader.decoded
    assert reader.short(dumped(body), "ann") and reader.decoded, "the first settings once more"


@pytest.mark.parametrize(
    "more",
    [
        '],"other":[{"type":"message","role":"user","content":"x"}',
        ',{"type":"message","role":"user","content":"x"}],"other":[{"a":1}',
        ',{"type":"message","role":"user","content":"x"}],"input":[{"type":"message","role":"user","content":"y"}',
        ',{"type":"message","role":"user","content":"x"}],"model":"n","input":[{"type":"message","role":"user","content":"y"}',
        ',{"type":"message","role":"user","content":"x"},',
        ",",
        ",,",
        ",5",
        ",null",
        ',{"type":"unheard_of"}',
        ',{"type":"message","role":"user","content":"\\ud83d"}',
        ',{"type":"message","role":"user","content":"\\ud83d\\ude00"}',
        ',{"type":"message","role":"user","content":"\\ude00\\ud83d","x":"\\udc00"}',
        ',{"type":"item_reference","id":"\\ud83d"}',
        ',{"type":"message","role":"user","content":"a\nb"}',
        ',\n{"type":"message","role":"user","content":"b"}\r',
        ', {"type":"message","role":"user","content":"b"} ',
        ',{"type":"message","role":"user","content":"b"}' + "[" * 200 + "]" * 200,
        ',{"type":"message","role":"user","content":"b","x":' + "[" * 126 + "]" * 126 + "}",
        ',{"type":"message","role":"user","content":"b","x":' + "[" * 500 + "]" * 500 + "}",
        ',{"type":"message","role":"user","content":"b","id":"' + "i" * 5000 + '"}',
        ',{"type":"web_search_call","status":"completed","action":{"type":"search","query":"\\ud83d"}}',
        ' {"type":"message","role":"user","content":"b"}',
        "x",
    ],
)
def test_odd_bytes_behind_the_items_are_read_as_a_whole(more: str) -> None:
    reader = Reader()
    body = dumped(settled(reader))
    at = body.index(b'],"tools"')
    reader.short(body[:at] + more.encode() + body[at:])
    reader.short(body)


def test_media_are_known_wherever_they_stand() -> None:
    picture = {"type": "input_image", "image_url": "https://a.b/c.png"}
    reader, body = Reader(), conversation(1)
    added: list[Json] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}, picture]},
        {"type": "function_call_output", "call_id": "call_0", "output": [picture]},
        {"type": "message", "role": "assistant", "content": "x" * 700},
        {"type": "function_call_output", "call_id": "call_0", "output": "x" * 700},
    ]
    found = []
    for item in [*added, *added]:
        body["input"] = [*body["input"], item]
        found.append(reader.short(dumped(body)))  # which compares what is known of the items
    assert found == [False, False] + [True] * 6


def test_lists_are_not_shared_between_requests() -> None:
    reader = Reader()
    body = dumped(settled(reader, other={"a": 1}))
    one, other = (asyncio.run(reader._preparer._decoded(body, "ann"))[1] for _ in range(2))
    assert one.tools == other.tools and isinstance(one.tools, tuple)  # which nobody can change
    assert one.extra == other.extra and one.extra is not other.extra and one.extra
    assert one.items == other.items and one.items is not other.items


def test_another_decoder_reads_for_itself() -> None:
    reader, other = Reader(), Reader()
    body = dumped(settled(reader))
    other.inputs = reader.inputs
    other._preparer = Preparer(SimpleNamespace(inputs=reader.inputs), None, other)  # type: ignore[arg-type]  # as above
    assert other.short(body) and other.decoded


def test_what_is_known_of_the_rest_counts() -> None:
    sizes = []
    for text in ("", "x" * 50_000):
        reader = Reader()
        settled(reader, metadata={"a": "b"}, user=text)
        sizes.append(reader.inputs.size)
    assert sizes[1] - sizes[0] > 2 * 50_000


LONE = ("\\ud83d", "\\ude00", "\\uD83Dx", "\\ud83d\\u0041", "\\ude00\\ud83d", "\\uDbFf\\\\", "\\ud83d\\ude00")


@pytest.mark.parametrize("half", LONE)
def test_halves_of_characters_are_mended_wherever_they_stand(half: str) -> None:
    def place(**fields: Any) -> Json:
        return conversation(2) | fields

    named = {"type": "function", "name": "read", "parameters": {"type": "object", "title": "HALF", "HALF": [1, "HALF"]}}
    call = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "HALF"}}
    bodies = [
        place(instructions="HALF"),
        place(tools=[named]),
        place(metadata={"HALF": "HALF"}),
        place(unknown={"a": ["HALF", {"HALF": 1}]}),
        place(HALF=1),
        place(text={"format": {"type": "json_schema", "name": "a", "schema": {"title": "HALF"}}}),
        place(input=[*conversation(2)["input"], call]),
        place(input=[*conversation(2)["input"], {"type": "message", "role": "user", "content": "HALF", "x": "HALF"}]),
        place(input="HALF" + "x" * 5000),
        place(model="HALF"),
        place(input=[{"type": "HALF"}, *conversation(2)["input"]]),
    ]
    for body in bodies:
        reader = Reader()
        for _ in range(4):
            written = dumped(body).replace(b"HALF", half.encode())
            assert reader.read(written) == reader.as_a_whole(written)
