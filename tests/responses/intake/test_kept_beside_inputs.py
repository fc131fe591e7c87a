"""What is kept beside a remembered input counts, and is kept of requests alone that the memory knows of."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Raw

from tests.responses.intake.test_past_inputs import Reader, conversation, dumped, turn


def test_items_that_are_kept_beside_a_shorter_input_count() -> None:
    """Of a request that goes on with other blanks no more bytes are remembered, but what is made of its items may be."""
    reader = Reader()
    reader.remember(dumped(conversation(1)))
    size, body = reader.inputs.size, dumped(conversation(20))
    continued = reader.inputs.find("ann", body)
    assert continued is not None
    end = continued.past.end
    body = body[:end] + body[end:].replace(b',{"type":', b',  {"type":')
    assert reader.short(body)
    grown = reader.inputs.size
    assert grown - size > 2 * len(body)
    assert reader.short(dumped(conversation(2)))  # the other one may still be running
    assert reader.inputs.size == grown


def test_nothing_is_kept_beside_an_input_that_another_request_has_gone_on_from() -> None:
    reader = Reader()
    reader.remember(dumped(conversation(1)))
    body, other = dumped(conversation(3)), dumped(conversation(2))
    continued = reader.inputs.find("ann", body)
    assert continued is not None
    assert reader.short(other)
    _, asked = asyncio.run(reader._alone(body))
    continued.added = [Raw(msgspec.json.encode(item)) for item in turn(1) + turn(2)]
    asked = msgspec.structs.replace(asked, encoded=continued.past.encoded)
    assert reader.inputs.keep("ann", body, asked, continued).encoded is None
