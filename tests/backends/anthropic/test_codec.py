"""Turn → the body of a Messages request."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from antiphon.backends.anthropic.cache_control import NO_CACHE, CachePolicy
from antiphon.backends.anthropic.codec import MessagesOptions, request
from antiphon.backends.anthropic.origin import KIND, family
from antiphon.backends.anthropic.thinking import mode_of
from antiphon.core.opaque import OTHER_MODEL, Opaque
from antiphon.core.request.decoding import ResolvedText
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.core.turn import Hints, TurnOptions
from antiphon.errors import InvalidRequest
from antiphon.types.request import CreateResponse, TextFormat
from antiphon.types.tools import Tool, ToolChoice
from tests.backends.turns import turn

Json = dict[str, Any]
PLAIN = MessagesOptions(cache=NO_CACHE)
PNG = base64.b64encode(b"\x89PNG\r\n").decode()
BEGIN = {"role": "user", "content": [{"type": "text", "text": "."}]}


def tool(name: str = "f", **fields: Any) -> Tool:
    declared = {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **fields}
    return decode_tool(Raw(json.dumps(declared).encode()))


def body(options: MessagesOptions = PLAIN, *texts: str, **fields: Any) -> Json:
    found: Json = json.loads(request(turn(*texts, **fields), options).body())
    return found


def user(*texts: str) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def assistant(*blocks: Any) -> Json:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks],
    }


def item(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def called(id: str, arguments: str = "{}", name: str = "f") -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(id: str, value: Any = "sunny") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": value}


def use(id: str, input: Json | None = None, name: str = "f") -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": input or {}}


def result(id: str, content: Any = "sunny", **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **fields}


NOT_ANSWERED = {"content": "(not answered)", "is_error": True}
HISTORIES: dict[str, tuple[list[Json], list[Json]]] = {
    "one message": ([item("user", "Hi")], [user("Hi")]),
    "nothing": ([], [BEGIN]),
    "blank": ([item("user", "  \n")], [BEGIN]),
    "equal roles are one message": (
        [item("user", "a"), item("user", "b"), item("assistant", "c"), item("assistant", "d"), item("user", "e")],
        [user("a", "b"), assistant("c", "d"), user("e")],
    ),
    "the assistant does not begin": ([item("assistant", "a"), item("user", "b")], [BEGIN, assistant("a"), user("b")]),
    "no blanks at the end of a beginning": (
        [item("user", "a"), item("assistant", "Once \n")],
        [user("a"), assistant("Once")],
    ),
    "a call and its result": (
        [item("user", "a"), called("c1", '{"b": 1,"a":2}'), output("c1")],
        [user("a"), assistant(use("c1", {"b": 1, "a": 2})), {"role": "user", "content": [result("c1")]}],
    ),
    "results first, in the order of the calls, then text": (
        [
            item("user", "a"),
            item("assistant", "So"),
            called("c1"),
            called("c2"),
            item("user", "b"),
            output("c2", "2"),
            output("c1", "1"),
        ],
        [
            user("a"),
            assistant("So", use("c1"), use("c2")),
            {"role": "user", "content": [result("c1", "1"), result("c2", "2"), {"type": "text", "text": "b"}]},
        ],
    ),
    "a call without a result": (
        [item("user", "a"), called("c1"), item("user", "b")],
        [
            user("a"),
            assistant(use("c1")),
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", **NOT_ANSWERED},
                    {"type": "text", "text": "b"},
                ],
            },
        ],
    ),
    "an empty result": (
        [item("user", "a"), called("c1"), output("c1", "")],
        [user("a"), assistant(use("c1")), {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]}],
    ),
    "a result with an image": (
        [
            item("user", "a"),
            called("c1"),
            output("c1", [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]),
        ],
        [
            user("a"),
            assistant(use("c1")),
            {
                "role": "user",
                "content": [
                    result(
                        "c1",
                        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
                    )
                ],
            },
        ],
    ),
    "odd ids": (
        [item("user", "a"), called("functions.f:0"), output("functions.f:0")],
        [
            user("a"),
            assistant(use("call_1f0d66aacc1bc0cdbe44a3ee")),
            {"role": "user", "content": [result("call_1f0d66aacc1bc0cdbe44a3ee")]},
        ],
    ),
    "arguments that are no object": (
        [item("user", "a"), called("c1", "[1"), output("c1")],
        [user("a"), assistant(use("c1", {"arguments": "[1"})), {"role": "user", "content": [result("c1")]}],
    ),
    "system text in the middle": (
        [item("user", "a"), item("assistant", "b"), item("developer", "Be short."), item("user", "c")],
        [user("a"), assistant("b"), user("<system-reminder>\nBe short.\n</system-reminder>", "c")],
    ),
    "thoughts of another kind of model": (
        [
            item("user", "a"),
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
            item("assistant", "b"),
            item("user", "c"),
        ],
        [user("a"), assistant("b"), user("c")],
    ),
    "a custom tool": (
        [
            item("user", "a"),
            {"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": "x\ny"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        ],
        [user("a"), assistant(use("c1", {"input": "x\ny"}, "p")), {"role": "user", "content": [result("c1", "ok")]}],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history(name: str) -> None:
    items, expected = HISTORIES[name]
    found = body(items=items)["messages"]
    for one in (found, expected):
        for ids in [block for message in one for block in message["content"]]:
            for key in ("id", "tool_use_id"):  # a digest is any that is the same for call and result
                if str(ids.get(key, "")).startswith("call_"):
                    ids[key] = "call_"
    assert found == expected


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_that_goes_on_has_the_same_beginning(name: str) -> None:
    items, _ = HISTORIES[name]
    if not items or items[-1].get("role") == "assistant":
        return
    before = request(turn(items=items), PLAIN).fields["messages"]
    after = request(turn(items=[*items, item("assistant", "z"), item("user", "y")]), PLAIN).fields["messages"]
    assert after.startswith(before[:-1])


def test_arguments_go_as_their_own_bytes() -> None:
    raw = '{ "b":1.0,"a":"\\u00e9é"}'
    sent = request(turn(items=[item("user", "a"), called("c", raw), output("c")]), PLAIN).fields["messages"]
    assert raw.encode() in sent


def test_an_output_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="No tool call found"):
        body(items=[item("user", "a"), output("c")])


def test_instructions_and_leading_system_messages_are_the_system_text() -> None:
    found = body(items=[item("system", "b"), item("developer", "c"), item("user", "d")], instructions="a")
    assert found["system"] == [{"type": "text", "text": text} for text in "abc"]
    assert found["messages"] == [user("d")]
    assert "system" not in body(PLAIN, "d")


def test_a_model_that_takes_system_messages_gets_them_in_their_place() -> None:
    options = MessagesOptions(cache=NO_CACHE, keeps_system=True)
    found = body(options, items=[item("user", "a"), item("system", "b"), item("user", "c")])["messages"]
    assert found[1] == {"role": "system", "content": [{"type": "text", "text": "b"}]}


PDF = base64.b64encode(b"%PDF-1.7").decode()
WORDS = base64.b64encode("Grüße".encode()).decode()
PARTS: list[tuple[Json, Json]] = [
    ({"type": "input_text", "text": "a"}, {"type": "text", "text": "a"}),
    (
        {"type": "input_image", "image_url": f"data:image/PNG;base64,{PNG}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        {"type": "input_image", "image_url": "https://a.example/b.png"},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
    ),
    (
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
        },
    ),
    (
        {"type": "input_file", "file_data": PDF},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    ),
    (
        {"type": "input_file", "filename": "a.md", "file_data": WORDS},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            "title": "a.md",
        },
    ),
    (
        {"type": "input_file", "filename": "a.png", "file_data": f"data:image/png;base64,{PNG}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,"},
        {"type": "text", "text": "(The file a.txt is empty.)"},
    ),
]


@pytest.mark.parametrize(("part", "block"), PARTS, ids=range(len(PARTS)))
def test_parts_of_messages(part: Json, block: Json) -> None:
    found = body(items=[{"type": "message", "role": "user", "content": [part]}])
    assert found["messages"] == [{"role": "user", "content": [block]}]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "input_image"}, "image_url"),
        ({"type": "input_file", "file_id": "file_1"}, "file_data"),
        ({"type": "input_file", "filename": "a.docx", "file_data": WORDS}, "cannot take files"),
        ({"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,/w=="}, "cannot take files"),
        ({"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}}, "cannot take audio"),
    ],
)
def test_what_has_no_block_is_refused(part: Json, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        body(items=[{"type": "message", "role": "user", "content": [part]}])


# Tools


def test_tools() -> None:
    free = {"type": "custom", "name": "p", "description": "Patch"}
    tools = [tool("f", description="Weather"), decode_tool(Raw(json.dumps(free).encode()))]
    found = body(PLAIN, "a", tools=tools)
    assert found["tools"][0] == {
        "name": "f",
        "description": "Weather",
        "input_schema": {"type": "object", "properties": {}},
    }
    assert found["tools"][1]["input_schema"]["required"] == ["input"]
    assert "tool_choice" not in found


STRICT = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "o": {"type": "object", "properties": {}}},
    "required": ["n"],
}


def test_strict_tools_have_schemas_that_the_api_takes() -> None:
    (found,) = body(PLAIN, "a", tools=[tool(parameters=STRICT, strict=True)])["tools"]
    assert found["strict"] is True
    assert found["input_schema"] == {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "o": {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "required": ["n"],
        "additionalProperties": False,
    }
    (found,) = body(MessagesOptions(drop=("strict",)), "a", tools=[tool(parameters=STRICT, strict=True)])["tools"]
    assert "strict" not in found


CHOICES: list[tuple[Any, bool, Any]] = [
    ("auto", True, None),
    ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
    ("none", True, {"type": "none"}),
    ("none", False, {"type": "none"}),
    ("required", True, {"type": "any"}),
    ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
    (ToolChoice(type="function", name="f"), True, {"type": "tool", "name": "f"}),
]


@pytest.mark.parametrize(("choice", "parallel", "said"), CHOICES, ids=range(len(CHOICES)))
def test_tool_choices(choice: Any, parallel: bool, said: Any) -> None:
    found = body(PLAIN, "a", tools=[tool()], tool_choice=choice, parallel_tool_calls=parallel)
    assert found.get("tool_choice") == said


def test_a_choice_that_no_tool_has_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not found in 'tools'"):
        body(PLAIN, "a", tools=[tool()], tool_choice=ToolChoice(type="function", name="g"))


def test_a_history_with_calls_has_tools_also_where_none_is_offered() -> None:
    found = body(items=[item("user", "a"), called("c1"), output("c1")])
    assert found["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert found["tool_choice"] == {"type": "none"}


# Thoughts


def kept(model: str = "claude-opus-4-5", kind: str = KIND, address: str = "") -> Opaque:
    blocks = b'[{"type":"thinking","thinking":"Hm","signature":"s+/="}]'
    return Opaque(kind=kind, address=address, model=model, inside=True, message={"content": Raw(blocks)})


def thoughts(id: str = "rs_1") -> Json:
    return {"type": "reasoning", "id": id, "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}


SIGNED = {"type": "thinking", "thinking": "Hm", "signature": "s+/="}


@pytest.mark.parametrize(
    ("opaque", "goes"),
    [
        (kept(), True),
        (kept(address="elsewhere"), True),
        (kept("claude-sonnet-4-5"), False),
        (kept(kind="openrouter"), False),
    ],
)
def test_signatures_go_back_to_the_models_that_made_them(opaque: Opaque, goes: bool) -> None:
    items = [item("user", "a"), thoughts(), item("assistant", "x"), called("c1"), output("c1")]
    asked = turn(items=items, model="claude-opus-4-5-20251101", opaque={"rs_1": (opaque,)})
    call = request(asked, PLAIN)
    said = json.loads(call.fields["messages"])[1]
    assert said == assistant(*([SIGNED] * goes), "x", use("c1"))
    assert [(one.id, one.reason) for one in call.removed] == ([] if goes else [("rs_1", OTHER_MODEL)])


def test_a_message_of_thoughts_alone_is_left_out() -> None:
    items = [item("user", "a"), thoughts(), item("user", "b")]
    asked = turn(items=items, model="claude-opus-4-5", opaque={"rs_1": (kept(),)})
    assert json.loads(request(asked, PLAIN).fields["messages"]) == [user("a", "b")]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
        ("anthropic/claude-opus-4-5", "claude-opus-4-5"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("MiniMax-M2", "MiniMax-M2"),
    ],
)
def test_families(model: str, name: str) -> None:
    assert family(model) == name


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        ("claude-opus-5-5", "adaptive"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-sonnet-4.7", "adaptive"),
        ("anthropic.claude-sonnet-10-20300101", "adaptive"),
        ("claude-opus-4-5", "budget"),
        ("claude-sonnet-4-20250514", "budget"),
        ("claude-opus-4-1-20250805", "budget"),
        ("claude-3-7-sonnet-20250219", "budget"),
        ("claude-3-5-haiku-latest", "off"),
        ("claude-3-opus-20240229", "off"),
        ("MiniMax-M2", "budget"),
        ("kimi-k2-thinking", "budget"),
    ],
)
def test_how_models_think_by_their_names(model: str, mode: str) -> None:
    assert mode_of(model) == mode


ADAPTIVE = {"type": "adaptive", "display": "summarized"}
WISHES: list[tuple[Any, Any, Json, Json]] = [
    ("adaptive", None, {}, {"max_tokens": 8192}),
    ("adaptive", "low", {}, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}),
    ("adaptive", "minimal", {}, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}, "ignored": True}),
    ("adaptive", "max", {}, {"thinking": ADAPTIVE, "output_config": {"effort": "max"}}),
    ("adaptive", "none", {}, {"thinking": {"type": "disabled"}}),
    ("budget", "high", {}, {"thinking": {"type": "enabled", "budget_tokens": 16384}, "max_tokens": 17408}),
    (
        "budget",
        "high",
        {"max_output_tokens": 4000},
        {"thinking": {"type": "enabled", "budget_tokens": 2976}, "max_tokens": 4000},
    ),
    ("budget", "high", {"max_output_tokens": 1500}, {"max_tokens": 1500, "ignored": True}),
    ("budget", "none", {}, {"thinking": {"type": "disabled"}}),
    ("off", "high", {}, {"ignored": True}),
    ("off", "none", {}, {}),
]


@pytest.mark.parametrize(("mode", "effort", "fields", "said"), WISHES, ids=range(len(WISHES)))
def test_efforts(mode: Any, effort: str | None, fields: Json, said: Json) -> None:
    call = request(turn("a", reasoning_effort=effort, **fields), MessagesOptions(mode=mode, cache=NO_CACHE))
    found = json.loads(call.body())
    for name in ("thinking", "output_config"):
        assert found.get(name) == said.get(name)
    if "max_tokens" in said:
        assert found["max_tokens"] == said["max_tokens"]
    assert ("reasoning.effort" in call.ignored) == said.get("ignored", False)


def test_a_known_limit_bounds_the_budget() -> None:
    call = request(turn("a", reasoning_effort="max"), MessagesOptions(mode="budget", most_output=8192))
    found = json.loads(call.body())
    assert (found["max_tokens"], found["thinking"]["budget_tokens"]) == (8192, 7168)


def test_temperature_is_not_told_beside_thoughts() -> None:
    call = request(turn("a", temperature=0.5, top_p=0.9, reasoning_effort="low"), PLAIN)
    assert not {"temperature", "top_p"} & call.fields.keys()
    assert set(call.ignored) == {"temperature", "top_p"}
    call = request(turn("a", temperature=1.5, top_p=0.9), PLAIN)
    assert (call.fields["temperature"], call.fields["top_p"], call.ignored) == (b"1.0", b"0.9", ("temperature",))


def test_wishes_of_other_front_ends() -> None:
    options = TurnOptions(stop=("END", " \n"), top_k=5, thinking_budget=3000)
    found = json.loads(request(turn("a", options=options), PLAIN).body())
    assert (found["stop_sequences"], found["top_k"]) == (["END"], 5)
    call = request(turn("a", options=options, reasoning_effort="high"), MessagesOptions(mode="budget", cache=NO_CACHE))
    found = json.loads(call.body())
    assert found["thinking"] == {"type": "enabled", "budget_tokens": 3000}
    assert ("top_k" in found, call.ignored) == (False, ("top_k",))


def test_a_forced_call_is_made_without_thoughts() -> None:
    call = request(turn("a", tools=[tool()], tool_choice="required", reasoning_effort="high"), PLAIN)
    assert call.forced
    assert "thinking" not in call.fields
    assert call.ignored == ("reasoning.effort",)


@pytest.mark.parametrize(
    ("mode", "signed", "thinks"),
    [("budget", False, False), ("budget", True, True), ("adaptive", False, True)],
)
def test_a_result_whose_call_had_no_thoughts_of_this_model(mode: Any, signed: bool, thinks: bool) -> None:
    items = [item("user", "a"), thoughts(), called("c1"), output("c1")]
    asked = turn(
        items=items,
        model="claude-opus-4-5",
        tools=[tool()],
        reasoning_effort="high",
        opaque={"rs_1": (kept(),)} if signed else {},
    )
    call = request(asked, MessagesOptions(mode=mode, cache=NO_CACHE))
    assert ("thinking" in call.fields) == thinks
    assert ("reasoning.effort" in call.ignored) != thinks


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
