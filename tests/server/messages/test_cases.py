"""What clients of the Messages API rely on, case by case: `CASES` names each, and the test that holds it."""

from __future__ import annotations

import importlib
import itertools
import json

import httpx2 as httpx
import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.server.messages.case_requests import TOOL, asking, both, call, post, sent
from tests.server.messages.planned import Planned, plan_text, planned
from tests.server.test_messages import EVENT, folded, same
from tests.server.whole import Client, Json, whole_server

pytestmark = pytest.mark.slow

HERE = "tests.server.messages.test_cases"
BLOCKS = "tests.server.messages.test_cases_of_blocks"
THOUGHTS = "tests.server.messages.test_cases_of_thoughts"
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
    15: (THOUGHTS, "test_the_effort_of_a_turn"),
    16: (HERE, "test_a_system_message_for_one_turn"),
    17: (PROMPTS, "test_spellings_that_mean_the_same"),
    18: (PROMPTS, "test_spellings_that_mean_the_same"),
    19: (PROMPTS, "test_a_beginning_of_the_answer_is_continued_where_the_server_can"),
    20: (BLOCKS, "test_calls_and_results"),
    21: (BLOCKS, "test_calls_and_results"),
    22: (BLOCKS, "test_pictures_in_a_result"),
    23: (BLOCKS, "test_results_come_before_what_is_said"),
    24: (FRONT, "test_what_is_refused"),
    25: (BLOCKS, "test_ids_of_any_backend_come_back"),
    26: (BLOCKS, "test_blocks"),
    27: (BLOCKS, "test_blocks"),
    28: (BLOCKS, "test_blocks"),
    29: (BLOCKS, "test_blocks"),
    30: (BLOCKS, "test_choices_among_tools"),
    31: (BLOCKS, "test_a_long_name_comes_back"),
    32: (THOUGHTS, "test_the_effort_of_a_turn"),
    33: (THOUGHTS, "test_thoughts_come_back"),
    34: (THOUGHTS, "test_thoughts_come_back_to_another_replica"),
    35: (THOUGHTS, "test_foreign_thoughts"),
    36: (THOUGHTS, "test_a_budget_above_the_answer"),
    37: (BLOCKS, "test_blocks"),
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
    counts = COUNTS | ({"fallback_credit", "iterations", "speed"} if query else set())
    message = post(client, asking(), path=path).json()
    streamed = folded(post(client, asking(stream=True), path=path).text)
    for one in (message, streamed):
        assert set(one) == MESSAGE | more and set(one["usage"]) == counts
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


def test_requests_are_listed_with_the_others(client: Client) -> None:
    """What the page of an operator shows: `/v1/messages` beside `/v1/responses`, with times and token counts."""
    post(client, asking("Hi."))
    post(client, asking([planned(refuse=[400, "No."])], stream=True))
    status, body = client.get("/admin/requests")
    refused, made = body["data"][:2]
    assert status == 200 and refused["status"] == "failed" and refused["error"]["status"] == 400
    assert made["status"] == "completed" and made["model"] == "m" and made["usage"]["input_tokens"] == 1000


def test_citations_of_documents_are_named_as_ignored(client: Client) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "The fund lapsed."}
    for cited in (True, False):
        document = {"type": "document", "title": "Report", "source": source, "citations": {"enabled": cited}}
        answer = post(client, asking([{"role": "user", "content": [document]}]))
        assert answer.status_code == 200 and "Report\\nThe fund lapsed." in json.dumps(sent())
        assert answer.headers.get("x-antiphon-ignored") == ("document.citations" if cited else None)
