"""`/v1/systemone`, as vLLM's and Ollama's clients ask it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.decisions.judge import Judge, judge
from tests.server.decisions.test_decisions import PIXEL, near
from tests.server.whole import Client, Json, whole_server

QUESTIONS: Json = {
    "team": {"type": "choice", "instructions": "Which?", "criteria": {"billing": "=3", "shipping": "=1"}},
    "urgent": {"type": "noul", "instructions": "p=0.25", "criteria": {"true": "Money moves."}},
    "tone": {"type": "score", "instructions": {"what": "tone"}, "criteria": ["calm=1", "annoyed=1", "furious=2"]},
}
EXPECTED: Json = {
    "team": {
        "type": "choice",
        "choice": "billing",
        "probabilities": {"billing": near(0.75), "shipping": near(0.25)},
        "confidence": near(0.5),
    },
    "urgent": {"type": "noul", "noul": near(0.25)},
    "tone": {
        "type": "score",
        "score": near(1.25),
        "legend": {"0": "calm=1", "1": "annoyed=1", "2": "furious=2"},
        "probabilities": {"0": near(0.25), "1": near(0.25), "2": near(0.5)},
        "confidence": near(0.25),
    },
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[str, type[Judge]]]:
    with judge() as found:
        yield found


@pytest.fixture(scope="module")
def server(upstream: tuple[str, type[Judge]]) -> Iterator[Client]:
    with whole_server(upstream[0]) as client:
        yield client


@pytest.mark.parametrize("model", ["judge", "plain"])
@pytest.mark.parametrize("state", ["A ticket.", {"ticket": "Twice."}, ["one", {"two": 2}]])
def test_questions_of_all_kinds(server: Client, state: Any, model: str) -> None:
    status, body = server.post("/v1/systemone", model=model, state=state, questions=QUESTIONS)
    assert (status, body["answers"], body["model"]) == (200, EXPECTED, model)
    assert set(body["usage"]) == {"input_tokens", "output_tokens"}


def test_what_goes_to_the_backend(server: Client, upstream: tuple[str, type[Judge]]) -> None:
    upstream[1].requests.clear()
    fields = {
        "chat_template_kwargs": {"enable_thinking": False},
        "cache_salt": "s",
        "images": [PIXEL.partition(",")[2]],
    }
    status, _ = server.post(
        "/v1/systemone",
        model="judge",
        state={"a": 1},
        instructions="Be strict.",
        questions={"urgent": QUESTIONS["urgent"]},
        **fields,
    )
    [sent] = upstream[1].requests
    assert (status, sent["chat_template_kwargs"], sent["cache_salt"]) == (200, {"enable_thinking": False}, "s")
    assert "Be strict." in str(sent["messages"]) and PIXEL in str(sent["messages"])


@pytest.mark.parametrize(("word", "status", "code"), [("DECLINE", 422, "refusal"), ("FAIL 500", 502, "")])
def test_a_question_without_an_answer_is_an_error(server: Client, word: str, status: int, code: str) -> None:
    questions = {**QUESTIONS, "bad": {"type": "noul", "instructions": word}}
    told, body = server.post("/v1/systemone", model="judge", state="x", questions=questions)
    assert told == status
    if code:
        assert (body["error"]["code"], body["error"]["param"]) == (code, "questions.bad")
