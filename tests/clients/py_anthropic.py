"""Anthropic's Python SDK: create, stream, tools and its tool runner, thoughts, pictures, counts, models, errors; an old release."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

OLD = "0.40.0"  # sends `x-api-key` and `anthropic-version: 2023-06-01`
TEXT = "The quick brown fox – ürgs 🦊 – jumps."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LOOK: Any = {"name": "look", "description": "Look at a city.", "input_schema": SCHEMA}


def told(prompt: Any, **fields: Any) -> Any:
    """Return the fields of a request."""
    messages = (
        [{"role": "user", "content": prompt}] if not isinstance(prompt, list) or "role" not in prompt[0] else prompt
    )
    return {"model": MODEL, "max_tokens": 2000, "messages": messages, **fields}


def text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def both(client: Any, **fields: Any) -> Any:
    """Return the Message, which a stream has to fold to as well."""
    whole = client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        pieces = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    same(pieces, text(whole))
    same(essence(streamed), essence(whole))
    return whole


def essence(message: Any) -> Any:
    """Return a Message without what differs between two answers: ids, seals, what the cache had."""
    content = [block.model_dump(exclude={"id", "signature", "citations", "parsed_output"}) for block in message.content]
    return content, message.stop_reason, message.stop_sequence, message.model, message.usage.output_tokens


def answers(client: Any) -> None:
    message = both(client, **told(play("x", {"say": TEXT + " {{system}}"}), system="BE BRIEF"))
    same(text(message), TEXT + " BE BRIEF")
    same((message.role, message.type, message.stop_reason, message.model), ("assistant", "message", "end_turn", MODEL))
    assert message.id.startswith("msg_") and message._request_id
    assert message.usage.input_tokens + message.usage.cache_read_input_tokens > 10 and message.usage.output_tokens > 5
    message = both(client, **told(play("x", {"say": "One two STOP three"}), stop_sequences=["STOP", "never"]))
    same((text(message), message.stop_reason, message.stop_sequence), ("One two ", "stop_sequence", "STOP"))
    message = both(client, **told(play("x", {"say": "word " * 100}), max_tokens=5))
    same((message.stop_reason, message.usage.output_tokens), ("max_tokens", 5))
    raw = client.messages.with_raw_response.create(**told("Hi."))
    assert raw.headers["request-id"].startswith("req_"), raw.headers
    with client.messages.stream(**told(play("x", {"say": TEXT}))) as stream:
        kinds = [event.type for event in stream]
    same((kinds[0], kinds[-1]), ("message_start", "message_stop"))
    assert kinds.count("text") > 3, kinds


def calls_tools(client: Any) -> None:
    prompt = play(
        "Go.",
        {"say": "I look.", "call": [["look", {"city": "Rome"}], ["look", {"city": "Oslo"}]]},
        {"say": "{{tool.0}} {{tool.1}}"},
    )
    message = both(client, **told(prompt, tools=[LOOK]))
    same(
        (message.stop_reason, [block.type for block in message.content]), ("tool_use", ["text", "tool_use", "tool_use"])
    )
    calls = [block for block in message.content if block.type == "tool_use"]
    same([call.input for call in calls], [{"city": "Rome"}, {"city": "Oslo"}])
    results = [
        {
            "type": "tool_result",
            "tool_use_id": call.id,
            "content": [{"type": "text", "text": f"seen {call.input['city']}"}],
        }
        for call in reversed(calls)
    ]
    history = [{"role": "user", "content": prompt}, {"role": "assistant", "content": message.content}]
    answer = both(client, **told([*history, {"role": "user", "content": results}], tools=[LOOK]))
    same(text(answer), "seen Rome seen Oslo")  # the model reads results in the order of its calls
    step = {"think": "{{param.tool_choice}} {{param.parallel_tool_calls}}", "call": [["look", {"city": "Rome"}]]}
    for choice, param in (
        ({"type": "any", "disable_parallel_tool_use": True}, '"required" false'),
        ({"type": "tool", "name": "look"}, '{"function": {"name": "look"}, "type": "function"} null'),
    ):
        thinking = {"type": "adaptive", "display": "summarized"}
        answer = client.messages.create(**told(play("x", step), tools=[LOOK], tool_choice=choice, thinking=thinking))
        same((answer.content[0].thinking, answer.stop_reason), (param, "tool_use"))


def runs_tools(client: Any) -> None:
    """The SDK's own loop, streamed and not."""
    from anthropic import beta_tool

    @beta_tool
    def look(city: str) -> str:
        """Look at a city."""
        return f"seen {city}"

    fields = told(play("Go.", {"call": [["look", {"city": "Rome"}]]}, {"say": "{{tool.0}}"}), tools=[look])
    same(text(client.beta.messages.tool_runner(**fields).until_done()), "seen Rome")
    for stream in client.beta.messages.tool_runner(**fields, stream=True):
        last = stream.get_final_message()
    same(text(last), "seen Rome")


def thinks(client: Any) -> None:
    prompt = play("x", {"think": "THOUGHT", "call": [["look", {"city": "Rome"}]]}, {"say": "{{thoughts}}"})
    for display, shown in (("summarized", "THOUGHT"), ("omitted", "")):
        wish = {"type": "adaptive", "display": display}
        message = both(client, **told(prompt, thinking=wish, tools=[LOOK]))
        same((message.content[0].type, message.content[0].thinking), ("thinking", shown))
        assert message.content[0].signature
        result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "seen"}
        history = [{"role": "user", "content": prompt}, {"role": "assistant", "content": message.content}]
        answer = client.messages.create(
            **told([*history, {"role": "user", "content": [result]}], thinking=wish, tools=[LOOK])
        )
        same(text(answer), "THOUGHT")
    budget = {"type": "enabled", "budget_tokens": 1024}
    answer = client.messages.create(**told(play("x", {"say": "{{param.reasoning_effort}}"}), thinking=budget))
    same(text(answer), '"low"')


def sees(client: Any) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    paper = {
        "type": "document",
        "title": "PAPER",
        "source": {"type": "text", "media_type": "text/plain", "data": "WORDS"},
    }
    say = {"type": "text", "text": play("x", {"say": "I{{images}} F{{files}}"})}
    same(text(both(client, **told([picture, picture, paper, say]))), "I2 F0")
    same(base64.b64decode(PIXEL)[:4], b"\x89PNG")


def is_structured(client: Any) -> None:
    from pydantic import BaseModel

    class Point(BaseModel):
        x: int

    message = client.messages.parse(**told(play("x", {"json": {"x": 4}})), output_format=Point)
    same(message.parsed_output, Point(x=4))


def counts(client: Any) -> None:
    few = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "Hi."}]).input_tokens
    many = client.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "Hi. " * 500}], tools=[LOOK]
    ).input_tokens
    assert 0 < few < many, (few, many)


def lists_models(client: Any) -> None:
    ids = [model.id for model in client.models.list(limit=2)]  # the SDK turns the pages
    assert {MODEL, f"anthropic/{MODEL}", "narrow"} <= set(ids) and len(ids) == len(set(ids)), ids
    model = client.models.retrieve(MODEL)
    same((model.id, model.type, model.display_name, model.max_input_tokens), (MODEL, "model", MODEL, 131072))
    same(client.models.retrieve(f"anthropic/{MODEL}").display_name, MODEL)
    same(text(client.messages.create(**told(play("x", {"say": "yes"}), model=f"anthropic/{MODEL}"))), "yes")


def fails(client: Any) -> None:
    import anthropic

    def refused(kind: Any, type: str, words: str, call: Callable[[], object]) -> None:
        try:
            call()
        except kind as error:
            same(error.type, type)
            has(error.body["error"]["message"], words)
            same((error.request_id or "")[:4], "req_")
        else:
            raise AssertionError(f"not refused: {words}")

    create = client.messages.create
    bad = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!"}}]
    refused(
        anthropic.BadRequestError,
        "invalid_request_error",
        "messages.0.content.0.source.data",
        lambda: create(**told(bad)),
    )
    refused(anthropic.NotFoundError, "not_found_error", "no-such", lambda: create(**told("x", model="no-such")))
    wrong = client.copy(auth_token="sk-wrong")
    refused(anthropic.AuthenticationError, "authentication_error", "key", lambda: wrong.messages.create(**told("x")))
    refused(anthropic.NotFoundError, "not_found_error", "no-such", lambda: client.models.retrieve("no-such"))
    for status, kind, type in (
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
    ):
        prompt = play("x", {"error": {"status": status, "message": "as asked"}})
        refused(kind, type, "as asked", lambda: create(**told(prompt)))  # noqa: B023 - called at once
    long = told("word " * 50_000, model="narrow")
    refused(anthropic.BadRequestError, "invalid_request_error", "prompt is too long: ", lambda: create(**long))
    try:
        with client.messages.stream(**told(play("x", {"say": TEXT, "piece": 2, "cut": 6}))) as stream:
            list(stream)
        raise AssertionError("a broken answer looks whole")
    except anthropic.APIStatusError as error:
        same(error.body["type"], "error")


async def concurrently() -> None:
    """The other client, many at a time."""
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=BASE_URL.removesuffix("/v1"), auth_token=API_KEY, max_retries=0) as client:
        messages = await asyncio.gather(
            *(client.messages.create(**told(play("x", {"say": f"N{n}"}))) for n in range(20))
        )
    same([text(message) for message in messages], [f"N{n}" for n in range(20)])
    same(len({message.id for message in messages}), 20)


def old() -> None:
    import anthropic

    same(anthropic.__version__, OLD)
    client = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=API_KEY, max_retries=0)
    same(text(both(client, **told(play("x", {"say": TEXT})))), TEXT)
    same(
        both(client, **told(play("x", {"call": [["look", {"city": "Rome"}]]}), tools=[LOOK])).content[0].input,
        {"city": "Rome"},
    )


def main() -> None:
    from anthropic import Anthropic

    with Anthropic(base_url=BASE_URL.removesuffix("/v1"), auth_token=API_KEY, max_retries=0) as client:
        for part in (answers, calls_tools, runs_tools, thinks, sees, is_structured, counts, lists_models, fails):
            part(client)
    asyncio.run(concurrently())
    folder = Path(sys.prefix) / "old" / f"anthropic-{OLD}"
    if not folder.exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--target",
            str(folder),
            f"anthropic=={OLD}",
            "httpx<0.28",
        ]
        subprocess.run(command, check=True, capture_output=True)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", ""), os.getcwd()])
    child = [sys.executable, "-m", "tests.clients.py_anthropic", "--old"]
    done = subprocess.run(child, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, f"anthropic {OLD}: {done.stdout}{done.stderr}"


scenario(old if "--old" in sys.argv else main)
