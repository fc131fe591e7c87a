"""Formats, extra fields and cache breakpoints in the body of a Messages request."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from antiphon.backends.anthropic.cache_control import NO_CACHE, CachePolicy
from antiphon.backends.anthropic.codec import MessagesOptions, request
from antiphon.core.request.decoding import ResolvedText
from antiphon.core.turn import Hints
from antiphon.types.request import CreateResponse, TextFormat
from tests.backends.anthropic.codec_requests import (
    PLAIN,
    PNG,
    STRICT,
    Json,
    body,
    called,
    item,
    output,
    tool,
)
from tests.backends.turns import turn

# The rest


def text_format(**fields: Any) -> ResolvedText:
    return ResolvedText(format=TextFormat(**fields), verbosity=None)


def test_a_format() -> None:
    format = text_format(type="json_schema", name="n", schema=Raw(json.dumps(STRICT).encode()))
    found = body(PLAIN, "a", text=format)
    assert found["output_config"]["format"]["type"] == "json_schema"
    assert found["output_config"]["format"]["schema"]["additionalProperties"] is False
    found = body(MessagesOptions(formats=False, cache=NO_CACHE), "a", text=format)
    assert "output_config" not in found
    assert json.dumps(STRICT) in found["system"][0]["text"]
    found = body(PLAIN, "a", text=text_format(type="json_object"), instructions="Be kind.")
    assert [block["text"] for block in found["system"]][1].startswith("Answer with a JSON object")


def test_whom_a_request_is_for_is_a_digest() -> None:
    found = body(PLAIN, "a", hints=Hints(owner="key:alice"))
    assert len(found["metadata"]["user_id"]) == 32
    assert "alice" not in json.dumps(found)
    assert "metadata" not in body(PLAIN, "a")
    other = body(PLAIN, "a", hints=Hints(owner="key:bob"))
    assert other["metadata"] != found["metadata"]


def test_extra_fields_go_along_and_replace_nothing() -> None:
    found = body(PLAIN, "a", extra={"top_k": Raw(b"5"), "model": Raw(b'"other"'), "stream": Raw(b"false")})
    assert (found["top_k"], found["model"], found["stream"]) == (5, "m", True)


def test_wishes_that_the_api_has_no_word_for_are_told() -> None:
    asked = CreateResponse(model="m", input="a", presence_penalty=1.0, top_logprobs=3)
    text = ResolvedText(format=TextFormat(type="text"), verbosity="low")
    call = request(turn("a", request=asked, text=text), PLAIN)
    assert set(call.ignored) == {"presence_penalty", "top_logprobs", "text.verbosity"}


def test_fields_that_are_dropped() -> None:
    drop = ("temperature", "metadata", "tool_choice", "cache_control", "messages")
    asked = turn("a", tools=[tool()], tool_choice="required", temperature=0.1, hints=Hints(owner="x"))
    call = request(asked, MessagesOptions(drop=drop))
    assert not {"temperature", "metadata", "tool_choice"} & call.fields.keys()
    assert b"cache_control" not in call.body()
    assert (set(call.ignored), call.forced) == ({"temperature", "tool_choice"}, False)


def test_breakpoints_of_the_prompt_cache() -> None:
    items = [
        item("user", "a"),
        item("assistant", "b"),
        item("user", "c"),
        item("assistant", "d"),
        item("user", "e"),
        called("c1"),
        output("c1"),
    ]
    options = MessagesOptions(cache=CachePolicy(ttl="1h"))
    found = body(options, items=items, instructions="Be kind.", tools=[tool("f"), tool("g")])
    mark = {"type": "ephemeral", "ttl": "1h"}
    messages = found["messages"]
    assert [one.get("cache_control") for one in found["tools"]] == [None, mark]
    assert found["system"][-1]["cache_control"] == mark
    marked = [n for n, message in enumerate(messages) if "cache_control" in message["content"][-1]]
    assert marked == [4, 6]
    assert json.dumps(found).count("cache_control") == 4
    plain = body(PLAIN, items=items, instructions="Be kind.", tools=[tool("f"), tool("g")])
    for message in (*messages, {"content": found["tools"]}, {"content": found["system"]}):
        message["content"][-1].pop("cache_control", None)
    assert found == plain


def marked(text: str, ttl: str | None = None, role: str = "user") -> Json:
    mark = {"mode": "explicit", **({"ttl": ttl} if ttl else {})}
    return {"role": role, "content": [{"type": "input_text", "text": text, "prompt_cache_breakpoint": mark}]}


def marks_of(found: Json) -> list[str]:
    """Return the texts behind which the prompt is cached; what is no text by its type."""
    messages = [block for message in found["messages"] for block in message["content"]]
    blocks = [*found.get("tools", ()), *found.get("system", ()), *messages]
    return [block.get("text", block.get("type", block.get("name"))) for block in blocks if "cache_control" in block]


def asked_for(*items: Json, options: Json | None = None, **fields: Any) -> Json:
    request = msgspec.convert({"model": "m", "prompt_cache_options": options}, CreateResponse)
    return body(MessagesOptions(), items=items, request=request, instructions="Be kind.", **fields)


FIVE = [one for number in range(5) for one in (marked(f"{number}"), item("assistant", "b"))]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, ["2", "3", "4", "end"]),
        ({"mode": "implicit"}, ["2", "3", "4", "end"]),
        ({"mode": "explicit"}, ["1", "2", "3", "4"]),
    ],
)
def test_a_clients_breakpoints_come_first(options: Json | None, expected: list[str]) -> None:
    found = asked_for(*FIVE, item("user", "end"), options=options, tools=[tool("f")])
    assert marks_of(found) == expected


def test_explicit_without_breakpoints_caches_nothing() -> None:
    assert marks_of(asked_for(item("user", "a"), options={"mode": "explicit"}, tools=[tool("f")])) == []
    assert len(marks_of(asked_for(item("user", "a"), options={"mode": "implicit"}, tools=[tool("f")]))) == 3


@pytest.mark.parametrize(
    ("options", "ttl", "lifetime"),
    [(None, None, None), (None, "30m", "1h"), ({"ttl": "12h"}, None, "1h"), ({"ttl": "30m"}, "12h", "1h")],
)
def test_all_breakpoints_have_one_lifetime(options: Json | None, ttl: str | None, lifetime: str | None) -> None:
    found = asked_for(marked("a"), item("assistant", "b"), marked("c", ttl), item("user", "d"), options=options)
    marks = [
        block["cache_control"] for one in found["messages"] for block in one["content"] if "cache_control" in block
    ]
    assert len(marks) == 3 and {mark.get("ttl") for mark in marks} == {lifetime}


def test_breakpoints_stand_on_what_has_them() -> None:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "prompt_cache_breakpoint": {}}
    parts = [{"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}]
    items = [
        marked("be brief", role="developer"),
        {"role": "user", "content": [picture, {"type": "input_text", "text": "look"}]},
        called("c1"),
        output("c1", parts),
    ]
    assert marks_of(asked_for(*items, options={"mode": "explicit"})) == ["be brief", "image", "tool_result"]


def test_what_is_switched_off_is_told() -> None:
    for options in (MessagesOptions(cache=NO_CACHE), MessagesOptions(drop=("cache_control",))):
        call = request(turn(items=[marked("a")]), options)
        assert b"cache_control" not in call.body()
        assert ("prompt_cache_breakpoint" in call.ignored) or options.cache.on


def test_counting_asks_with_the_prompt_alone() -> None:
    call = request(turn("a", tools=[tool()], temperature=0.1, reasoning_effort="low"), PLAIN)
    assert set(json.loads(call.count_body())) == {"model", "messages", "tools", "thinking"}
