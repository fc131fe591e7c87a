"""Questions of all kinds, their probabilities and refusals, bounds, deadlines; over every way in which models answer."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from math import e
from typing import Any

import pytest

from antiphon.config import BackendConfig, CalibrationConfig, DecisionsConfig, KeyConfig
from tests.server.decisions.judge import Judge, judge
from tests.server.serving import wait_until
from tests.server.whole import Client, Json, whole_server

INPUT = "The box arrived crushed."
PREDICATE = {"type": "predicate", "name": "urgent", "instructions": "It is urgent, p=0.8."}
CHOICE = {
    "type": "choice",
    "instructions": "Which department?",
    "choices": [{"value": "billing=1"}, {"value": True, "description": "=3"}, {"value": "true=4", "description": "d"}],
}
SCORE = {
    "type": "score",
    "name": "severity",
    "instructions": "How severe?",
    "levels": [{"label": "low=1"}, {"label": "middle=1"}, {"label": "high=2", "description": "No workaround."}],
}
ALL = [PREDICATE, CHOICE, SCORE]


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[str, type[Judge]]]:
    with judge() as found:
        yield found


@pytest.fixture(scope="module")
def server(upstream: tuple[str, type[Judge]]) -> Iterator[Client]:
    with whole_server(upstream[0]) as client:
        yield client


def ask(client: Client, questions: list[Json], model: str = "judge", **fields: Any) -> tuple[int, Any]:
    return client.post("/v1/decisions", **{"model": model, "input": INPUT, "questions": questions, **fields})


def answers(client: Client, questions: list[Json], model: str = "judge", **fields: Any) -> list[Json]:
    status, body = ask(client, questions, model, **fields)
    assert status == 200, body
    return body["answers"]


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-6)


EXPECTED = [
    {"type": "predicate", "name": "urgent", "probability": near(0.8)},
    {
        "type": "choice",
        "name": None,
        "choice": "true=4",
        "probabilities": [
            {"value": "billing=1", "probability": near(1 / 8)},
            {"value": True, "probability": near(3 / 8)},
            {"value": "true=4", "probability": near(4 / 8)},
        ],
        "confidence": near((1 / 2 - 1 / 3) / (1 - 1 / 3)),
    },
    {
        "type": "score",
        "name": "severity",
        "score": near(1.25),
        "probabilities": [
            {"value": 0, "label": "low=1", "probability": near(0.25)},
            {"value": 1, "label": "middle=1", "probability": near(0.25)},
            {"value": 2, "label": "high=2", "probability": near(0.5)},
        ],
        "confidence": near(0.25),
    },
]


@pytest.mark.parametrize("model", ["judge", "plain", "thinker", "wordy"])
def test_questions_of_all_kinds(server: Client, model: str) -> None:
    status, body = ask(server, ALL, model)
    assert (status, body["model"], body["answers"]) == (200, model, EXPECTED)
    usage = body["usage"]
    assert usage["input_tokens"] % 100 == 0 and usage["input_tokens"] >= 300
    assert usage["input_tokens_details"] == {"cached_tokens": usage["input_tokens"] * 6 // 10, "cache_write_tokens": 0}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_model_that_says_labels_alone_votes(server: Client) -> None:
    found = answers(server, ALL, "vocal")
    assert [one["type"] for one in found] == ["predicate", "choice", "score"]
    assert found[0]["probability"] == near(0.75)  # one vote, and half a one for each label
    assert found[1]["choice"] == "true=4"


def test_votes_are_counted(upstream: tuple[str, type[Judge]]) -> None:
    with whole_server(upstream[0], decisions=DecisionsConfig(fallback="votes", samples=9)) as client:
        assert answers(client, [PREDICATE], "plain")[0]["probability"] == near(9.5 / 10)


def test_without_a_fallback_it_is_a_400(upstream: tuple[str, type[Judge]]) -> None:
    with whole_server(upstream[0], decisions=DecisionsConfig(fallback="off")) as client:
        status, body = ask(client, [PREDICATE], "plain")
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_model", "model")
        assert answers(client, [PREDICATE])[0]["probability"] == near(0.8)


@pytest.mark.parametrize("count", [2, 20, 21, 255])
def test_many_options_are_asked_in_groups(server: Client, upstream: tuple[str, type[Judge]], count: int) -> None:
    upstream[1].requests.clear()
    chances = [1 + (index * 37) % 100 for index in range(count)]
    choices = [{"value": f"o{index}={chance}"} for index, chance in enumerate(chances)]
    found = answers(server, [{"type": "choice", "instructions": "Which?", "choices": choices}])[0]
    got = [one["probability"] for one in found["probabilities"]]
    assert got == [near(chance / sum(chances)) for chance in chances]
    assert found["choice"] == choices[chances.index(max(chances))]["value"]
    groups = -(-count // 20)
    assert len(upstream[1].requests) == groups + (groups > 1)


@pytest.mark.parametrize("word", ["DECLINE", "FILTER"])
def test_a_question_is_refused_alone(server: Client, word: str) -> None:
    found = answers(server, [PREDICATE, {**CHOICE, "name": "x", "instructions": word}, SCORE])
    assert found == [EXPECTED[0], {"type": "refusal", "name": "x"}, EXPECTED[2]]


def test_a_question_fails_alone(server: Client) -> None:
    failing = {**PREDICATE, "instructions": "FAIL 500"}
    data = json.dumps({"model": "judge", "input": INPUT, "questions": [failing, SCORE]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/decisions", data)) as reply:
        assert reply.headers["x-antiphon-failed-questions"] == "1"
        refused, score = json.loads(reply.read())["answers"]
    assert (refused["type"], refused["name"], score) == ("refusal", "urgent", EXPECTED[2])
    assert "kaputt" in refused["error"]["message"]


def test_several_that_fail_lose_no_other(server: Client) -> None:
    failing = {**PREDICATE, "instructions": "FAIL 500"}
    found = answers(server, [*[failing] * 5, SCORE, PREDICATE])
    assert [one["type"] for one in found[:5]] == ["refusal"] * 5
    assert found[5:] == [EXPECTED[2], EXPECTED[0]]


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 429, 500])
def test_where_all_fail_it_is_the_backends_error(
    server: Client, upstream: tuple[str, type[Judge]], status: int
) -> None:
    upstream[1].requests.clear()
    told, body = ask(server, [{**PREDICATE, "instructions": f"FAIL {status}"}] * 100)
    assert told == (status if status < 500 else 502)
    assert "kaputt" in body["error"]["message"]
    assert len(upstream[1].requests) < 50  # the rest is not asked any more


@pytest.mark.slow
def test_the_deadline_loses_no_answer() -> None:
    with judge() as (url, _), whole_server(url, decisions=DecisionsConfig(timeout=1.0)) as client:
        found = answers(client, [{**PREDICATE, "instructions": "HANG p=0.5"}, SCORE])
        assert (found[0]["type"], found[0]["error"]["code"], found[1]) == ("refusal", "timeout", EXPECTED[2])
        status, body = ask(client, [{**PREDICATE, "instructions": "HANG p=0.5"}])
        assert (status, body["error"]["code"]) == (504, "timeout")


def test_all_questions_share_the_beginning_of_their_prompt(server: Client, upstream: tuple[str, type[Judge]]) -> None:
    upstream[1].requests.clear()
    upstream[1].pause = 0.05
    upstream[1].most = 0
    try:
        answers(server, [PREDICATE, *[SCORE] * 20], input=INPUT * 400)
    finally:
        upstream[1].pause = 0.0
    sent = upstream[1].requests
    assert len({json.dumps(one["messages"][:-1]) for one in sent}) == 1
    assert "p=0.8" in json.dumps(sent[0]["messages"][-1])
    assert all(one["messages"][0]["role"] == "system" for one in sent)
    assert 1 < upstream[1].most <= DecisionsConfig().concurrent


def test_an_owner_has_so_many_calls_at_once(upstream: tuple[str, type[Judge]]) -> None:
    with whole_server(upstream[0], decisions=DecisionsConfig(concurrent=2)) as client:
        upstream[1].pause, upstream[1].most = 0.02, 0
        try:
            assert answers(client, [SCORE] * 10) == [EXPECTED[2]] * 10
        finally:
            upstream[1].pause = 0.0
        assert upstream[1].most == 2


@pytest.mark.slow
def test_a_client_that_leaves_is_not_worked_for(upstream: tuple[str, type[Judge]]) -> None:
    with whole_server(upstream[0], decisions=DecisionsConfig(concurrent=1)) as client:
        upstream[1].requests.clear()
        upstream[1].pause = 0.2
        try:
            request = urllib.request.Request(
                f"{client.url}/v1/decisions",
                json.dumps({"model": "judge", "input": INPUT, "questions": [SCORE] * 50}).encode(),
            )
            with pytest.raises(TimeoutError):
                urllib.request.urlopen(request, timeout=0.5)
            time.sleep(0.5)
            asked = len(upstream[1].requests)
            assert asked < 10
            time.sleep(0.5)
            assert len(upstream[1].requests) == asked
        finally:
            upstream[1].pause = 0.0


def test_calibration_is_data(upstream: tuple[str, type[Judge]]) -> None:
    tables = {
        "words": CalibrationConfig(reading="verbalised", bias=-20.0),
        "judge": CalibrationConfig(models=["jud*"], temperature=2.0),
        "others": CalibrationConfig(bias=1.0),
    }
    with whole_server(upstream[0], decisions=DecisionsConfig(calibration=tables)) as client:
        assert answers(client, [PREDICATE])[0]["probability"] == near(2 / 3)  # odds of 4 become 2
        assert answers(client, [PREDICATE], "plain")[0]["probability"] < 1e-6
        assert answers(client, [PREDICATE], "wordy")[0]["probability"] == near(4 * e / (1 + 4 * e))  # odds


def test_over_a_backend_that_speaks_responses(server: Client) -> None:
    relay = BackendConfig(url=f"{server.url}/v1", api="responses")
    with whole_server(backends={"inner": relay}) as outer:
        assert answers(outer, ALL) == EXPECTED
        assert answers(outer, ALL, "plain") == EXPECTED
        found = answers(outer, [{**PREDICATE, "instructions": "FILTER"}, SCORE])
        assert [one["type"] for one in found] == ["refusal", "score"]


def test_input_of_all_kinds(server: Client, upstream: tuple[str, type[Judge]]) -> None:
    upstream[1].requests.clear()
    items = [
        {"role": "system", "content": "Rules."},
        {"role": "developer", "content": [{"type": "input_text", "text": "More."}]},
        {
            "role": "user",
            "content": [{"type": "input_json", "data": {"a": [1, None]}}, {"type": "input_text", "text": "T"}],
        },
        {
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hm."}, {"type": "refusal", "refusal": "No."}],
        },
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "seen"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ran"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": PIXEL, "detail": "original"},
                {"type": "input_text", "text": "U", "prompt_cache_breakpoint": {"mode": "explicit"}},
            ],
        },
    ]
    asked = {
        **PREDICATE,
        "instructions": [
            {"type": "input_text", "text": "p=0.8 of"},
            {"type": "input_json", "data": [{"b": 2}]},
            {"type": "input_image", "image_url": PIXEL},
        ],
    }
    assert answers(server, [asked], input=items, prompt_cache_options={"ttl": "30m"}) == EXPECTED[:1]
    sent = json.dumps(upstream[1].requests[-1]["messages"])
    for text in ("Rules.", "More.", '{\\"a\\":[1,null]}', "Hm.", "seen", "ran", '[{\\"b\\":2}]'):
        assert text.replace('\\"', '\\\\\\"') in sent or text in sent, text
    assert sent.count(PIXEL) == 2


PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def test_keys_models_and_budgets(upstream: tuple[str, type[Judge]]) -> None:
    keys = {
        "ann": KeyConfig(key="sk-ann", models=["judge"], limits=["1000 tokens/day"]),
        "bob": KeyConfig(key="sk-bob", scopes=["chat"]),
        "eve": KeyConfig(key="sk-eve", limits=["1 requests/min"]),
    }
    with whole_server(upstream[0], keys=keys) as client:
        ann, bob, eve = (Client(client.url, f"sk-{name}") for name in ("ann", "bob", "eve"))
        assert ask(Client(client.url), ALL)[0] == 401
        assert ask(bob, ALL)[0] == 403
        assert ask(ann, ALL, "plain")[1]["error"]["code"] == "model_not_found"
        assert [ask(ann, ALL * 3)[0] for _ in range(3)] == [200, 200, 402]  # 918 tokens each
        assert [ask(eve, ALL)[0] for _ in range(2)] == [200, 429]


def test_it_is_counted_and_logged(upstream: tuple[str, type[Judge]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "antiphon.telemetry.access_log")
    with whole_server(upstream[0]) as client:
        answers(client, [PREDICATE, {**PREDICATE, "instructions": "DECLINE"}])
        wait_until(lambda: any("/v1/decisions" in record.getMessage() for record in caplog.records))
        page = client.get("/metrics")[1].decode()
    record = next(record for record in caplog.records if "/v1/decisions" in record.getMessage())
    told = vars(record)
    assert (told["model"], told["input_tokens"]) == ("judge", 300)  # the refused one is asked in words, too
    assert 'antiphon_decisions_total{model="judge",type="predicate",outcome="logprobs"} 1' in page
    assert 'antiphon_decisions_total{model="judge",type="predicate",outcome="refusal"} 1' in page
    assert 'antiphon_requests_total{method="POST",route="/decisions",status="200",model="judge"} 1' in page
    assert 'antiphon_tokens_total{model="judge",kind="input"} 300' in page
    assert "antiphon_responses_total{" not in page
