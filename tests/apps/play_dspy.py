"""DSPy with `model_type="responses"`, through LiteLLM: calls, the adapters of chat and JSON, tools, usage."""

from __future__ import annotations

from typing import Any

import dspy

from tests.apps.cases import case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same


def model(kind: str = "responses") -> dspy.LM:
    return dspy.LM(f"openai/{MODEL}", model_type=kind, api_base=BASE_URL, api_key=API_KEY, cache=False, num_retries=0)


def told(answer: Any) -> str:
    return answer["text"] if isinstance(answer, dict) else answer


def asked(adapter: Any, prompt: str) -> Any:
    with dspy.context(lm=model(), adapter=adapter, track_usage=True):
        return dspy.Predict("question -> answer")(question=prompt)


@case("hello")
def hello() -> None:
    for kind in ("responses", "chat"):
        same(told(model(kind)(play("Hi", {"think": "T", "say": "hello"}))[0]), "hello")


@case("fields of a signature")
def fields() -> None:
    found = asked(
        dspy.ChatAdapter(),
        play("Capital?", {"say": "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]", "usage": [5, 6]}),
    )
    same(found.answer, "Paris")
    (usage,) = found.get_lm_usage().values()
    same(usage["total_tokens"], 11)


@case("structured output")
def structured() -> None:
    same(asked(dspy.JSONAdapter(), play("Capital?", {"json": {"answer": "Paris"}})).answer, "Paris")


@case("turns")
def turns() -> None:
    said = [{"role": "user", "content": "NOTE colour=blue"}, {"role": "assistant", "content": "Yes"}]
    asked = {"role": "user", "content": play("Which?", {"say": "{{note.colour}} {{assistants}}"})}
    has(told(model()(messages=[*said, asked])[0]), "blue 1")


run()
