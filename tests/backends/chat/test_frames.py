"""Frames: a request made from a kept frame is the request that would have been made without it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.backends.chat import codec
from antiphon.backends.chat.codec import CodecOptions
from antiphon.backends.chat.frames import LONGEST_EFFORT, MOST_FRAMES, Frames, frame_key
from antiphon.backends.chat.profiles import PROFILES
from antiphon.core.request.text_format import ResolvedText
from antiphon.core.turn import TurnOptions
from antiphon.types.request import CreateResponse, TextFormat
from antiphon.types.tools import ToolChoice
from tests.backends.turns import turn

TEXTS = [
    "Hello",
    'with "quotes", \\ and "messages":',
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
]

KINDS: list[dict[str, Any]] = [
    {},
    {"stream": False},
    {"stream": True},
    {"instructions": "Be brief."},
    {"temperature": 0.5, "top_p": 0.25},
    {"max_output_tokens": 7},
    *({"reasoning_effort": effort} for effort in ("none", "low", "high", "x" * (LONGEST_EFFORT + 1))),
    {"model": 'a "model"'},
    {"tool_choice": "none"},
    {"tool_choice": "required"},
    {"tool_choice": ToolChoice(type="allowed_tools", mode="auto", tools=[])},
    {"extra": {"seed": msgspec.Raw(b"7"), "stop": msgspec.Raw(b'"."')}},
    {"text": ResolvedText(TextFormat(type="json_object"))},
    {"options": TurnOptions(top_k=4)},
    *(
        {"request": CreateResponse(model="m", **fields)}
        for fields in (
            {"presence_penalty": 0.5},
            {"frequency_penalty": 0.5},
            {"top_logprobs": 2},
            {"include": ["message.output_text.logprobs"]},
            {"service_tier": "flex"},
            {"prompt_cache_key": "k"},
            {"user": "u", "safety_identifier": "s"},
        )
    ),
]


ANSWERED = [
    {"role": "user", "content": "Hello"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
    {"role": "user", "content": "Go on."},
]


@pytest.mark.parametrize(
    "changes", [{}, {"needs_reasoning": True}, {"needs_reasoning": True, "reasoning_out": "reasoning"}]
)
@pytest.mark.parametrize("thoughts_in", ["", "thinking"])
def test_nothing_but_the_messages_differs(changes: dict[str, Any], thoughts_in: str) -> None:
    """All kinds, by turns and with several texts, through the same frames."""
    for known in PROFILES.values():
        profile = msgspec.structs.replace(known, **changes)
        options, frames = CodecOptions(profile=profile, window=100, most_output=5, thoughts_in=thoughts_in), Frames()
        for asked in (*map(turn, TEXTS), turn(items=ANSWERED), turn(items=ANSWERED)):
            for fields in KINDS:
                one = msgspec.structs.replace(asked, **fields)
                assert _made(one, options, frames) == _made(one, options, None), (profile.name, fields)


def _made(one: Any, options: CodecOptions, frames: Frames | None) -> tuple[object, ...]:
    body, call = codec.request(one, options, frames)
    return body, *(getattr(call, name) for name in call.__struct_fields__ if name != "tools"), call.tools.offers


def test_a_frame_is_of_the_options_that_made_it() -> None:
    frames = Frames()
    body, _ = codec.request(turn("Hello"), CodecOptions(profile=PROFILES["generic"]), frames)
    other = CodecOptions(profile=msgspec.structs.replace(PROFILES["generic"], stream="never"))
    assert b'"stream":true' in body
    assert b'"stream":true' not in codec.request(turn("Hello"), other, frames)[0]


@pytest.mark.parametrize("number", [1, 3 * MOST_FRAMES])
def test_a_client_cannot_fill_the_memory(number: int) -> None:
    frames, options = Frames(), CodecOptions()
    for tokens in range(number):
        codec.request(msgspec.structs.replace(turn("Hello"), max_output_tokens=tokens), options, frames)
    assert 0 < len(frames) <= MOST_FRAMES
    assert frame_key(msgspec.structs.replace(turn("Hello"), reasoning_effort="x" * 1000), frozenset()) is None
