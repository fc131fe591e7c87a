"""Long outputs of tools stay the JSON that they came in, items of large bodies are read with them: nobody gets anything else.

Each body is read both ways, and what backends get, what the store keeps, what is counted and what is refused must be the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from antiphon.backends.anthropic.codec import MessagesOptions
from antiphon.backends.anthropic.codec import request as messages_request
from antiphon.backends.chat.codec import CodecOptions
from antiphon.backends.chat.codec import request as chat_request
from antiphon.backends.chat.profiles import PROFILES
from antiphon.backends.responses.codec import request as responses_request
from antiphon.backends.scripted import script
from antiphon.config import Config
from antiphon.core.context import keep_input, smaller_than, truncated
from antiphon.core.json_encoding import to_json
from antiphon.core.prompt_cache import Prompt, diagnose
from antiphon.core.request import decoding
from antiphon.core.request.decoding import decode_item
from antiphon.core.request.json_text import check_json
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.token_count import size_of_large, texts_of
from antiphon.core.tools.unnamed_outputs import with_call_ids
from antiphon.core.turn import Turn
from antiphon.errors import APIError
from antiphon.responses.intake.decoding import ResponsesDecoder
from antiphon.responses.intake.prompts import Prompts
from antiphon.types import raw
from antiphon.types.items import FunctionCallOutput
from antiphon.types.raw import JsonText
from tests.golden.chat import turn_of
from tests.hostile.samples import attacks
from tests.hostile.samples import items as samples
from tests.malformed import REFUSED

NEVER = 1 << 60
PIECES = (
    *(
        rb"\"",
        rb"\\",
        rb"\/",
        rb"\b",
        rb"\f",
        rb"\n",
        rb"\r",
        rb"\t",
        rb"\u00e9",
        rb"\u0000",
        rb"\u2028",
        rb"\uD83D\ude00",
    ),
    *("é".encode(), "\u2028".encode(), "😀".encode(), b"\x7f", b" ", b"x", rb"\\u0041", rb"\\\"", rb"{\"a\":[1]}"),
    *(
        rb"\ud83d",
        rb"\ude00",
        rb"\ud83dx",
        rb"\ud83d\n",
        rb"\x",
        rb"\u12",
        rb"\u12g4",
        rb"\U0041",
    ),  # no JSON, or mended
    *(b"\n", b"\t", b"\x00", b"\x1f", b"\xff", b"\xc3", b"\xed\xa0\x80", b'"', b"\\"),
)
OTHER = (
    *(b"null", b"5", b"true", b"{}", b"[]", b"tru", b"", b'"x"', b'["x"]'),
    *(b'[{"type":"odd"}]', b'[{"type":"input_text"}]', b'[{"type":"input_text","text":"%b"}]' % (b"y" * 600)),
    b'[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,aa"}]',
)


def _pair(output: bytes, call: str, field: str, more: bytes = b"") -> bytes:
    """Return a body with a call and its output, in which other items stand behind it."""
    return (
        b'{"model":"m","input":[{"type":"message","role":"user","content":"Hi"},'
        b'{"type":"%b","call_id":"c","name":"f","%b":"{}"},{"type":"%b_output","call_id":"c","output":%b%b}]}'
        % (call.encode(), field.encode(), call.encode(), output, more)
    )


def texts() -> Iterator[bytes]:
    for call, field in (("function_call", "arguments"), ("custom_tool_call", "input")):
        for piece in PIECES:
            for text in (piece, piece * 700, b"x" * 600 + piece, piece + b"x" * 600):
                yield _pair(b'"%b"' % text, call, field)
        for output in OTHER:
            yield _pair(output, call, field)
            yield _pair(
                output, call, field, b',"status":"completed","id":"theirs","caller":{"type":"direct"},"odd":[1]'
            )
        yield _pair(b'"%b"' % ("é\\n" * 20_000).encode(), call, field)
        yield _pair(b'"a","output":"%b"' % (b"z" * 600), call, field)
    yield _pair(b'"%b"' % (b"w" * 600), "function_call", "arguments").replace(b'"call_id":"c","output"', b'"output"')
    yield _pair(b'"%b"' % (b"w" * 600), "function_call", "arguments").replace(
        b'{"model"', b'{"unknown":{"a":"b"},"model"'
    )
    yield _pair(b'"%b"' % (b"w" * 600), "function_call", "arguments").replace(b'{"model"', b'{"input":"first","model"')
    yield _pair(b'"%b"' % (b"w" * 600), "function_call", "arguments").replace(b",", b",\n")


def hostile() -> Iterator[bytes]:
    """Bodies with items of each type, each of whose fields has hostile values, and those of other tests."""
    yield from (refused.body for refused in REFUSED)
    for file in sorted(Path(__file__).parents[2].glob("golden/**/request.json")):
        yield file.read_bytes()
    for name, sample in samples().items():
        usual = "output" in sample
        for attack in islice(attacks(name, sample), 0, None, 3 if usual else 29):
            yield b'{"model":"m","input":[{"role":"user","content":"Hi"},%b]}' % attack.text


def _chat(profile: str) -> Callable[[Turn], bytes]:
    return lambda turn: chat_request(turn, CodecOptions(profile=PROFILES[profile]))[0]


USES: dict[str, Callable[[Turn], Any]] = {
    **{
        f"chat {profile}": _chat(profile)
        for profile in ("generic", "openai", "vllm", "llama.cpp")
        if profile in PROFILES
    },
    "responses": responses_request,
    "messages": lambda turn: (
        b"{%b}"
        % b",".join(
            b"%b:%b" % (to_json(name), value)
            for name, value in messages_request(turn, MessagesOptions()).fields.items()
        )
    ),
    "store": lambda turn: keep_input(turn.items, "0" * 48, turn.encoded).array,
    "asking": lambda turn: keep_input(turn.items, "0" * 48).asking,
    "texts": texts_of,
    "said": lambda turn: [to_json(str(step)) for step in script(turn.items)],
    "size": size_of_large,
    "truncated": lambda turn: to_json(truncated(turn.items, 0.5)),
    "small": lambda turn: smaller_than(turn.items, 100),
}


def _error(error: APIError) -> tuple[object, ...]:
    return type(error), error.status, error.param, error.code, error.message


def _value(found: bytes) -> Any:
    try:
        return json.loads(found, parse_int=str, parse_float=str)
    except RecursionError:
        return found


def read(body: bytes) -> Any:
    """Return what is made of a body, or why it is refused."""
    decoder = ResponsesDecoder(Prompts({}), Config(), needs_input=False)
    try:
        asked = decoder._decode(check_json(body), None)
        items = with_call_ids(asked.items, ())
    except APIError as error:
        return _error(error)
    turn = msgspec.structs.replace(turn_of(asked.request, asked.tools), items=items, encoded=EncodedTexts())
    made: dict[str, Any] = {"extra": {name: bytes(value) for name, value in asked.extra.items()}}
    for name, use in USES.items():
        try:
            found = use(turn)
            made[name] = _value(found) if isinstance(found, bytes) and found else found
        except APIError as error:
            made[name] = _error(error)
    return made


def compare(bodies: Iterator[bytes], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Read bodies in all ways; return how many there are, and how many of them are refused."""
    compared = refused = 0
    for body in bodies:
        found: list[Any] = []
        for long, at_once in ((NEVER, NEVER), (0, 0), (512, 0), (0, NEVER)):
            monkeypatch.setattr(raw, "LONG", long)
            monkeypatch.setattr(decoding, "AT_ONCE", at_once)
            found.append(read(body))
        assert all(one == found[0] for one in found), body[:300]
        compared += 1
        refused += isinstance(found[0], tuple)
    return compared, refused


def test_all_ways_of_reading_a_text_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, refused = compare(texts(), monkeypatch)
    assert 50 < refused < compared - 100


@pytest.mark.slow
def test_all_ways_of_reading_hostile_items_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, refused = compare(hostile(), monkeypatch)
    assert 100 < refused < compared - 100


def test_a_long_output_is_passed_on_as_it_came() -> None:
    written = rb'"\u00e9\/' + b"x" * raw.LONG + b'"'
    body = _pair(written, "function_call", "arguments")
    turn = turn_of(decoding.decode_request(body)[0], ())
    output = turn.items[-1]
    assert isinstance(output, FunctionCallOutput) and isinstance(output.output, JsonText)
    assert written in chat_request(turn, CodecOptions())[0]
    assert written in responses_request(turn)
    assert written in keep_input(turn.items, "0" * 48).array


def test_it_equals_the_same_text_however_that_is_written() -> None:
    one, other = JsonText(Raw(rb'"\u00e9a"')), JsonText(Raw('"éa"'.encode()))
    assert one == other == "éa" and str(one) == "éa" and hash(one) == hash(other) == hash("éa")
    assert one != JsonText(Raw(b'"b"')) and one != "b" and one != 5
    assert repr(one) == "JsonText('éa')"
    assert to_json({"a": one, "b": [one]}) == rb'{"a":"\u00e9a","b":["\u00e9a"]}'
    assert json.loads(to_json([one, "\ud800"])) == ["éa", "\ud800"]


def test_prompts_are_compared_by_what_they_say() -> None:
    def prompt(output: bytes) -> Prompt:
        item = decode_item(b'{"type":"function_call_output","call_id":"c","output":%b}' % output)
        return Prompt(model="m", items=[item])

    text = b"x" * 600
    same = diagnose(prompt(rb'"\u00e9%b"' % text), prompt('"é'.encode() + text + b'"'))
    other = diagnose(prompt(rb'"\u00e8%b"' % text), prompt('"é'.encode() + text + b'"'))
    assert type(same) is not type(other)
