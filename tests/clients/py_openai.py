"""openai-python: create, stream, parse, raw responses, paging, background and resume, the async client, endings, limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
TEXT = "The quick brown fox – ürgs 🦊 – jumps."
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Point(BaseModel):
    x: int
    label: str


class GetWeather(BaseModel):
    city: str


def refused(
    call: Callable[[], object],
    kind: type[openai.APIError] = openai.BadRequestError,
    param: str | None = None,
    code: str | None = None,
) -> Any:
    """Assert that a call is refused, and how."""
    try:
        call()
    except kind as error:
        if param is not None:
            same(error.param, param)
        if code is not None:
            same(error.code, code)
        return error
    raise AssertionError(f"not refused: {param} {code}")


def creation() -> None:
    r = client.responses.create(
        model=MODEL,
        input=play("hi", {"say": "{{system}} {{param.temperature}} {{param.reasoning_effort}}", "usage": [11, 7]}),
        instructions="BE",
        temperature=0.5,
        metadata={"a": "b"},
        user="u1",
        safety_identifier="s1",
        prompt_cache_key="k1",
        service_tier="auto",
        truncation="auto",
        text={"verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        max_tool_calls=3,
        parallel_tool_calls=False,
        store=True,
        top_logprobs=0,
    )
    same((r.output_text, r.status, r.error, r.incomplete_details), ('BE 0.5 "low"', "completed", None, None))
    assert r.usage is not None and r.text is not None and r.reasoning is not None
    same((r.usage.input_tokens, r.usage.output_tokens, r.usage.total_tokens), (11, 7, 18))
    same((r.metadata, r.user, r.safety_identifier, r.prompt_cache_key), ({"a": "b"}, "u1", "s1", "k1"))
    same(
        (r.truncation, r.text.verbosity, r.reasoning.effort, r.max_tool_calls, r.parallel_tool_calls),
        ("auto", "low", "low", 3, False),
    )
    assert r.completed_at is not None and r.completed_at >= r.created_at
    raw = client.responses.with_raw_response.create(model=MODEL, input=play("x", {"say": "y"}))
    assert raw.headers["x-request-id"] and raw.headers["openai-processing-ms"]
    same((raw.parse().output_text, raw.parse()._request_id), ("y", raw.headers["x-request-id"]))
    with client.responses.with_streaming_response.create(model=MODEL, input=play("x", {"say": "y"})) as flowing:
        same(flowing.parse().output_text, "y")
    with client.responses.with_streaming_response.create(
        model=MODEL, stream=True, input=play("x", {"say": "yes"})
    ) as flowing:
        lines = [line for line in flowing.iter_lines() if line]
    same(lines[-1], "data: [DONE]")
    same(sum(line.startswith("event: ") for line in lines), len(lines) // 2)


def streaming() -> None:
    for background in (False, True):
        events = list(
            client.responses.create(
                model=MODEL, stream=True, background=background, input=play("x", {"think": "HM HM", "say": TEXT})
            )
        )
        same([e.sequence_number for e in events], list(range(len(events))))
        same("".join(e.delta for e in events if e.type == "response.output_text.delta"), TEXT)
        same("".join(e.delta for e in events if e.type == "response.reasoning_text.delta"), "HM HM")
        last = events[-1]
        assert last.type == "response.completed"
        same([item.type for item in last.response.output], ["reasoning", "message"])
        stored = client.responses.retrieve(last.response.id)
        same(stored.to_dict(), last.response.to_dict())
    with client.responses.stream(
        model=MODEL, input=play("x", {"say": "Look.", "call": [["get_weather", {"city": "Rome"}]]}), tools=[WEATHER]
    ) as s:
        kinds = [e.type for e in s]
        same(s.get_final_response().output_text, "Look.")
    assert "response.function_call_arguments.delta" in kinds
    with client.responses.stream(
        model=MODEL, input=play("x", {"json": {"x": 4, "label": "p"}}), text_format=Point
    ) as s:
        snapshots = [e.snapshot for e in s if e.type == "response.output_text.delta"]
        same(s.get_final_response().output_parsed, Point(x=4, label="p"))
    has(snapshots[-1], '"p"')
    with client.responses.stream(model=MODEL, background=True, input=play("x", {"say": TEXT, "pace": 0.02})) as s:
        for event in s:
            if event.type == "response.output_text.delta":
                break
        assert event.type == "response.output_text.delta"
        seen, after = event.snapshot, event.sequence_number
        created = s._state._ResponseStreamState__current_snapshot  # type: ignore[attr-defined]
    with client.responses.stream(response_id=created.id, starting_after=after) as s:
        rest = "".join(e.delta for e in s if e.type == "response.output_text.delta")
    same(seen + rest, TEXT)


def parsing() -> None:
    r = client.responses.parse(
        model=MODEL, text_format=Point, input=play("x", {"think": "t", "json": {"x": 4, "label": "p"}})
    )
    same(r.output_parsed, Point(x=4, label="p"))
    tool = openai.pydantic_function_tool(GetWeather)
    r2 = client.responses.parse(
        model=MODEL, tools=[tool], input=play("x", {"call": [["GetWeather", {"city": "Bern"}]]})
    )
    call = r2.output[0]
    assert call.type == "function_call"
    same(call.parsed_arguments, GetWeather(city="Bern"))
    # What parse adds comes back with the replay
    replay = [
        {"role": "user", "content": play("x", {"call": [["GetWeather", {"city": "Bern"}]]}, {"say": "{{tool.0}}"})},
        call.to_dict(),
    ]
    output = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": [{"type": "input_text", "text": "sun"}],
    }
    same(client.responses.create(model=MODEL, tools=[tool], input=[*replay, output]).output_text, "sun")  # type: ignore[list-item]
    refusal = client.responses.parse(model=MODEL, text_format=Point, input=play("x", {"refuse": "No."}))
    same((refusal.output_parsed, refusal.output[0].content[0].type), (None, "refusal"))  # type: ignore[union-attr]


def endings() -> None:
    cut = client.responses.create(model=MODEL, max_output_tokens=5, input=play("x", {"say": "word " * 90}))
    assert cut.incomplete_details is not None
    same(
        (cut.status, cut.incomplete_details.reason, cut.output[0].status),
        ("incomplete", "max_output_tokens", "incomplete"),
    )  # type: ignore[union-attr]
    with client.responses.stream(model=MODEL, max_output_tokens=5, input=play("x", {"say": "word " * 90})) as s:
        same([e.type for e in s][-1], "response.incomplete")
    filtered = client.responses.create(model=MODEL, input=play("x", {"say": "abc", "finish": "content_filter"}))
    assert filtered.incomplete_details is not None
    same(filtered.incomplete_details.reason, "content_filter")
    events = list(client.responses.create(model=MODEL, stream=True, input=play("x", {"refuse": "I will not."})))
    same("".join(e.delta for e in events if e.type == "response.refusal.delta"), "I will not.")
    same([e.refusal for e in events if e.type == "response.refusal.done"], ["I will not."])
    error = refused(
        lambda: client.responses.create(
            model=MODEL, input=play("x", {"error": {"status": 429, "message": "slow down"}})
        ),
        openai.RateLimitError,
    )
    has(str(error), "slow down")

    def cut_off() -> None:
        list(
            client.responses.create(model=MODEL, stream=True, input=play("x", {"say": "abc def ghi jkl mno", "cut": 3}))
        )

    assert refused(cut_off, openai.APIError).message


def lifecycle() -> None:
    first = client.responses.create(
        model=MODEL, instructions="OLD", input=[{"role": "user", "content": f"NOTE n{n}={n}"} for n in range(30)]
    )
    pages = client.responses.input_items.list(first.id, limit=7, order="asc")
    same((len(pages.data), pages.has_more, len(list(pages))), (7, True, 30))
    same([i.id for i in client.responses.input_items.list(first.id, limit=4)][::-1], [i.id for i in pages])
    after = client.responses.input_items.list(
        first.id, after=pages.data[2].id, limit=1, order="asc", include=["reasoning.encrypted_content"]
    )
    same(after.data[0].id, pages.data[3].id)
    second = client.responses.create(
        model=MODEL, previous_response_id=first.id, input=play("?", {"say": "{{note.n29}} {{systems}} {{users}}"})
    )
    same(second.output_text, "29 0 31")
    client.responses.delete(first.id)
    refused(lambda: client.responses.retrieve(first.id), openai.NotFoundError)
    refused(lambda: client.responses.cancel(second.id))
    refused(
        lambda: client.responses.create(model=MODEL, input="x", previous_response_id="resp_none"),
        code="previous_response_not_found",
    )
    unstored = client.responses.create(model=MODEL, store=False, input="x")
    refused(lambda: client.responses.retrieve(unstored.id), openai.NotFoundError)
    job = client.responses.create(model=MODEL, background=True, input=play("x", {"say": "x" * 200, "pace": 0.05}))
    assert job.status in ("queued", "in_progress")
    same([client.responses.cancel(job.id).status, client.responses.cancel(job.id).status], ["cancelled", "cancelled"])
    job = client.responses.create(model=MODEL, background=True, input=play("x", {"say": "done"}))
    while job.status in ("queued", "in_progress"):
        time.sleep(0.05)
        job = client.responses.retrieve(job.id)
    same((job.status, job.output_text), ("completed", "done"))


def limits() -> None:
    create = client.responses.create
    refused(lambda: create(model=MODEL, input="x", metadata={str(n): "v" for n in range(17)}))
    refused(lambda: create(model=MODEL, input="x", metadata={"k" * 65: "v"}))
    refused(lambda: create(model=MODEL, input="x", metadata={"k": "v" * 513}))
    refused(lambda: create(model=MODEL, input="x", temperature=2.5), param="temperature")
    refused(lambda: create(model=MODEL, input="x", top_logprobs=21), param="top_logprobs")
    refused(
        lambda: create(model=MODEL, input="x", extra_body={"max_tokens": 4}),
        param="max_tokens",
        code="unsupported_parameter",
    )
    refused(lambda: create(model="nothing", input="x"), param="model", code="model_not_found")
    refused(lambda: create(model=MODEL, input="x", conversation="conv_x", previous_response_id="resp_x"))
    refused(lambda: create(model=MODEL, input=[{"type": "function_call_output", "call_id": "call_x", "output": "y"}]))
    refused(
        lambda: create(model=MODEL, input=[{"role": "user", "content": [{"type": "input_text"}]}]),
        param="input[0].content[0].text",
    )  # type: ignore[list-item]
    refused(lambda: create(model=MODEL, input="x", tools=[{"type": "function"}]), param="tools[0].name")  # type: ignore[list-item]
    refused(lambda: create(model=MODEL, input="x", tool_choice={"type": "function", "name": "none"}))
    refused(lambda: create(model=MODEL))
    has(
        create(
            model=MODEL,
            input=play("x", {"say": "{{param.top_logprobs}}"}),
            top_logprobs=2,
            include=["message.output_text.logprobs"],
        ).output_text,
        "2",
    )


async def asynchronous() -> None:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as many:
        answers = await asyncio.gather(
            *(many.responses.create(model=MODEL, input=play("x", {"say": f"a{n}"})) for n in range(20))
        )
        same([r.output_text for r in answers], [f"a{n}" for n in range(20)])
        text = ""
        async for event in await many.responses.create(model=MODEL, stream=True, input=play("x", {"say": TEXT})):
            text += event.delta if event.type == "response.output_text.delta" else ""
        same(text, TEXT)
        async with many.responses.stream(
            model=MODEL, text_format=Point, input=play("x", {"json": {"x": 1, "label": "l"}})
        ) as s:
            same((await s.get_final_response()).output_parsed, Point(x=1, label="l"))
        models = [model.id async for model in many.models.list()]
        assert MODEL in models
        same((await many.models.retrieve(MODEL)).id, MODEL)


def everything() -> None:
    for part in (creation, streaming, parsing, endings, lifecycle, limits):
        part()
    asyncio.run(asynchronous())


scenario(everything)
