"""What other suites and clients send and expect, over HTTP: spellings, fields that are left out, words of refusals."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.server.whole import Client, turn, whole_server

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
PICTURE = "data:image/png;base64,not_valid_base64_data!!!"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with whole_server() as client:
        yield client


@pytest.fixture(scope="module")
def relaying(client: Client) -> Iterator[Client]:
    """A server whose backend speaks chat completions: the first server."""
    backend = BackendConfig(url=f"{client.url}/v1")
    with whole_server(backends={"chat": backend}) as relaying:
        yield relaying


def headers_of(client: Client, **fields: Any) -> tuple[int, Message, bytes]:
    """Return the status, headers and body of a response that is asked for."""
    request = urllib.request.Request(f"{client.url}/v1/responses", json.dumps(fields).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


# Tool choices as chat completions nest them

NESTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "function", "function": {"name": "weather"}}, {"type": "function", "name": "weather"}),
    (
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "name": "weather"}]},
        },
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]},
    ),
    (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
    ),
]


@pytest.mark.parametrize(("sent", "meant"), NESTED)
def test_a_nested_tool_choice_means_the_flat_one(client: Client, sent: dict[str, Any], meant: dict[str, Any]) -> None:
    made = client.create(model="scripted", input="/call weather {}", tools=[WEATHER], tool_choice=sent)
    assert made["tool_choice"] == meant
    assert [item["type"] for item in made["output"]] == ["function_call"]


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "other"}},
        {"type": "function", "function": {}},
        {"type": "function", "function": None},
        {"type": "function", "custom": {}},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "function": {"name": "other"}}]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "function": 7}]},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}] * 1000}},
    ],
)
def test_a_nested_tool_choice_is_checked_as_the_flat_one_is(client: Client, choice: dict[str, Any]) -> None:
    sent = {"model": "scripted", "input": "x", "tools": [WEATHER], "tool_choice": choice}
    status, body = client.post("/v1/responses", **sent)
    assert status == 400 and body["error"]["param"].startswith("tool_choice")


# A schema that stands bare under `json_schema`


@pytest.mark.parametrize(
    "text", [{"type": "json_schema", "json_schema": SCHEMA}, {"format": {"type": "json_schema", "json_schema": SCHEMA}}]
)
def test_a_bare_schema_is_the_format(client: Client, text: dict[str, Any]) -> None:
    format = client.create(model="scripted", input="x", text=text)["text"]["format"]
    assert (format["type"], format["name"], format["schema"]) == ("json_schema", "response", SCHEMA)


@pytest.mark.parametrize("nested", [{}, {"name": "x"}, {"name": "x", "schema": None}, 7, [SCHEMA]])
def test_what_is_no_schema_is_refused(client: Client, nested: Any) -> None:
    format = {"type": "json_schema", "json_schema": nested}
    status, body = client.post("/v1/responses", model="scripted", input="x", text={"format": format})
    assert status == 400 and body["error"]["param"].startswith("text.format")


def test_a_bare_schema_is_taken_by_chat_completions(client: Client, relaying: Client) -> None:
    format = {"type": "json_schema", "json_schema": SCHEMA}
    for server in (client, relaying):  # translated; relayed, and then translated
        sent = {"model": "scripted", "messages": [{"role": "user", "content": "{}"}], "response_format": format}
        status, body = server.post("/v1/chat/completions", **sent)
        assert (status, body["choices"][0]["message"]["content"]) == (200, "{}")


# What may be left out


def test_without_a_model_the_only_one_is_meant(client: Client, relaying: Client) -> None:
    for server in (client, relaying):
        assert server.create(input="hello")["model"] == "scripted"
        assert server.create(input="hello", model=None)["model"] == "scripted"
        status, body = server.post("/v1/chat/completions", messages=[{"role": "user", "content": "hello"}])
        assert (status, body["choices"][0]["message"]["content"]) == (200, "hello")
        with server.websocket() as connection:
            assert turn(connection, input="hello")[-1]["response"]["model"] == "scripted"


def test_without_a_model_one_of_several_is_not_guessed() -> None:
    with whole_server(models={"a": ModelConfig(name="scripted"), "b": ModelConfig(name="scripted")}) as client:
        for path, rest in (("responses", {"input": "x"}), ("chat/completions", {"messages": []})):
            status, body = client.post(f"/v1/{path}", **rest)
            assert (status, body["error"]["param"], body["error"]["code"]) == (
                400,
                "model",
                "missing_required_parameter",
            )


def test_a_compaction_names_its_model(client: Client) -> None:
    status, body = client.post("/v1/responses/compact", input="x")
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, "model", "missing_required_parameter")


def test_a_background_response_without_a_model_keeps_the_one_that_was_meant(client: Client) -> None:
    made = client.create(input="hello", background=True)
    assert client.finished(made["id"])["model"] == "scripted"


@pytest.mark.parametrize(
    "body", [{}, {"model": "scripted"}, {"instructions": "Be brief."}, {"input": None}, {"input": []}]
)
def test_tokens_are_counted_without_input(client: Client, relaying: Client, body: dict[str, Any]) -> None:
    for server in (client, relaying):
        status, counted = server.post("/v1/responses/input_tokens", **body)
        assert (status, counted["object"]) == (200, "response.input_tokens")


LOOK = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
SEE = {**LOOK, "call_id": "c2", "name": "see", "namespace": "eyes"}
AGAIN = {**LOOK, "call_id": "c3"}


def output(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "output": text, **fields}


@pytest.mark.parametrize(
    ("outputs", "ids"),
    [
        ([output("a"), output("b"), output("c")], ["c1", "c2", "c3"]),
        ([output("a", name="see"), output("b", name="look"), output("c", name="look")], ["c2", "c1", "c3"]),
        ([output("a", call_id="c1"), output("b", name="look", call_id=None)], ["c1", "c3"]),
        ([output("a", name="see", namespace="eyes"), output("b", call_id="c1"), output("c")], ["c2", "c1", "c3"]),
        ([output([{"type": "input_text", "text": "a"}], name="see")], ["c2"]),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_an_output_without_a_call_id_finds_its_call(
    client: Client, outputs: list[dict[str, Any]], ids: list[str], stored: bool
) -> None:
    calls = [{"role": "user", "content": "x"}, LOOK, SEE, AGAIN]
    if stored:
        first = client.create(model="scripted", input=calls)
        made = client.create(model="scripted", input=outputs, previous_response_id=first["id"])
    else:
        made = client.create(model="scripted", input=[*calls, *outputs])
    _, kept = client.get(f"/v1/responses/{made['id']}/input_items?order=asc&limit=100")
    assert [item["call_id"] for item in kept["data"] if item["type"] == "function_call_output"] == ids


@pytest.mark.parametrize(
    "items",
    [
        [output("a")],
        [LOOK, output("a"), output("b")],
        [SEE, output("a", name="see", namespace="ears")],
        [output("a"), LOOK],
    ],
)
def test_an_output_without_a_call_is_refused(client: Client, items: list[dict[str, Any]]) -> None:
    status, answer = client.post("/v1/responses", model="scripted", input=items)
    place = max(index for index, item in enumerate(items) if item["type"] == "function_call_output")
    assert (status, answer["error"]["param"]) == (400, f"input[{place}].call_id")
    status, answer = client.post("/v1/conversations", items=items)
    assert status == 400 and answer["error"]["code"] == "missing_required_parameter"


@pytest.mark.parametrize("said", ["OBJECTIVE", [{"type": "input_text", "text": "OBJECTIVE"}]])
def test_an_output_of_a_function_that_was_not_called_is_a_message(client: Client, said: object) -> None:
    goal = {**output("", name="goal_objective", namespace="agent"), "id": "fco_1", "output": said}
    items = [{"role": "user", "content": "x"}, LOOK, output("seen", call_id="c1"), goal]
    made = client.create(model="scripted", input=items)
    _, kept = client.get(f"/v1/responses/{made['id']}/input_items?order=asc")
    (part,) = kept["data"][-1]["content"]
    assert (kept["data"][-1]["role"], part["text"]) == ("user", "OBJECTIVE")
    again = client.create(model="scripted", input=[goal], previous_response_id=made["id"])
    assert again["status"] == "completed"


def test_a_summary_that_is_off_is_none(client: Client, relaying: Client) -> None:
    for server in (client, relaying):
        made = server.create(model="scripted", input="x", reasoning={"summary": "off", "effort": None})
        assert made["reasoning"]["summary"] is None


# Refusals

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "responses",
        {"input": "x", "background": True, "store": False},
        "store",
        "background can only be used when `store` is true",
    ),
    ("responses", {"input": "x", "conversation": "invalid-format"}, "conversation", "begins with 'conv_'"),
    ("responses", {"input": "x", "conversation": {"id": "resp_1"}}, "conversation.id", "begins with 'conv_'"),
    (
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}]},
        "input[0].content[0].image_url",
        "not valid base64",
    ),
    (
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": PICTURE}]}]},
        "input[0].content[0].file_data",
        "not valid base64",
    ),
    (
        "chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]},
        "messages[0].content[0].image_url",
        "not valid base64",
    ),
    ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "n": 2}, "n", "one answer"),
]


@pytest.mark.parametrize(("path", "body", "param", "words"), REFUSED)
def test_a_refusal_says_what_is_wrong(client: Client, path: str, body: dict[str, Any], param: str, words: str) -> None:
    status, answer = client.post(f"/v1/{path}", **{"model": "scripted", **body})
    assert (status, answer["error"]["param"]) == (400, param) and words in answer["error"]["message"]


def test_a_broken_picture_reaches_no_chat_backend(relaying: Client) -> None:
    part = {"type": "image_url", "image_url": {"url": PICTURE}}
    sent = {"model": "scripted", "messages": [{"role": "user", "content": [part]}]}
    status, answer = relaying.post("/v1/chat/completions", **sent)
    assert (status, answer["error"]["code"]) == (400, "invalid_base64_image")


def test_only_background_responses_are_cancelled(client: Client) -> None:
    made = client.create(model="scripted", input="x")
    status, answer = client.post(f"/v1/responses/{made['id']}/cancel")
    assert status == 400 and answer["error"]["message"].startswith("Cannot cancel a synchronous response")


def test_an_answer_that_misses_its_format_is_not_asked_for_again_by_sdks(client: Client) -> None:
    format = {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}
    status, headers, body = headers_of(client, model="scripted", input="no JSON", text={"format": format})
    assert (status, json.loads(body)["error"]["code"]) == (502, "invalid_output")
    assert headers["x-should-retry"] == "false"


# What only a Responses backend can follow


def test_items_of_several_agents_are_taken_and_kept(client: Client) -> None:
    items: list[dict[str, Any]] = [
        {"type": "agent_message", "author": "a", "recipient": "b", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "multi_agent_call", "call_id": "c", "action": "spawn_agent", "arguments": "{}"},
        {"type": "multi_agent_call_output", "call_id": "c", "action": "spawn_agent", "output": []},
        {"role": "user", "content": "Hi."},
    ]
    made = client.create(model="scripted", input=items)
    assert made["output"][0]["content"][0]["text"] == "Hi."
    _, kept = client.get(f"/v1/responses/{made['id']}/input_items?order=asc")
    assert [item["type"] for item in kept["data"]] == [item.get("type", "message") for item in items]
    assert kept["data"][1]["action"] == "spawn_agent"


def test_fields_beyond_a_chat_backend_are_named(relaying: Client) -> None:
    beyond = {
        "multi_agent": {"enabled": True},
        "access_programs": {"cyber": "standard"},
        "image": {"context_compression": "auto"},
    }
    _, headers, _ = headers_of(relaying, model="scripted", input="x", **beyond)
    assert headers["x-antiphon-ignored"] == ", ".join(beyond)
    for name in beyond:
        status, answer = relaying.post("/v1/responses", **{"model": "scripted", "input": "x", name: 7})
        assert (status, answer["error"]["param"]) == (400, name)
