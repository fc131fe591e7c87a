"""Decisions by openai-python, its runner of actions, and LangChain's OpenAIDecisions: answers, refusals, async, errors."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai.decisions import Choice, Level, OpenAIDecisions, Predicate, Score
from openai import AsyncOpenAI, BadRequestError, OpenAI
from openai.lib.decisions_tool_runner import DecisionsToolRunner

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

OPTIONS: dict[str, Any] = {"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0}


def says(label: str) -> str:
    """Return instructions whose question the model answers with a label."""
    return play("Which?", {"say": label})


QUESTIONS: Any = [
    {"type": "predicate", "name": "damaged", "instructions": says("Yes")},
    {
        "type": "choice",
        "instructions": says("B"),
        "choices": [{"value": "returns"}, {"value": True, "description": "x"}],
    },
    {"type": "score", "name": "severity", "instructions": says("1"), "levels": [{"label": "low"}, {"label": "high"}]},
    {"type": "predicate", "name": "declined", "instructions": play("?", {"refuse": "I will not."})},
]


def answered(decision: Any) -> None:
    """Look at what became of QUESTIONS."""
    damaged, department, severity, declined = decision.answers
    assert damaged.type == "predicate" and damaged.probability > 0.8, damaged
    assert department.type == "choice" and department.choice is True and department.name is None, department
    same([one.value for one in department.probabilities], ["returns", True])
    assert severity.type == "score" and 0.5 < severity.score <= 1 and 0 < severity.confidence <= 1, severity
    same([one.label for one in severity.probabilities], ["low", "high"])
    same((declined.type, declined.name), ("refusal", "declined"))
    assert decision.usage.total_tokens > 0
    same(decision.model, MODEL)


async def awaited() -> Any:
    async with AsyncOpenAI(**OPTIONS) as client:
        return await client.decisions.create(model=MODEL, input="A broken screen.", questions=QUESTIONS)


def actions() -> None:
    """Choose among actions until one is enough."""
    done: list[str] = []
    told = [says("A"), says("B")]

    def observe() -> str:
        return "Two are left." if not done else "None is left."

    def candidates(*_: object) -> Any:
        label = told[len(done)]
        act = {"id": "act", "description": "Does it.", "execute": lambda: done.append("act")}
        return [act, {"id": "stop", "description": f"It is done. {label}", "done": True}]

    runner = DecisionsToolRunner(observe=observe, candidates=candidates)
    found = runner.run(OpenAI(**OPTIONS), {"model": MODEL, "input": "Do it once."}, max_steps=3)
    same((done, found["completed_candidate_ids"]), (["act"], ["act"]))


def langchain() -> None:
    decisions = OpenAIDecisions(model=MODEL, base_url=BASE_URL, api_key=API_KEY, max_retries=0)  # type: ignore[arg-type]
    questions = {
        "urgent": Predicate(instructions=says("No")),
        "team": Choice(instructions=says("A"), choices={"billing": "Money.", "other": None}),
        "grade": Score(instructions=says("2"), levels=["low", Level(label="middle"), "high"]),
        "refused": Predicate(instructions=play("?", {"refuse": "I will not."})),
    }
    states: list[Any] = ["A text.", [HumanMessage("One"), HumanMessage("Two")], [HumanMessage("Hi"), AIMessage("Ho")]]
    for state in states:
        found = decisions.invoke({"input": state, "questions": questions})
        assert found.predicates["urgent"].probability < 0.2
        same(
            (found.choices["team"].choice, found.scores["grade"].legend),
            ("billing", {0: "low", 1: "middle", 2: "high"}),
        )
        assert found.scores["grade"].score > 1.5
        same(list(found.refusals), ["refused"])
        assert found.usage.input_tokens and found.request_id
    again = asyncio.run(decisions.ainvoke({"input": "x", "questions": questions}))
    same(again.choices["team"].choice, "billing")


def main() -> None:
    client = OpenAI(**OPTIONS)
    answered(client.decisions.create(model=MODEL, input="A broken screen.", questions=QUESTIONS, safety_identifier="s"))
    answered(asyncio.run(awaited()))
    raw = client.decisions.with_raw_response.create(model=MODEL, input="x", questions=QUESTIONS[:1])
    has(raw.headers["x-request-id"], "req_")
    try:
        client.decisions.create(model=MODEL, input="x", questions=[])
    except BadRequestError as error:
        same(error.param, "questions")
    else:
        raise AssertionError("no questions are a 400")
    langchain()
    actions()


scenario(main)
