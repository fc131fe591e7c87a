"""What clients of the Messages API rely on, case by case: `CASES` names each, and the test that holds it."""

from __future__ import annotations

import base64
import importlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.server.messages.planned import Planned, plan_text, planned
from tests.server.test_messages import EVENT, folded, same
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

HERE = "tests.server.messages.test_cases"
FRONT = "tests.server.test_messages"
PROMPTS = "tests.server.test_messages_prompts"
CONTEXT = "tests.server.messages.test_context"
TOOLS = "tests.server.messages.test_server_tools"

CASES = {
    1: (HERE, "test_a_message_has_every_key"),
    2: (HERE, "test_a_message_has_every_key"),
    3: (HERE, "test_keys_and_versions"),
    4: (HERE, "test_keys_and_versions"),
    5: (HERE, "test_without_a_key"),
    6: (HERE, "test_paths"),
    7: (FRONT, "test_what_has_no_effect_is_named"),
    8: (FRONT, "test_what_is_refused"),
    9: (FRONT, "test_an_answer_is_brought_down_to_the_window"),
    10: (FRONT, "test_why_it_ended"),
    11: (PROMPTS, "test_spellings_that_mean_the_same"),
    12: (PROMPTS, "test_the_billing_line_is_text_anywhere_else"),
    13: (HERE, "test_spellings_of_system_messages_are_the_same_bytes_at_the_backend"),
    14: (PROMPTS, "test_what_was_sent_stays_the_beginning_of_what_is_sent_next"),
    15: (HERE, "test_the_effort_of_a_turn"),
    16: (HERE, "test_a_system_message_for_one_turn"),
    17: (PROMPTS, "test_spellings_that_mean_the_same"),
    18: (PROMPTS, "test_spellings_that_mean_the_same"),
    19: (PROMPTS, "test_a_beginning_of_the_answer_is_continued_where_the_server_can"),
    20: (HERE, "test_calls_and_results"),
    21: (HERE, "test_calls_and_results"),
    22: (HERE, "test_pictures_in_a_result"),
    23: (HERE, "test_results_come_before_what_is_said"),
    24: (FRONT, "test_what_is_refused"),
    25: (HERE, "test_ids_of_any_backend_come_back"),
    26: (HERE, "test_blocks"),
    27: (HERE, "test_blocks"),
    28: (HERE, "test_blocks"),
    29: (HERE, "test_blocks"),
    30: (HERE, "test_choices_among_tools"),
    31: (HERE, "test_a_long_name_comes_back"),
    32: (HERE, "test_the_effort_of_a_turn"),
    33: (HERE, "test_thoughts_come_back"),
    34: (HERE, "test_thoughts_come_back_to_another_replica"),
    35: (HERE, "test_foreign_thoughts"),
    36: (HERE, "test_a_budget_above_the_answer"),
    37: (HERE, "test_blocks"),
    38: (CONTEXT, "test_thoughts_of_older_turns_are_left_out"),
    39: (HERE, "test_stop_sequences"),
    40: (HERE, "test_why_an_answer_was_cut"),
    41: (HERE, "test_tokens_from_a_cache"),
    42: (HERE, "test_pings_in_a_silence"),
    43: (HERE, "test_a_backend_that_breaks_off"),
    44: (HERE, "test_refusals_before_the_first_token"),
    45: (HERE, "test_refusals_before_the_first_token"),
    46: (HERE, "test_limits_and_their_headers"),
    47: (HERE, "test_a_client_that_goes_away"),
    48: (PROMPTS, "test_deferred_tools_come_behind_the_others_once_they_are_referred_to"),
    49: (TOOLS, "test_without_an_engine"),
    50: (FRONT, "test_models_in_the_shape_of_the_client"),
    51: (FRONT, "test_tokens_are_counted_and_no_limit_is_touched"),
    52: (HERE, "test_backends_of_all_kinds_give_the_same_message"),
    53: ("tests.server.messages.test_golden", "test_it_says_what_responses_say"),
    54: ("tests.server.messages.test_sessions", "test_each_prompt_begins_as_the_one_before_it"),
    55: ("tests.acceptance", ""),  # Claude Code itself
}


@pytest.mark.parametrize("case", range(1, 56))
def test_each_case_has_its_test(case: int) -> None:
    module, name = CASES[case]
    assert not name or callable(getattr(importlib.import_module(module), name))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Planned) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with whole_server(url) as served:
        yield served


def asking(messages: list[Json] | str = "Hi.", **fields: Any) -> Json:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return {"model": "m", "max_tokens": 100, "messages": messages, **fields}


def post(
    client: Client, body: Json, headers: dict[str, str] | None = None, path: str = "/v1/messages"
) -> httpx.Response:
    return httpx.post(client.url + path, json=body, headers={**client.headers, **(headers or {})})


def both(client: Client, messages: list[Json] | str, **fields: Any) -> Json:
    """Return a Message, which is the same streamed and not."""
    body = asking(messages, **fields)
    whole = post(client, body)
    assert whole.status_code == 200, whole.text
    message = whole.json()
    assert same(folded(post(client, {**body, "stream": True}).text))["content"] == same(message)["content"]
    return dict(message)


def sent() -> list[Json]:
    """Return the messages of the backend's last request."""
    return list(Planned.asked[-1]["messages"])


# The message, keys, paths

MESSAGE = {
    "id",
    "type",
    "role",
    "model",
    "content",
    "stop_reason",
    "stop_sequence",
    "stop_details",
    "container",
    "usage",
}
COUNTS = {
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "inference_geo",
}


@pytest.mark.parametrize("query", ["", "?beta=true"])
def test_a_message_has_every_key(client: Client, query: str) -> None:
    path = f"/v1/messages{query}"
    more = {"context_management", "diagnostics"} if query else set()
    message = post(client, asking(), path=path).json()
    streamed = folded(post(client, asking(stream=True), path=path).text)
    for one in (message, streamed):
        assert set(one) == MESSAGE | more and set(one["usage"]) == COUNTS
    assert message["content"] == [{"type": "text", "text": "Hm.", "citations": []}] == streamed["content"]
    assert message["id"] != streamed["id"] and message["usage"] == streamed["usage"]


def test_keys_and_versions(url: str) -> None:
    with whole_server(url, keys={"k": KeyConfig(key="secret")}) as client:
        for headers in (
            {"authorization": "Bearer secret", "anthropic-version": "2026-10-21"},
            {"x-api-key": "secret", "anthropic-version": "2023-06-01"},
            {"x-api-key": "secret", "authorization": "Bearer secret"},
            {"x-api-key": "secret", "anthropic-version": "2099-01-01", "anthropic-beta": "new-1, new-2"},
        ):
            assert post(client, asking(), headers).status_code == 200, headers


def test_without_a_key(url: str) -> None:
    with whole_server(url, keys={"k": KeyConfig(key="secret")}) as client:
        answer = post(client, asking(), {"x-api-key": "wrong"})
        assert answer.status_code == 401 and answer.json()["error"]["type"] == "authentication_error"
        assert answer.headers["x-should-retry"] == "false"
        assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/v1/messages?beta=true", "/messages?beta=true"])
def test_paths(client: Client, path: str) -> None:
    assert post(client, asking(), path=path).status_code == 200


# Conversations


def test_spellings_of_system_messages_are_the_same_bytes_at_the_backend(client: Client) -> None:
    """Claude Code sends a system message as a block first, and as a string in the next request."""
    block = {"type": "text", "text": "It is noon.", "cache_control": {"type": "ephemeral"}}
    for content in ("It is noon.", [block]):
        post(client, asking([{"role": "user", "content": "Hi."}, {"role": "system", "content": content}]))
    assert Planned.bodies[-1] == Planned.bodies[-2]
    assert sent()[-1] == {"role": "system", "content": "It is noon."}


def test_a_system_message_for_one_turn(client: Client) -> None:
    once = {"role": "system", "content": "Only now.", "clear_at": "next_user_message"}
    turns: list[Json] = [{"role": "user", "content": "Hi."}, once]
    post(client, asking(turns))
    assert "Only now." in json.dumps(sent())
    post(client, asking([*turns, {"role": "assistant", "content": "Hm."}, {"role": "user", "content": "Go on."}]))
    assert "Only now." not in json.dumps(sent())


@pytest.mark.parametrize("error", [None, False, True])
def test_calls_and_results(client: Client, error: bool | None) -> None:
    use = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"b": 1, "a": 2}}
    result: Json = {"type": "tool_result", "tool_use_id": "call_1", "content": "Exit code 3"}
    if error is not None:
        result["is_error"] = error
    history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": [use]}]
    post(client, asking([*history, {"role": "user", "content": [result]}]))
    call, output = sent()[-2:]
    assert call["tool_calls"][0]["id"] == "call_1" == output["tool_call_id"] and output["role"] == "tool"
    assert call["tool_calls"][0]["function"]["arguments"].replace(" ", "") == '{"b":1,"a":2}'
    assert output["content"] == ("Error:\nExit code 3" if error else "Exit code 3")


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()


def test_pictures_in_a_result(client: Client) -> None:
    use = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [image]}
    history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": [use]}]
    assert post(client, asking([*history, {"role": "user", "content": [result]}])).status_code == 200
    assert f"data:image/png;base64,{PNG}" in json.dumps(sent())
    image["source"] = {**image["source"], "data": "???"}  # type: ignore[dict-item]  # a source is an object
    answer = post(client, asking([{"role": "user", "content": [image]}]))
    assert answer.json()["error"]["message"].startswith("messages.0.content.0.source.data: ")


def test_results_come_before_what_is_said(client: Client) -> None:
    uses = [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}} for n in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"r{n}"} for n in (1, 2)]
    said = {"type": "text", "text": "And?"}
    for content in ([*results, said], [said, *results], [results[0], said, results[1]]):
        turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": uses}]
        post(client, asking([*turns, {"role": "user", "content": content}]))
        assert [message["content"] for message in sent()[-3:]] == ["r1", "r2", "And?"]


# Blocks


def call(index: int, id: str, name: str = "f", arguments: str = "") -> Json:
    """Return a piece of a call as chat completions have it."""
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}


def more(index: int, arguments: str) -> Json:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


TOOL = {"name": "f", "input_schema": {"type": "object"}}
SHAPES: dict[str, tuple[list[Json], str, list[Any], str]] = {
    "26 calls whose pieces interleave": (
        [call(0, "a"), call(1, "b"), more(0, '{"x"'), more(1, '{"y"'), more(0, ":1}"), more(1, ":2}")],
        "tool_calls",
        [{"x": 1}, {"y": 2}],
        "tool_use",
    ),
    "27 text behind a call": (
        [{"content": "One."}, call(0, "a", arguments="{}"), {"content": "Two."}],
        "tool_calls",
        ["One.", {}, "Two."],
        "tool_use",
    ),
    "28 a call without arguments": ([call(0, "a")], "tool_calls", [{}], "tool_use"),
    "29 a call that ends with stop": ([call(0, "a", arguments='{"x":1}')], "stop", [{"x": 1}], "tool_use"),
    "37 a late thought": (
        [{"content": "One."}, {"reasoning_content": "Hm."}, {"content": "Two."}],
        "stop",
        ["One.", "(Hm.)", "Two."],
        "end_turn",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks(client: Client, shape: str) -> None:
    deltas, finish, blocks, reason = SHAPES[shape]
    message = both(
        client, [planned(deltas=deltas, finish=finish)], tools=[TOOL], thinking={"type": "adaptive"}, max_tokens=4000
    )
    told = [block.get("input", block.get("text", f"({block.get('thinking')})")) for block in message["content"]]
    assert told == blocks and message["stop_reason"] == reason


@pytest.mark.parametrize("id", ["functions.Bash:0", "call-1_2", "chatcmpl.tool/é"])
def test_ids_of_any_backend_come_back(client: Client, id: str) -> None:
    user = planned(deltas=[call(0, id, arguments="{}")])
    block = both(client, [user], tools=[TOOL])["content"][0]
    assert block["id"].replace("_", "").replace("-", "").isalnum() and block["id"].isascii()
    result = {"type": "tool_result", "tool_use_id": block["id"], "content": "r"}
    history = [user, {"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
    assert post(client, asking(history, tools=[TOOL])).status_code == 200
    made, output = sent()[-2:]
    assert made["tool_calls"][0]["id"] == output["tool_call_id"]


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        ({"type": "auto"}, None),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_choices_among_tools(client: Client, choice: Json, there: Any, alone: bool) -> None:
    body = asking([planned(deltas=[call(0, "a", arguments="{}")])], tools=[TOOL])
    post(client, {**body, "tool_choice": {**choice, "disable_parallel_tool_use": alone}})
    assert Planned.asked[-1].get("tool_choice") == there
    assert Planned.asked[-1].get("parallel_tool_calls", True) is not alone


def test_a_long_name_comes_back(client: Client) -> None:
    name = "a" * 128
    tools = [{"name": name, "input_schema": {"type": "object"}}]
    post(client, asking([planned()], tools=tools))
    short = Planned.asked[-1]["tools"][0]["function"]["name"]
    assert len(short) <= 64
    message = both(client, [planned([short, {}])], tools=tools)
    assert message["content"][0]["name"] == name


# Thoughts


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, "none"),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 20000}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}, "system": "low"}, "low"),
    ],
)
def test_the_effort_of_a_turn(client: Client, fields: Json, effort: str | None) -> None:
    """Without thinking it is off; the last system message that says one has the last word (`system` here)."""
    messages: list[Json] = [{"role": "user", "content": "Hi."}]
    if word := fields.get("system"):
        messages.append({"role": "system", "content": "Now.", "output_config": {"effort": word}})
        fields = {**fields, "output_config": {"effort": "high"}}
    post(client, asking(messages, max_tokens=50_000, **fields))
    assert Planned.asked[-1].get("reasoning_effort") == effort


def test_a_model_without_thoughts_is_asked_all_the_same(url: str) -> None:
    with whole_server(url, models={"m": ModelConfig(reasoning=False)}) as client:
        answer = post(client, asking(thinking={"type": "adaptive"}))
        assert answer.status_code == 200 and answer.headers["x-antiphon-ignored"] == "thinking"


THOUGHT = {"deltas": [{"reasoning_content": "I must call."}, {"content": "Well."}]}


@pytest.mark.parametrize("display", ["summarized", "omitted", "updates"])
def test_thoughts_come_back(client: Client, display: str) -> None:
    thinking = {"type": "adaptive", "display": display}
    user = planned(**THOUGHT)
    message = both(client, [user], thinking=thinking)
    block = message["content"][0]
    assert block["thinking"] == ("" if display == "omitted" else "I must call.") and block["signature"]
    events = EVENT.findall(post(client, asking([user], thinking=thinking, stream=True)).text)
    assert sum('"signature_delta"' in data for _, data in events) == 1
    both(client, [user, {"role": "assistant", "content": message["content"]}, planned()], thinking=thinking)
    assert sent()[-2]["reasoning_content"] == "I must call."


def test_thoughts_come_back_to_another_replica(url: str) -> None:
    user = planned(**THOUGHT)
    thinking = {"type": "adaptive", "display": "omitted"}
    with whole_server(url, secret="a secret of all replicas") as first:
        message = post(first, asking([user], thinking=thinking)).json()
    with whole_server(url, secret="a secret of all replicas") as second:
        history = [user, {"role": "assistant", "content": message["content"]}, planned()]
        assert post(second, asking(history, thinking=thinking)).status_code == 200
    assert sent()[-2]["reasoning_content"] == "I must call."


def test_foreign_thoughts(client: Client) -> None:
    blocks = [
        {"type": "thinking", "thinking": "", "signature": "EqQB" * 700},
        {"type": "redacted_thinking", "data": "Eq=="},
        {"type": "text", "text": "Well."},
    ]
    history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": blocks}, planned()]
    answer = post(client, asking(history, thinking={"type": "adaptive"}))
    assert answer.status_code == 200 and answer.headers["x-antiphon-ignored"] == "thinking"
    assert "reasoning_content" not in sent()[-2]


def test_a_budget_above_the_answer(client: Client) -> None:
    answer = post(client, asking(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 2000}))
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith("max_tokens: ")


# The end


def test_stop_sequences(client: Client) -> None:
    deltas = [{"reasoning_content": "STOP"}, {"content": "One ST"}, {"content": "OP two"}]
    message = both(client, [planned(deltas=deltas)], stop_sequences=["STOP"], thinking={"type": "adaptive"})
    assert [block.get("text") for block in message["content"]] == [None, "One "]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "STOP")
    made = [call(0, "a", arguments='{"x":"STOP"}')]
    message = both(client, [planned(deltas=made)], stop_sequences=["STOP"], tools=[TOOL])
    assert message["content"][0]["input"] == {"x": "STOP"} and message["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("window", "reason"), [(None, "max_tokens"), (100_000, "max_tokens"), (1000, "model_context_window_exceeded")]
)
def test_why_an_answer_was_cut(url: str, window: int | None, reason: str) -> None:
    with whole_server(url, models={"m": ModelConfig(context_length=window)}) as client:
        assert both(client, [planned(finish="length")])["stop_reason"] == reason


def test_tokens_from_a_cache(client: Client) -> None:
    message = both(client, "Hi.")
    assert message["usage"]["input_tokens"] == 100 and message["usage"]["cache_read_input_tokens"] == 900
    assert message["usage"]["output_tokens"] == 7
    begun = json.loads(EVENT.findall(post(client, asking(stream=True)).text)[0][1])["message"]["usage"]
    assert begun["input_tokens"] > 0 and begun["output_tokens"] == 0


def test_pings_in_a_silence(url: str) -> None:
    with whole_server(url, keepalive=0.05) as client:
        seen = []
        body = asking([planned(deltas=[{"content": "Well."}], wait=True)], stream=True)
        with httpx.stream("POST", f"{client.url}/v1/messages", json=body, timeout=20) as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    seen.append(line.removeprefix("event: "))
                if seen[-2:] == ["ping", "ping"]:
                    break
        assert seen[0] == "message_start" and "content_block_delta" in seen


def test_a_backend_that_breaks_off(client: Client) -> None:
    body = asking([planned(deltas=[{"content": "Well."}], finish="")], stream=True)
    events = EVENT.findall(post(client, body).text)
    assert [kind for kind, _ in events][-2:] == ["content_block_stop", "error"]
    last = json.loads(events[-1][1])
    assert last["error"]["type"] == "api_error" and last["request_id"].startswith("req_")


REFUSALS = {
    "44 a refusal": (400, "That will not do.", 400, "invalid_request_error", "That will not do."),
    "44 no room": (503, "Full.", 529, "overloaded_error", "Full."),
    "44 too fast": (429, "Slow down.", 429, "rate_limit_error", "Slow down."),
    "45 overflow": (
        400,
        "This model's maximum context length is 32768 tokens. However, your messages resulted in 41234 tokens.",
        400,
        "invalid_request_error",
        "prompt is too long: 41234 tokens > 32768 maximum",
    ),
    "45 overflow in other words": (
        400,
        "the request exceeds the available context size (32768 tokens), try increasing it: 41234 tokens",
        400,
        "invalid_request_error",
        "prompt is too long: 41234 tokens > 32768 maximum",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_before_the_first_token(url: str, refusal: str, stream: bool) -> None:
    status, words, told, kind, message = REFUSALS[refusal]
    with whole_server(url) as client:  # what a refusal has taught is not asked again
        answer = post(client, asking([planned(refuse=[status, words])], stream=stream))
    assert answer.status_code == told, answer.text
    error = answer.json()["error"]
    assert error["type"] == kind and message in error["message"]
    if "overflow" in refusal:
        assert error["message"] == message


def test_limits_and_their_headers(url: str) -> None:
    with whole_server(url, keys={"k": KeyConfig(key="secret", limits=["1 requests/min"])}) as client:
        client = Client(client.url, "secret")
        assert post(client, asking()).status_code == 200
        answer = post(client, asking())
        assert answer.status_code == 429 and answer.json()["error"]["type"] == "rate_limit_error"
        assert int(answer.headers["retry-after"]) > 0 and answer.headers["x-should-retry"] == "true"
        assert answer.headers["anthropic-ratelimit-requests-limit"] == "1"
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert answer.headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_a_client_that_goes_away(client: Client) -> None:
    Planned.left.clear()
    body = asking([planned(deltas=[{"content": "Well."}], wait=True)], stream=True)
    with httpx.stream("POST", f"{client.url}/v1/messages", json=body, timeout=20) as answer:
        for line in answer.iter_lines():
            if "content_block_delta" in line:
                break
    assert Planned.left.wait(20)


# Backends and sessions


def test_backends_of_all_kinds_give_the_same_message(url: str) -> None:
    """The same answer through chat completions, and through a server of Responses that has it from the same model."""
    deltas = [
        {"reasoning_content": "Let me see."},
        {"content": "Hello "},
        {"content": "you."},
        call(0, "a", arguments='{"x":1}'),
    ]
    with whole_server(url) as chat:
        backend = BackendConfig(url=f"{chat.url}/v1", api="responses")
        with whole_server(backends={"r": backend}) as relayed:
            fields = {"tools": [TOOL], "thinking": {"type": "adaptive"}}
            first, second = (same(both(one, [planned(deltas=deltas)], **fields)) for one in (chat, relayed))
    assert first["content"] == second["content"] and first["stop_reason"] == second["stop_reason"] == "tool_use"
    assert first["usage"] == second["usage"]


def test_a_session_keeps_its_prefix(url: str) -> None:
    """A session as Claude Code sends it: spellings change from request to request, the prompt only grows."""
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2;"},
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
    ]
    tools = [TOOL, {"name": "Late", "input_schema": {"type": "object"}, "defer_loading": True}]
    messages: list[Json] = [
        {"role": "user", "content": [{"type": "text", "text": "<system-reminder>git</system-reminder>"},
                                     {"type": "text", "text": plan_text(["f", {"b": 1, "a": 2}], say="Done.")}]},
        {"role": "system", "content": [{"type": "text", "text": "Environment.", "cache_control": {"type": "ephemeral"}}]},
    ]  # fmt: skip
    fields = {
        "thinking": {"type": "adaptive", "display": "omitted"},
        "system": system,
        "tools": tools,
        "max_tokens": 32000,
    }
    prompts = []
    with whole_server(url) as client:
        for turn in range(4):
            answer = post(client, asking(messages, stream=True, **fields), path="/v1/messages?beta=true")
            assert answer.status_code == 200
            prompts.append(json.dumps(sent()))
            message = folded(answer.text)
            messages[1]["content"] = "Environment."  # the same, spelled otherwise
            system[0]["text"] = f"x-anthropic-billing-header: cc_version=2.{turn};"
            messages.append({"role": "assistant", "content": message["content"]})
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "ok", "is_error": False}
                for block in message["content"]
                if block["type"] == "tool_use"
            ]
            following = [{"role": "user", "content": results}] if results else [planned(["f", {"turn": turn}])]
            messages += following
    for before, after in itertools.pairwise(prompts):
        assert after.startswith(before[:-1])
