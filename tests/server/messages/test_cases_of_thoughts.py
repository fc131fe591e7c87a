"""What clients of the Messages API rely on: effort and thoughts."""

from __future__ import annotations

import pytest

from antiphon.config import ModelConfig
from tests.server.messages.case_requests import THOUGHT, asking, both, post, sent
from tests.server.messages.planned import Planned, planned
from tests.server.test_messages import EVENT
from tests.server.whole import Client, Json, whole_server

pytestmark = pytest.mark.slow


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
    assert "reasoning_content" not in sent()[-2] and "input_transformations" not in answer.json()
    told = post(client, asking(history), {"anthropic-beta": "thinking-binding-controls-2026-08-01"}).json()
    dropped = {"type": "thinking_dropped", "reason": "model_binding_mismatch"}
    assert told["input_transformations"] == [{**dropped, "path": f"messages.1.content.{at}"} for at in (0, 1)]


def test_a_budget_above_the_answer(client: Client) -> None:
    answer = post(client, asking(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 2000}))
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith("max_tokens: ")
