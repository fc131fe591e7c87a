"""What the scripts of tracers share: they instrument openai-python, and read models, tokens, answers and calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from openai import OpenAI

from tests.apps.cases import case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same

Seen = dict[str, Any]
"""The attributes of a span."""
_TOOL: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
_WORDS = {"think": "THOUGHT", "say": "hello", "usage": [5, 6]}


def trace(client: type[OpenAI], spans: Callable[[], list[Seen]], counts: Callable[[Seen], tuple[Any, ...]]) -> None:
    """Run the cases. `spans` gives the spans since it was last called; `counts` reads model, input and output tokens of one."""
    ours = client(base_url=BASE_URL, api_key=API_KEY, max_retries=0)

    def whole(prompt: str, **options: Any) -> None:
        ours.responses.create(model=MODEL, input=prompt, **options)

    def streamed(prompt: str, **options: Any) -> None:
        list(ours.responses.create(model=MODEL, input=prompt, stream=True, **options))

    def helped(prompt: str, **options: Any) -> None:
        with ours.responses.stream(model=MODEL, input=prompt, **options) as stream:
            same(stream.get_final_response().status, "completed")

    def chat(prompt: str, **options: Any) -> None:
        ours.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}], **options)

    for name, ask in {"whole": whole, "streamed": streamed, "stream helper": helped, "chat": chat}.items():
        _each(name, ask, spans, counts)
    run()


def _each(
    name: str, ask: Callable[..., None], spans: Callable[[], list[Seen]], counts: Callable[[Seen], tuple[Any, ...]]
) -> None:
    def of(prompt: str, **options: Any) -> list[Seen]:
        spans()
        ask(prompt, **options)
        return spans()

    @case(f"answer, {name}")
    def answers() -> None:
        seen = of(play("Hi", _WORDS))
        told = [counts(one) for one in seen]
        assert (MODEL, 5, 6) in told, told
        has(_said(seen), "hello")

    if name != "chat":

        @case(f"call, {name}")
        def calls() -> None:
            said = _said(of(play("Go", {"call": [["look", {"city": "Rome"}]]}), tools=[_TOOL]))
            has(said, "look")
            has(said, "Rome")


def _said(seen: list[Seen]) -> str:
    """Return all that spans say but of the request: the script stands there, too."""
    answers = {key: value for one in seen for key, value in one.items() if "input" not in key and "request" not in key}
    return json.dumps(answers, default=str)
