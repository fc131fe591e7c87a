"""`async: true`: the model goes on without the output of a call, which comes with a later request; in every mode and way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from openai import OpenAI

from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.async_tools import ABOUT, STARTED
from antiphon.core.stream.tool_stream import MOST_WENT_ON
from tests.server.chat_model import ChatModel
from tests.server.test_hosted_tools import process
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "Read the weather of a city.",
    "async": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CUSTOM: Json = {"type": "custom", "name": "get_weather", "async": True}
SPACED: Json = {"type": "namespace", "name": "sky", "description": "The sky.", "tools": [WEATHER]}
WAIT: Json = {"type": "function", "name": "wait"}
KINDS = {"function": WEATHER, "custom": CUSTOM, "namespace": SPACED}
QUESTION: Json = {"role": "user", "content": "The weather in Paris, and what to pack?"}


class Packer(ChatModel):
    """A model that asks for the weather, goes on packing, and tells the weather when it has come."""

    models = ("m", "strict")
    hesitates: ClassVar[threading.Event | None] = None
    reached: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(asked)
        if self.hesitates is not None and asked["messages"][-1]["role"] == "tool":
            self.reached.set()
            self.hesitates.wait(20)
        usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
        parts = [{"choices": [{"index": 0, **answer(asked)}]}, {"choices": [], "usage": usage}]
        body = b"".join(b"data: %b\n\n" % json.dumps(part).encode() for part in parts) + b"data: [DONE]\n\n"
        self._send(body, "text/event-stream")


def answer(asked: Json) -> Json:
    last = asked["messages"][-1]
    text = last["content"] if isinstance(last["content"], str) else json.dumps(last["content"])
    first = asked["tools"][0]["function"] if asked.get("tools") else {}
    custom = "input" in first.get("parameters", {}).get("properties", {})

    def call(index: int, city: str, name: str = "") -> Json:
        arguments = json.dumps({"input": city} if custom else {"city": city})
        function = {"name": name or first["name"], "arguments": arguments}
        return {"index": index, "id": f"c{len(asked['messages'])}_{index}", "function": function}

    if "for ever" in json.dumps(asked["messages"]) or "must" in text:
        return {"delta": {"tool_calls": [call(0, "Paris")]}, "finish_reason": "tool_calls"}
    if last["role"] == "user" and "Result of the background call" in text:
        return {"delta": {"content": f"So it is: {text.splitlines()[-1]}"}, "finish_reason": "stop"}
    if last["role"] == "user" and "both" in text:
        return {"delta": {"tool_calls": [call(0, "Paris"), call(1, "Rome")]}, "finish_reason": "tool_calls"}
    if last["role"] == "user" and "wait" in text:
        return {"delta": {"tool_calls": [call(0, "Paris"), call(1, "", "wait")]}, "finish_reason": "tool_calls"}
    if last["role"] == "user" and "weather" in text:
        return {"delta": {"tool_calls": [call(0, "Paris")]}, "finish_reason": "tool_calls"}
    return {"delta": {"content": "Pack a coat."}, "finish_reason": "stop"}


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with upstream(Packer) as url:
        yield url


@pytest.fixture(scope="module")
def client(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = str(tmp_path_factory.mktemp("store") / "antiphon.db")
    models = {"strict": ModelConfig(roles="alternate")}
    with whole_server(backend, store=store, models=models) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    Packer.asked.clear()


Ask = Callable[..., Json]


def whole(client: Client, **fields: Any) -> Json:
    return client.create(**fields)


def streamed(client: Client, **fields: Any) -> Json:
    events = client.stream(**fields)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    indexes = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    assert indexes == list(range(len(events[-1]["response"]["output"])))
    shown = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert all(item.get("async") is True for item in shown if "call" in item["type"] and item["name"] != "wait")
    return events[-1]["response"]


def in_background(client: Client, **fields: Any) -> Json:
    return client.finished(client.create(**fields, background=True)["id"])


def over_websocket(client: Client, **fields: Any) -> Json:
    with client.websocket() as connection:
        return turn(connection, **fields)[-1]["response"]


def output_of(call: Json, text: Any = "It rains.") -> Json:
    return {"type": f"{call['type'].removesuffix('_call')}_call_output", "call_id": call["call_id"], "output": text}


def chained(client: Client, ask: Ask, first: Json, items: list[Json], **fields: Any) -> Json:
    return ask(client, input=items, previous_response_id=first["id"], **fields)


def replayed(client: Client, ask: Ask, first: Json, items: list[Json], **fields: Any) -> Json:
    return ask(client, input=[QUESTION, *first["output"], *items], **fields)


def referred(client: Client, ask: Ask, first: Json, items: list[Json], **fields: Any) -> Json:
    known = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    return ask(client, input=[QUESTION, *known, *items], **fields)


def prompts_grow() -> None:
    """Hold that each prompt is the beginning of the next: what was sent once stays as it was."""
    for before, after in zip(Packer.asked, Packer.asked[1:], strict=False):
        assert after["tools"] == before["tools"]
        assert after["messages"][: len(before["messages"])] == before["messages"]


@pytest.mark.parametrize("model", ["m", "strict"])
@pytest.mark.parametrize("way", [chained, replayed, referred])
@pytest.mark.parametrize("ask", [whole, streamed, in_background, over_websocket])
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_goes_on_and_gets_the_output_later(
    client: Client, kind: str, ask: Ask, way: Callable[..., Json], model: str
) -> None:
    fields: Json = {"model": model, "tools": [KINDS[kind]]}
    first = ask(client, input=[QUESTION], **fields)
    call, message = first["output"]
    assert first["status"] == "completed" and call["async"] is True and call["name"] == "get_weather"
    assert call.get("namespace") == ("sky" if kind == "namespace" else None)
    assert message["content"][0]["text"] == "Pack a coat."
    assert first["tools"][0].get("async", first["tools"][0].get("tools", [{}])[0].get("async")) is True
    assert first["usage"]["input_tokens"] == 20, "two model calls"
    second = way(client, ask, first, [output_of(call)], **fields)
    assert [item["type"] for item in second["output"]] == ["message"]
    assert second["output"][0]["content"][0]["text"] == "So it is: It rains."
    assert len(Packer.asked) == 3
    prompts_grow()
    told = Packer.asked[0]["tools"][0]["function"]
    assert told["description"].endswith(ABOUT) and "async" not in told
    answers = [message["content"] for message in Packer.asked[-1]["messages"] if message["role"] == "tool"]
    assert answers == [STARTED]


def test_a_conversation_may_go_on_before_the_output_comes(client: Client) -> None:
    conversation = client.post("/v1/conversations")[1]["id"]
    fields: Json = {"model": "m", "tools": [WEATHER], "conversation": conversation}
    first = client.create(input=[QUESTION], **fields)
    client.create(input="And shoes?", **fields)
    last = client.create(input=[output_of(first["output"][0])], **fields)
    assert last["output"][0]["content"][0]["text"] == "So it is: It rains."
    client.create(input="Thanks.", **fields)
    assert len(Packer.asked) == 5
    prompts_grow()


def test_two_calls_get_their_outputs_one_after_the_other(client: Client) -> None:
    fields: Json = {"model": "m", "tools": [WEATHER]}
    first = client.create(input="The weather in both?", **fields)
    paris, rome, _ = first["output"]
    second = client.create(input=[output_of(rome, "Sun.")], previous_response_id=first["id"], **fields)
    third = client.create(input=[output_of(paris)], previous_response_id=second["id"], **fields)
    assert third["output"][0]["content"][0]["text"] == "So it is: It rains."
    prompts_grow()
    told = [m["content"] for m in Packer.asked[-1]["messages"] if "background call" in str(m["content"])]
    assert ["Rome" in told[0], "Paris" in told[1]] == [True, True]


def test_the_client_is_asked_where_another_call_has_to_be_answered(client: Client) -> None:
    """A tool that waits is one of the client's own: results come on the calls that they are of, before the wait's."""
    fields: Json = {"model": "m", "tools": [WEATHER, WAIT]}
    first = client.create(input="Please wait for it.", **fields)
    weather, wait = first["output"]
    assert (weather["async"], "async" in wait) == (True, False) and len(Packer.asked) == 1
    outputs = [output_of(weather), output_of(wait, "done")]
    second = client.create(input=outputs, previous_response_id=first["id"], **fields)
    assert second["output"][0]["content"][0]["text"] == "So it is: It rains."
    prompts_grow()


def test_an_output_may_have_parts(client: Client) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    first = client.create(model="m", input=[QUESTION], tools=[WEATHER])
    output = output_of(first["output"][0], [{"type": "input_text", "text": "See."}, picture])
    client.create(model="m", input=[output], previous_response_id=first["id"], tools=[WEATHER])
    content = Packer.asked[-1]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"] and "See." in content[0]["text"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_forced_call_is_forced_once(client: Client, choice: Any) -> None:
    made = client.create(model="m", input=[QUESTION], tools=[WEATHER], tool_choice=choice)
    assert [item["type"] for item in made["output"]] == ["function_call", "message"]
    assert "tool_choice" in Packer.asked[0] and Packer.asked[1].get("tool_choice", "auto") == "auto"


def test_a_model_that_starts_the_same_for_ever_is_stopped(client: Client) -> None:
    made = client.create(model="m", input="weather, for ever", tools=[WEATHER])
    assert made["status"] == "completed" and {item["type"] for item in made["output"]} == {"function_call"}
    assert len(Packer.asked) == MOST_WENT_ON + 1 == len(made["output"])


@pytest.mark.parametrize("value", [False, None, "absent"])
def test_other_tools_are_waited_for(client: Client, value: Any) -> None:
    tool = {name: value if name == "async" else given for name, given in WEATHER.items()}
    if value == "absent":
        del tool["async"]
    made = client.create(model="m", input=[QUESTION], tools=[tool])
    assert ["async" in item for item in made["output"]] == [False]
    second = client.create(
        model="m", input=[output_of(made["output"][0])], previous_response_id=made["id"], tools=[tool]
    )
    assert second["output"][0]["content"][0]["text"] == "Pack a coat."
    assert Packer.asked[-1]["messages"][-1] == {
        **Packer.asked[-1]["messages"][-1],
        "role": "tool",
        "content": "It rains.",
    }
    assert ABOUT not in json.dumps(Packer.asked)


REFUSED = {
    "output of a call that nobody made": (lambda call: [output_of({**call, "call_id": "call_nobody"})], "input"),
    "two different outputs of one call": (lambda call: [output_of(call), output_of(call, "Snow.")], "input"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("way", [chained, replayed])
def test_outputs_that_belong_to_nothing_are_refused(client: Client, what: str, way: Callable[..., Json]) -> None:
    outputs, param = REFUSED[what]
    first = client.create(model="m", input=[QUESTION], tools=[WEATHER])

    def ask(client: Client, **fields: Any) -> Json:
        status, body = client.post("/v1/responses", **fields)
        assert status == 400 and body["error"]["param"] == param, body
        return body

    way(client, ask, first, outputs(first["output"][0]), model="m", tools=[WEATHER])


def test_the_same_output_once_more_says_nothing_new(client: Client) -> None:
    first = client.create(model="m", input=[QUESTION], tools=[WEATHER])
    outputs = [output_of(first["output"][0])] * 2
    client.create(model="m", input=outputs, previous_response_id=first["id"], tools=[WEATHER])
    assert json.dumps(Packer.asked[-1]).count("background call") == 1


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({**WEATHER, "async": "yes"}, "tools[0].async"),
        ({**CUSTOM, "async": 1}, "tools[0].async"),
        ({**SPACED, "tools": [{**WEATHER, "async": "yes"}]}, "tools[0].tools[0].async"),
    ],
)
def test_another_type_is_refused(client: Client, tool: Json, param: str) -> None:
    status, body = client.post("/v1/responses", model="m", input="Hi.", tools=[tool])
    assert (status, body["error"]["param"]) == (400, param)


def test_a_responses_backend_gets_it_as_it_came(backend: str) -> None:
    with upstream(Native) as url:
        backends = {"b": BackendConfig(url=url, api="responses")}
        with whole_server(backends=backends) as client:
            first = client.create(model="m", input=[QUESTION], tools=[WEATHER, {**CUSTOM, "name": "look"}])
            assert first["output"][0]["async"] is True
            client.create(model="m", input=[output_of(first["output"][0])], previous_response_id=first["id"])
    assert [tool["async"] for tool in Native.asked[0]["tools"]] == [True, True]
    assert Native.asked[1]["input"][1]["async"] is True and len(Native.asked) == 2


class Native(Packer):
    """A server that speaks Responses, and knows of such tools itself."""

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
        item = {**call, "status": "completed", "async": True}
        events: list[Json] = [
            {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
            {"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0, "arguments": "{}"},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
        ]
        body = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)
        self._send(body, "text/event-stream")


def test_the_client_can_begin_before_the_model_goes_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(Packer, "hesitates", gate)
    openai = OpenAI(base_url=client.url + "/v1", api_key="k")
    tools: Any = [WEATHER]
    seen = []
    with openai.responses.stream(model="m", input="The weather in Paris?", tools=tools) as stream:
        for event in stream:
            seen.append(event.type)
            if event.type == "response.output_item.done" and event.item.type == "function_call":
                assert event.item.async_ is True and len(seen) < 10 and not gate.is_set()
                gate.set()
    assert gate.is_set() and seen[-1] == "response.completed"


def test_a_run_taken_over_after_kill_9_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """The server dies while the model goes on behind a call: another one asks it again, with the call as it was told."""
    gate = threading.Event()
    monkeypatch.setattr(Packer, "hesitates", gate)
    Packer.reached.clear()
    store = tmp_path / "antiphon.db"
    with process(store, backend) as (client, running):
        id = client.create(model="m", input=[QUESTION], tools=[WEATHER], background=True)["id"]
        assert Packer.reached.wait(20)
        running.kill()
        running.wait()
    gate.set()
    with process(store, backend) as (client, _):
        made = client.finished(id)
        assert [item["type"] for item in made["output"]] == ["function_call", "message"], made
        assert [len(one["messages"]) for one in Packer.asked] == [1, 3, 3]
        assert Packer.asked[1] == Packer.asked[2]
        output = output_of(made["output"][0])
        last = client.create(model="m", input=[output], previous_response_id=id, tools=[WEATHER])
        assert last["output"][0]["content"][0]["text"] == "So it is: It rains."
        prompts_grow()


def test_the_openai_package_reads_it(client: Client) -> None:
    openai = OpenAI(base_url=client.url + "/v1", api_key="k")
    tools: Any = [WEATHER]
    first = openai.responses.create(model="m", input="The weather in Paris?", tools=tools)
    call = first.output[0]
    assert call.type == "function_call" and call.async_ is True
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    second = openai.responses.create(model="m", input=[output], previous_response_id=first.id, tools=tools)
    assert second.output_text == "So it is: It rains."
