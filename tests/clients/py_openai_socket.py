"""openai-python over WebSocket: sync and async, chains without a store, lanes, warm-up, errors, steering."""

from __future__ import annotations

import asyncio
from typing import Any

from openai import AsyncOpenAI, OpenAI

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

ENDS = ("response.completed", "response.failed", "response.incomplete", "error")
LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


def ask(connection: Any, **request: Any) -> list[Any]:
    connection.response.create(model=MODEL, **request)
    return to_end(connection)


def to_end(connection: Any) -> list[Any]:
    events = []
    for event in connection:
        events.append(event)
        if event.type in ENDS:
            break
    return events


def sync() -> None:
    client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
    with client.responses.connect() as connection:
        events = ask(connection, input=play("x", {"think": "HM", "say": "hello socket"}))
        same("".join(e.delta for e in events if e.type == "response.output_text.delta"), "hello socket")
        same([e.sequence_number for e in events], list(range(len(events))))
        same(client.responses.retrieve(events[-1].response.id).output_text, "hello socket")
        prompt = play("NOTE a=1", {"call": [["look", {}], ["look", {}]]}, {"say": "{{tool.0}} {{tool.1}}"})
        r = ask(connection, store=False, tools=[LOOK], input=prompt)[-1].response
        outputs = [
            {"type": "function_call_output", "call_id": call.call_id, "output": f"o{n}"}
            for n, call in enumerate(r.output)
        ]
        r = ask(connection, store=False, tools=[LOOK], previous_response_id=r.id, input=outputs)[-1].response
        same(r.output_text, "o0 o1")
        r = ask(connection, store=False, previous_response_id=r.id, input=play("?", {"say": "{{note.a}} {{users}}"}))[
            -1
        ].response
        same(r.output_text, "1 2")
        missing = ask(connection, previous_response_id="resp_none", input="x")[-1]
        same((missing.type, missing.error.code), ("error", "previous_response_not_found"))
        wrong = ask(connection, input="x", temperature=9)[-1]
        same((wrong.type, wrong.status, wrong.error.param), ("error", 400, "temperature"))
        slow = ask(connection, input=play("x", {"error": {"status": 429, "message": "slow down"}}))[-1]
        has(slow.error.message if slow.type == "error" else slow.response.error.message, "slow down")
        connection.send_raw("not json")
        same(to_end(connection)[-1].type, "error")
        connection.send(
            {"type": "response.create", "model": MODEL, "store": False, "generate": False, "input": "NOTE w=9"}
        )
        warm = to_end(connection)[-1].response
        same(
            (
                warm.output,
                ask(connection, store=False, previous_response_id=warm.id, input=play("?", {"say": "{{note.w}}"}))[
                    -1
                ].response.output_text,
            ),
            ([], "9"),
        )
        same(
            ask(connection, input=play("x", {"json": {"a": 1}}), text={"format": {"type": "json_object"}})[
                -1
            ].response.output_text,
            '{"a": 1}',
        )
        cut = ask(connection, max_output_tokens=3, input=play("x", {"say": "word " * 50}))[-1]
        same(cut.type, "response.incomplete")
    with client.responses.connect() as other:
        gone = ask(other, store=False, previous_response_id=r.id, input="x")[-1]
        same((gone.type, gone.error.code), ("error", "previous_response_not_found"))


async def lanes() -> None:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0).responses.connect() as connection:
        for lane in ("a", "b", "c"):
            await connection.response.create(
                model=MODEL, input=play("x", {"say": f"lane {lane} " * 20, "pace": 0.01}), stream_id=lane
            )
        await connection.response.create(model=MODEL, input=play("x", {"say": "second"}), stream_id="a")
        texts: dict[str, list[str]] = {}
        order = []
        async for event in connection:
            lane = event.stream_id or ""
            order.append(lane)
            if event.type in ENDS:
                texts.setdefault(lane, []).append(event.response.output_text)  # type: ignore[union-attr]
                if sum(map(len, texts.values())) == 4:
                    break
        same(texts, {"a": ["lane a " * 20, "second"], "b": ["lane b " * 20], "c": ["lane c " * 20]})
        assert order != sorted(order), "the lanes did not run side by side"


async def steering() -> None:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0).responses.connect() as connection:
        await connection.response.create(model=MODEL, input=play("NOTE s=1", {"say": "slow " * 40, "pace": 0.02}))
        kinds: list[str] = []
        ends = []
        async for event in connection:
            kinds.append(event.type)
            if event.type == "response.created" and not ends:
                await connection.response.steer(
                    input=play("now", {"say": "steered {{note.s}} {{users}}"}), previous_response_id=event.response.id
                )
            if event.type in ENDS:
                ends.append(event)
                if len(ends) == 2:
                    break
        assert "response.steer.accepted" in kinds, kinds
        same(ends[-1].response.output_text, "steered 1 2")  # type: ignore[union-attr]
        same(ends[-1].response.previous_response_id, ends[0].response.id)  # type: ignore[union-attr]
        await connection.response.steer(input="late", previous_response_id=ends[-1].response.id)  # type: ignore[union-attr]
        async for event in connection:
            same(event.type, "response.steer.failed")
            break


def everything() -> None:
    sync()
    asyncio.run(lanes())
    asyncio.run(steering())


scenario(everything)
