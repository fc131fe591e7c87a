"""Which message may follow which: every history, under every policy, passes the rules of the strictest servers."""

from __future__ import annotations

from json import dumps
from typing import Any

import pytest

from antiphon.backends.chat.content_parts import Content
from antiphon.backends.chat.message_order import BRIDGE, GO_ON, RULES, MessageList, Roles, tool_head
from antiphon.backends.chat.profiles import PROFILES, Policies, suited
from antiphon.errors import InvalidRequest
from tests.backends.chat.chats import USER, WEATHER, ask, sent

Json = dict[str, Any]
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
SHOT = [{"type": "input_text", "text": "a shot"}, IMAGE]
DEVELOPER = {"role": "developer", "content": "Be brief."}
SAID = {"role": "assistant", "content": "Well."}


def call(id: str) -> Json:
    return {"type": "function_call", "call_id": id, "name": "get_weather", "arguments": "{}"}


def output(id: str, value: Any = "ok") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": value}


HISTORIES: dict[str, list[Json]] = {
    "a message": [USER],
    "two users": [USER, USER],
    "users behind an answer": [USER, SAID, USER, USER],
    "the assistant begins": [SAID, USER],
    "the assistant ends": [USER, SAID],
    "the assistant alone": [SAID],
    "a call": [USER, call("a"), output("a")],
    "a user behind an output": [USER, call("a"), output("a"), USER],
    "an image in an output": [USER, call("a"), output("a", SHOT)],
    "an image in an output, then the user": [USER, call("a"), output("a", SHOT), USER],
    "images in parallel outputs": [USER, call("a"), call("b"), output("a", [IMAGE]), output("b", SHOT)],
    "an image in the first of two outputs": [USER, call("a"), call("b"), output("a", SHOT), output("b")],
    "calls one after the other": [USER, call("a"), output("a", SHOT), call("b"), output("b", SHOT)],
    "a call that nobody answered": [USER, call("a"), USER],
    "a developer between": [USER, SAID, DEVELOPER, USER],
    "a developer behind an output": [USER, call("a"), output("a"), DEVELOPER],
    "a developer between answers": [USER, SAID, DEVELOPER, SAID, USER],
    "a developer between an answer and its call": [USER, SAID, DEVELOPER, call("a"), output("a")],
    "a developer at the end": [USER, DEVELOPER],
    "developers alone": [DEVELOPER, DEVELOPER],
    "an image of a developer": [{"role": "developer", "content": SHOT}, USER],
    "an output that comes late": [USER, call("a"), call("b"), output("a"), SAID, output("b"), SAID, USER],
    "a message without text": [USER, {"role": "user", "content": []}, SAID, USER],
}


def alternates(messages: list[Json]) -> bool:
    """Hold messages to the rules of Mistral's API and of templates that want user and assistant to take turns."""
    before, calling = "system", False
    for place, message in enumerate(messages):
        role = message["role"]
        if role == "system" and place == 0:
            continue
        following = {
            "system": ("user",),
            "user": ("assistant",),
            "assistant": ("tool",) if calling else ("user",),
            "tool": ("tool", "assistant"),
        }
        if role not in following[before]:
            return False
        before, calling = role, bool(message.get("tool_calls"))
    return before in ("user", "tool")


@pytest.mark.parametrize("roles", RULES)
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_every_history_is_in_an_order_that_is_taken(history: list[Json], roles: Roles) -> None:
    for instructions in (None, "Be kind."):
        found = sent(ask(*history, tools=[WEATHER], instructions=instructions), roles=roles)["messages"]
        kinds = [message["role"] for message in found]
        if roles != "keep":
            assert "developer" not in kinds
        if RULES[roles].system in ("first", "user"):
            assert "system" not in kinds[1:]
        if RULES[roles].system == "user":
            assert "system" not in kinds
        if RULES[roles].alternate:
            assert alternates(found), kinds
        assert all(
            message["content"] or message.get("tool_calls") for message in found if message["role"] == "assistant"
        )
        # Nothing is lost.
        said = dumps(found)
        assert said.count("data:image") == dumps(history).count("data:image")
        assert said.count("a shot") == dumps(history).count("a shot")
        assert said.count("Well.") == dumps(history).count("Well.")
        assert said.count("Be brief.") == dumps(history).count("Be brief.")
        assert said.count("Hi") == dumps(history).count("Hi")
        assert said.count("Be kind.") == (instructions is not None)


def test_the_rules_of_strict_servers_refuse_something() -> None:
    loose = sent(ask(*HISTORIES["an image in an output"]), roles="system")["messages"]
    assert not alternates(loose) and not alternates([USER, USER]) and not alternates([USER, SAID])
    assert alternates([{"role": "system"}, USER, SAID, USER])


def shape(*history: Json, **fields: Any) -> list[tuple[str, Any]]:
    found = sent(ask(*history), **fields)["messages"]
    return [(message["role"], message["content"]) for message in found]


def test_an_image_follows_behind_a_bridge() -> None:
    found = shape(USER, call("abcdefgh1"), output("abcdefgh1", SHOT), USER, profile="mistral")
    note = {"type": "text", "text": "Output of the tool call abcdefgh1:"}
    assert found[2:] == [
        ("tool", "a shot"),
        ("assistant", BRIDGE),
        ("user", [note, SHOWN, {"type": "text", "text": "Hi"}]),
    ]


def test_an_image_stays_in_its_output_where_the_server_takes_it() -> None:
    found = shape(USER, call("a"), output("a", SHOT), profile="openrouter")
    assert found[2:] == [("tool", [{"type": "text", "text": "a shot"}, SHOWN])]
    sound = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}
    mixed = shape(USER, call("a"), output("a", [IMAGE, sound]), profile="openrouter")
    assert [role for role, _ in mixed] == ["user", "assistant", "tool", "user"], "nothing but images may stand there"


def test_an_output_has_its_functions_name_where_the_server_asks_for_it() -> None:
    turn = ask(USER, call("a"), output("a"))
    assert sent(turn, "gemini")["messages"][2] == {
        "role": "tool",
        "tool_call_id": "a",
        "name": "get_weather",
        "content": "ok",
    }
    assert "name" not in sent(turn)["messages"][2]


def test_users_take_turns_with_the_assistant() -> None:
    found = shape(SAID, USER, USER, SAID, roles="alternate")
    assert found == [
        ("user", GO_ON),
        ("assistant", "Well."),
        ("user", "Hi\n\nHi"),
        ("assistant", "Well."),
        ("user", GO_ON),
    ]


def test_without_a_system_role_the_first_user_says_it() -> None:
    found = shape(USER, SAID, DEVELOPER, {"role": "user", "content": SHOT}, roles="user")
    assert found[0] == ("user", "Hi")
    reminded = {"type": "text", "text": "<system-reminder>\nBe brief.\n</system-reminder>"}
    assert found[-1] == ("user", [reminded, {"type": "text", "text": "a shot"}, SHOWN])
    seen = shape({"role": "user", "content": SHOT}, DEVELOPER, roles="user")
    said = [{"type": "text", "text": text} for text in ("Be brief.", "a shot")]
    assert seen == [("user", [*said, SHOWN])]


# Whose policies hold


@pytest.mark.parametrize(
    ("profile", "settings", "model", "expected"),
    [
        ("generic", {}, "llama-3", ("auto", "auto", "auto")),
        ("mistral", {}, "x", ("alternate", "short", "auto")),
        ("vllm", {}, "mistralai/Devstral-Small-2507", ("alternate", "short", "auto")),
        ("generic", {}, "moonshotai/Kimi-K2-Instruct", ("auto", "counted", "auto")),
        ("moonshot", {}, "kimi-k3", ("auto", "counted", "moonshot")),
        ("ollama", {}, "gemma3:27b", ("user", "auto", "auto")),
        ("vllm", {}, "Qwen/Qwen3.6-27B-FP8", ("merge-first", "auto", "auto")),
        ("groq", {}, "openai/gpt-oss-120b", ("merge-first", "auto", "auto")),
        ("mistral", {"roles": "keep", "call_ids": "keep"}, "magistral", ("keep", "keep", "auto")),
        ("gemini", {"strict_schema": "tidy"}, "gemini-3-pro", ("auto", "auto", "tidy")),
    ],
)
def test_settings_come_before_the_profile_and_that_before_the_family(
    profile: str, settings: dict[str, Any], model: str, expected: tuple[str, str, str]
) -> None:
    found = suited(PROFILES[profile], Policies(**settings), model)
    assert (found.roles, found.call_ids, found.strict_schema) == expected
    assert found.kind == profile


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({}, ["call_0c9f9b86a6414a36666b0d63", "call_1"]),
        ({"call_ids": "keep"}, ["functions.Bash:0", "call_1"]),
        ({"call_ids": "counted"}, ["functions.get_weather:0", "functions.get_weather:1"]),
    ],
)
def test_a_call_and_its_output_have_one_id(fields: dict[str, Any], ids: list[str]) -> None:
    turn = ask(call("functions.Bash:0"), output("functions.Bash:0"), call("call_1"), output("call_1"))
    found = sent(turn, **fields)["messages"]
    made = [message["tool_calls"][0]["id"] for message in found if message["role"] == "assistant"]
    assert made == [message["tool_call_id"] for message in found if message["role"] == "tool"] == ids


@pytest.mark.parametrize("field", ["prefix", ""])
def test_a_message_with_outputs_behind_it_is_not_continued(field: str) -> None:
    messages = MessageList("auto")
    messages.user(Content("Hi."))
    messages.assistant([b'"content":"Well"'])
    messages.continue_last(field)
    assert b"".join(messages.pieces()).endswith(b":true}]" if field else b'"Well"}]')
    messages.assistant([b'"content":"Well"'], [tool_head(b'"c"', b""), b'"ok"', b"}"])
    with pytest.raises(InvalidRequest, match="prefill"):
        messages.continue_last(field)
