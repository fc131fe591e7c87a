"""promptfoo's providers `openai:responses` and `openai:chat`: answers with usage, a call, structured output, judged by its own assertions."""

from __future__ import annotations

import json
from typing import Any

from tests.apps.cases import case, run
from tests.apps.programs import Program
from tests.clients.lib import API_KEY, BASE_URL, MODEL, play, same

_promptfoo = Program(
    "promptfoo",
    {
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "true",
        "PROMPTFOO_CACHE_ENABLED": "false",
    },
)
_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}


def evaluated(provider: str, prompt: str, test: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Evaluate one prompt with one assertion; return the result, which has to be a success."""
    options = {"apiBaseUrl": BASE_URL, "apiKey": API_KEY, **config}
    given = {
        "prompts": ["{{asked}}"],
        "providers": [{"id": f"openai:{provider}:{MODEL}", "config": options}],
        "tests": [{"vars": {"asked": prompt}, "assert": [test]}],
    }
    (_promptfoo.work / "given.json").write_text(json.dumps(given))
    _promptfoo.run(
        "eval", "-c", "given.json", "-o", "found.json", "--no-cache", "--no-table", "--no-progress-bar", within=300
    )
    (found,) = json.loads((_promptfoo.work / "found.json").read_text())["results"]["results"]
    assert found["success"], found.get("error") or found
    return dict(found["response"])


def each(provider: str) -> None:
    @case(f"answer with usage, {provider}")
    def answer() -> None:
        found = evaluated(provider, play("Hi", {"say": "hello", "usage": [5, 6]}), {"type": "equals", "value": "hello"})
        same(found["tokenUsage"]["total"], 11)

    @case(f"call, {provider}")
    def call() -> None:
        function = {"name": "look", "description": "Looks.", "parameters": _PARAMETERS}
        tool = (
            {"type": "function", **function, "strict": True}
            if provider == "responses"
            else {"type": "function", "function": function}
        )
        evaluated(
            provider,
            play("Go", {"call": [["look", {"city": "Rome"}]]}),
            {
                "type": "javascript",
                "value": "JSON.stringify(output).includes('look') && JSON.stringify(output).includes('Rome')",
            },
            tools=[tool],
        )

    @case(f"structured output, {provider}")
    def structured() -> None:
        body = {"name": "colour", "schema": _SCHEMA, "strict": True}
        form = (
            {"type": "json_schema", **body} if provider == "responses" else {"type": "json_schema", "json_schema": body}
        )
        evaluated(
            provider,
            play("Which?", {"json": {"colour": "red"}}),
            {
                "type": "javascript",
                "value": "(typeof output === 'string' ? JSON.parse(output) : output).colour === 'red'",
            },
            response_format=form,
        )


each("responses")
each("chat")
run()
