"""Servers that refuse a history for its thoughts: none, too many, unsigned. It is sent otherwise, and that is learned."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.learning.refusal_words import UNSIGNED
from tests.backends.chat.asking_setup import Refusal, backend, message
from tests.backends.chat.chats import WEATHER, ask
from tests.backends.chat.hostile_chunks import Json
from tests.backends.turns import read_all, text_of

THOUGHTS = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello."}


def assistants(body: Json) -> list[Json]:
    return [one for one in body["messages"] if one["role"] == "assistant"]


def lacks_thoughts(body: Json) -> bool:
    return not all(one.get("reasoning_content") for one in assistants(body))


def has_thoughts(body: Json) -> bool:
    return any("reasoning_content" in one for one in assistants(body))


def lacks_signature(body: Json) -> bool:
    return any("extra_content" not in one["tool_calls"][0] for one in assistants(body) if "tool_calls" in one)


KINDS: dict[str, tuple[str, Callable[[Json], bool], Adaptation]] = {
    "DeepSeek": (
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        lacks_thoughts,
        Adaptation(needs_reasoning=True),
    ),
    "Kimi": (
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
        lacks_thoughts,
        Adaptation(needs_reasoning=True),
    ),
    "Cerebras": (
        "messages.1.assistant.reasoning_content: property 'messages.1.assistant.reasoning_content' is unsupported",
        has_thoughts,
        Adaptation(reasoning_out="none"),
    ),
    "Fireworks": (
        "Extra inputs are not permitted, field: 'messages[1].reasoning_content', value: 'hm'",
        has_thoughts,
        Adaptation(reasoning_out="none"),
    ),
    "Gemini": (
        "Function call is missing a thought_signature in functionCall parts.",
        lacks_signature,
        Adaptation(call_signature=UNSIGNED),
    ),
    "Vertex": (
        "Unable to submit request because function call `f` in the 2. content block is missing a `thought_signature`.",
        lacks_signature,
        Adaptation(call_signature=UNSIGNED),
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_history_is_sent_as_the_server_takes_it(kind: str, stream: bool) -> None:
    words, refused, learned = KINDS[kind]

    def strict(body: Json) -> Refusal | Json:
        return (400, words) if refused(body) else message()

    history = ask(USER, ANSWER, USER, THOUGHTS, CALL, OUTPUT, tools=[WEATHER], stream=stream)
    async with backend(strict) as (one, upstream):
        assert text_of(await read_all(await one.open(history))) == "Hi."
        assert one.learned == {"m": learned}
        asked = len(upstream.calls)
        assert text_of(await read_all(await one.open(history))) == "Hi."
        assert len(upstream.calls) == asked + 1, "the next request is right at once"
