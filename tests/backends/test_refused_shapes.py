# ruff: noqa: E501 (a table reads best with one case per line)
"""What refusals teach of a request's shape, in the words of servers and templates that are known to say them."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from typing import Any

import msgspec
import pytest

from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.learning.refused_shapes import narrower, shape
from tests.backends.chat.asking_setup import backend, heard, message
from tests.backends.chat.chats import USER, WEATHER, ask
from tests.backends.chat.test_message_order import DEVELOPER, IMAGE, SAID, alternates, call, output

Json = dict[str, Any]
SYSTEM, LATER = {"role": "system"}, [{"role": "user"}, {"role": "user"}]


def taught(words: str, messages: list[Json] | None = None, **sent: Any) -> Json | None:
    fields = {"model": "m", "messages": messages if messages is not None else [SYSTEM, *LATER], "tools": [], **sent}
    asked = {name: msgspec.Raw(dumps(value).encode()) for name, value in fields.items()}
    found = shape(words, asked) or narrower(words, asked)
    return None if found is None else found.settings()


@pytest.mark.parametrize(
    ("words", "learned"),
    [
        ("System message must be at the beginning.", {"roles": "merge-first"}),
        ("Chat template error: System message must be at the beginning.", {"roles": "merge-first"}),
        ("Jinja Exception: System message should be the first one", {"roles": "merge-first"}),
        ("Unexpected role 'system' after role 'assistant'", {"roles": "merge-first"}),
        ("Only one system message is allowed", {"roles": "merge-first"}),
        ("Conversation roles must alternate user/assistant/user/assistant/...", {"roles": "alternate"}),
        ("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...", {"roles": "alternate"}),
        ('messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row', {"roles": "alternate"}),
        ("Unexpected role 'user' after role 'tool'", {"roles": "alternate"}),
        ("Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant", {"roles": "alternate"}),
        ("A conversation must start with a user message. Try again with a conversation that starts with a user message.", {"roles": "alternate"}),
        ("This model does not support assistant message prefill. The conversation must end with a user message.", {"roles": "alternate"}),
        ('messages: first message must use the "user" role', {"roles": "alternate"}),
        ("System role not supported", {"roles": "user"}),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", {"roles": "user"}),
        ("Only user and assistant roles are supported!", {"roles": "user"}),
        ("Tool call id was functions.Bash:0 but must be a-z, A-Z, 0-9, with a length of 9.", {"call_ids": "short"}),
        ("messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", {"call_ids": "plain"}),
        ("Invalid 'messages[1].tool_calls[0].id': string too long. Expected a maximum length of 64, got 83", {"call_ids": "plain"}),
        ("tools.function.parameters is not a valid moonshot flavored json schema, details: <At path 'root': …>", {"strict_schema": "moonshot"}),
        ("Invalid JSON payload received. Unknown name \"const\" at 'tools[0].function_declarations[5].parameters': Cannot find field.", {"strict_schema": "gemini"}),
        ("Invalid schema for function 'x': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.", {"strict_schema": "openai"}),
        ("tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level", {"strict_schema": "openai"}),
        ("Invalid schema for function 'x': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'.", {"strict_schema": "openai"}),
        ("tools.0.function.parameters.properties.a: 'oneOf' is not permitted", {"strict_schema": "gemini"}),
        ("Unsupported JSON schema keyword: patternProperties", {"strict_schema": "gemini"}),
        ("response_format: 'oneOf' is not permitted", None),
        ("'additionalProperties' is required to be supplied and to be false", None),
        ("The model is busy", None),
        ("Invalid value: 'system'", None),
        ("the conversation is too long", None),
    ],
)  # fmt: skip
def test_words_teach(words: str, learned: Json | None) -> None:
    assert taught(words) == learned


def test_what_takes_turns_already_has_no_system_role() -> None:
    words = "Conversation roles must alternate user/assistant/user/assistant/..."
    turns = [{"role": role} for role in ("system", "user", "assistant", "tool", "assistant", "user")]
    assert taught(words, turns) == {"roles": "user"}
    for other in (
        turns[1:],
        [*turns, {"role": "user"}],
        [SYSTEM, {"role": "assistant"}, {"role": "user"}],
        [SYSTEM],
        [],
    ):
        assert taught(words, other) == {"roles": "alternate"}


def test_what_was_not_sent_teaches_nothing() -> None:
    found = shape("not a valid moonshot flavored json schema", {"messages": msgspec.Raw(b"[]")})
    assert found is None and shape("roles must alternate", {"input": msgspec.Raw(b"[]")}) is None


# The whole backend


ROOT = {"type": "object", "anyOf": [{"required": ["a"]}], "properties": {"a": {"type": "string"}, "b": {"const": 1}}}
TOOL = {"type": "function", "name": "f", "parameters": ROOT}
CALLED = [USER, call("abcdefgh_"), output("abcdefgh_", [IMAGE]), USER]


def parameters(body: Json) -> Json:
    found: Json = body["tools"][0]["function"]["parameters"]
    return found


KINDS: dict[str, tuple[Any, str, Callable[[Json], bool], Json]] = {
    "one system message": (
        ask(USER, SAID, DEVELOPER, USER, instructions="x"),
        "System message must be at the beginning.",
        lambda body: "system" in [message["role"] for message in body["messages"][1:]],
        {"roles": "merge-first"},
    ),
    "turns": (
        ask(*CALLED, tools=[WEATHER]),
        "Unexpected role 'user' after role 'tool'",
        lambda body: not alternates(body["messages"]),
        {"roles": "alternate"},
    ),
    "no system message": (
        ask(USER, instructions="x"),
        "Developer instruction is not enabled for models/x",
        lambda body: body["messages"][0]["role"] == "system",
        {"roles": "user"},
    ),
    "turns, and no system message": (
        ask(USER, USER, instructions="x"),
        "Conversation roles must alternate user/assistant/user/assistant/...",
        lambda body: [message["role"] for message in body["messages"]] != ["user"],
        {"roles": "user"},
    ),
    "short ids": (
        ask(*CALLED, tools=[WEATHER]),
        "Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9.",
        lambda body: (
            any(len(message.get("tool_call_id", "123456789")) != 9 for message in body["messages"])
            or "abcdefgh_" in dumps(body)
        ),
        {"call_ids": "short"},
    ),
    "Moonshot's schemas": (
        ask(tools=[TOOL]),
        "tools.function.parameters is not a valid moonshot flavored json schema",
        lambda body: "anyOf" in parameters(body),
        {"strict_schema": "moonshot"},
    ),
    "Google's schemas": (
        ask(tools=[TOOL]),
        "Unknown name \"const\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
        lambda body: "const" in dumps(parameters(body)),
        {"strict_schema": "gemini"},
    ),
    "an object at the root": (
        ask(tools=[TOOL]),
        "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level",
        lambda body: "anyOf" in parameters(body),
        {"strict_schema": "openai"},
    ),
}


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_shape_is_sent_in_another_one_and_that_is_remembered(kind: str, status: int) -> None:
    turn, words, refused, learned = KINDS[kind]
    async with backend(lambda body: (status, words) if refused(body) else message()) as (one, upstream):
        await heard(one, turn)
        asked = len(upstream.calls)
        assert asked > 1 and one.learned == {"m": Adaptation(**learned)}
        await heard(one, turn)
        assert len(upstream.calls) == asked + 1, "the next request is right at once"
