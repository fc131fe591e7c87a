"""EncodedTexts: a text is encoded once, and what is stored is the same as without it."""

from __future__ import annotations

from msgspec import Raw

from antiphon.core.context import keep_input
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items
from antiphon.core.text.encoded_texts import SHORTEST, EncodedTexts


def test_a_text_is_encoded_once() -> None:
    encoded, text = EncodedTexts(), 'a"b' * SHORTEST
    assert encoded.json_of(text) == to_json(text)
    assert encoded.json_of(text) is encoded.json_of(text)
    assert encoded.json_of("".join([text, "c"])) == to_json(text + "c")
    assert encoded.json_of("short") == b'"short"'


def test_what_is_stored_is_the_same() -> None:
    texts = ["x" * SHORTEST, "x" * SHORTEST, "short", "\u00e9\n" * SHORTEST, ""]
    outputs = [
        {"type": "function_call_output", "call_id": str(number), "output": text} for number, text in enumerate(texts)
    ]
    parts = {"type": "function_call_output", "call_id": "p", "output": [{"type": "input_text", "text": "y" * SHORTEST}]}
    custom = {"type": "custom_tool_call_output", "call_id": "c", "output": "z" * SHORTEST}
    items = decode_items([Raw(to_json(one)) for one in (*outputs, parts, custom)])
    assert keep_input(items, "0" * 48, EncodedTexts()) == keep_input(items, "0" * 48)
