"""Backends that have `/v1/decisions` themselves; content guards before all decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from antiphon.config import DecisionsConfig, GuardConfig, KeyConfig
from tests.server.decisions.judge import Judge, fresh
from tests.server.decisions.test_decisions import ALL, CHOICE, EXPECTED, PIXEL, PREDICATE, ask, near
from tests.server.decisions.test_systemone import QUESTIONS
from tests.server.whole import Client, Json, upstream, whole_server

ANSWERS: list[Json] = [
    {"type": "predicate", "name": "urgent", "probability": 0.125},
    {
        "type": "choice",
        "name": None,
        "choice": True,
        "confidence": 0.33,
        "probabilities": [
            {"value": "billing=1", "probability": 0.25},
            {"value": True, "probability": 0.5},
            {"value": "true=4", "probability": 0.25},
        ],
    },
    {"type": "refusal", "name": "severity"},
]
USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


class NativeBackend(Judge):
    """A server with `/v1/decisions` beside chat completions."""

    decided: ClassVar[list[Json]] = []
    status: ClassVar[int] = 200
    answers: ClassVar[Any] = ANSWERS

    def elsewhere(self, request: Json) -> None:
        """Answer `/v1/decisions`."""
        kind = type(self)
        kind.decided.append(request)
        if kind.status == 200:
            self.send({"model": "theirs", "answers": kind.answers, "usage": USAGE})
        else:
            self.send({"error": {"message": "at most 2 questions", "code": "too_many"}}, kind.status)


@pytest.fixture
def backend() -> type[NativeBackend]:
    kind = fresh(NativeBackend)
    kind.decided = []
    return kind


@pytest.fixture
def client(backend: type[NativeBackend]) -> Iterator[Client]:
    keys = {"ann": KeyConfig(key="sk-ann", limits=["12 tokens/day"]), "bob": KeyConfig(key="sk-bob")}
    settings = DecisionsConfig(native=["jud*"])
    with upstream(backend) as url, whole_server(url, keys=keys, decisions=settings) as served:
        yield Client(served.url, "sk-bob")


def test_a_request_is_answered_there(client: Client, backend: type[NativeBackend]) -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": PIXEL}]}
    fields = {"prompt_cache_key": "k", "safety_identifier": "s", "custom": 5}
    status, body = ask(client, ALL, input=[image], **fields)
    assert (status, body["model"], body["answers"]) == (200, "judge", ANSWERS)
    assert (body["usage"]["input_tokens"], body["usage"]["total_tokens"]) == (7, 10)
    [sent] = backend.decided
    assert not backend.requests
    assert sent["model"] == "judge" and PIXEL in json.dumps(sent["input"])
    assert {name: sent[name] for name in fields} == fields
    assert sent["questions"] == [
        PREDICATE,
        {**CHOICE, "choices": [{"value": "billing=1"}, *CHOICE["choices"][1:]]},
        ALL[2],
    ]
    page = client.get("/metrics")
    assert page[0] == 403  # bob is no admin
    ann = Client(client.url, "sk-ann")
    assert [ask(ann, ALL)[0] for _ in range(3)] == [200, 200, 402]


def test_systemone_too(client: Client, backend: type[NativeBackend]) -> None:
    backend.answers = [
        {
            "type": "choice",
            "choice": "x",
            "confidence": 1.0,
            "probabilities": [{"probability": 0.75}, {"probability": 0.25}],
        },
        {"type": "predicate", "probability": 0.25},
        {
            "type": "score",
            "score": 9,
            "probabilities": [{"probability": 0.5}, {"probability": 0.5}, {"probability": 0.0}],
        },
    ]
    status, body = client.post("/v1/systemone", model="judge", state={"a": 1}, questions=QUESTIONS)
    assert (status, body["answers"]["urgent"]) == (200, {"type": "noul", "noul": 0.25})
    assert (body["answers"]["team"]["choice"], body["answers"]["team"]["confidence"]) == ("billing", 1.0)
    assert body["answers"]["tone"]["score"] == near(0.5)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_it_does_not_take_is_asked_of_its_model(client: Client, backend: type[NativeBackend], status: int) -> None:
    backend.status = status
    assert ask(client, ALL)[1]["answers"] == EXPECTED
    assert backend.decided and backend.requests


@pytest.mark.parametrize("status", [401, 429, 500])
def test_what_it_fails_with_is_told(client: Client, backend: type[NativeBackend], status: int) -> None:
    backend.status = status
    told, _ = ask(client, ALL)
    assert told == (429 if status == 429 else 502)
    assert not backend.requests


@pytest.mark.parametrize(
    "answers",
    [
        None,
        {},
        ANSWERS[:2],
        [*ANSWERS[:2], {"type": "score", "probabilities": [{"probability": 1.0}]}],
        [{"type": "choice"}, *ANSWERS[1:]],
        [{"type": "predicate", "probability": 1.5}, *ANSWERS[1:]],
        [{"type": "predicate", "probability": "high"}, *ANSWERS[1:]],
    ],
)
def test_nonsense_is_a_502(client: Client, backend: type[NativeBackend], answers: Any) -> None:
    backend.answers = answers
    assert ask(client, ALL)[0] == 502


@pytest.mark.parametrize("native", [[], ["judge"]])
def test_guards_look_at_input_and_questions(native: list[str]) -> None:
    guards = {"codes": GuardConfig(patterns=["zebra[0-9]+"])}
    kind = fresh(NativeBackend)
    kind.decided = []
    with (
        upstream(kind) as url,
        whole_server(url, guards=guards, decisions=DecisionsConfig(native=native)) as client,
    ):
        for fields in (
            {"input": "zebra1"},
            {"questions": [{**PREDICATE, "instructions": "zebra1?"}]},
            {"questions": [{**CHOICE, "choices": [{"value": "a"}, {"value": "b", "description": "zebra1"}]}]},
        ):
            status, body = client.post("/v1/decisions", **{"model": "judge", "input": "x", "questions": ALL, **fields})
            assert (status, body["error"]["code"]) == (400, "invalid_prompt"), fields
        assert not kind.requests and not kind.decided
        assert ask(client, ALL)[0] == 200
