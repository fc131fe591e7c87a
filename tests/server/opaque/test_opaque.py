"""What only the backend can read comes back to it: every provider's shape, streamed and not, by every way of going on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.server.providers import SHAPES, TOOLS, Json, Provider, assistant
from tests.server.whole import Client, turn, whole_server

pytestmark = pytest.mark.slow

SEALED = {"store": False, "include": ["reasoning.encrypted_content"]}
QUESTION = {"role": "user", "content": "Go."}


@pytest.fixture(scope="module")
def forgetful(backend: str) -> Iterator[Client]:
    """A server that gives nothing back by call id: what comes back was stored or sent."""
    with whole_server(backend, store="memory", recall_bytes=0) as client:
        yield client


def ask(client: Client, stream: bool, **fields: Any) -> Json:
    """Make a response; return it as its last event or its body has it."""
    fields = {"tools": TOOLS, **fields}
    return client.stream(**fields)[-1]["response"] if stream else client.create(**fields)


def outputs(response: Json) -> list[Json]:
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert calls
    return [{"type": "function_call_output", "call_id": item["call_id"], "output": "42"} for item in calls]


def chained(client: Client, stream: bool, model: str) -> None:
    first = ask(client, stream, model=model, input="Go.")
    ask(client, stream, model=model, input=outputs(first), previous_response_id=first["id"])


def replayed(client: Client, stream: bool, model: str) -> None:
    first = ask(client, stream, model=model, input="Go.")
    ask(client, stream, model=model, input=[QUESTION, *first["output"], *outputs(first)], store=False)


def sealed(client: Client, stream: bool, model: str) -> None:
    """As Codex does it: nothing is stored, ids and content are left out."""
    first = ask(client, stream, model=model, input="Go.", **SEALED)
    bare = [{name: item[name] for name in item if name not in ("id", "content")} for item in first["output"]]
    kept = [bare[n] if item["type"] == "reasoning" else item for n, item in enumerate(first["output"])]
    ask(client, stream, model=model, input=[QUESTION, *kept, *outputs(first)], **SEALED)


def sealed_whole(client: Client, stream: bool, model: str) -> None:
    """As SDKs do it that send each item as it came."""
    first = ask(client, stream, model=model, input="Go.", **SEALED)
    ask(client, stream, model=model, input=[QUESTION, *first["output"], *outputs(first)], **SEALED)


def referred(client: Client, stream: bool, model: str) -> None:
    first = ask(client, stream, model=model, input="Go.")
    items = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    ask(client, stream, model=model, input=[QUESTION, *items, *outputs(first)])


def conversed(client: Client, stream: bool, model: str) -> None:
    conversation = client.post("/v1/conversations")[1]["id"]
    first = ask(client, stream, model=model, input="Go.", conversation=conversation)
    ask(client, stream, model=model, input=outputs(first), conversation=conversation)


def in_background(client: Client, stream: bool, model: str) -> None:
    first = client.finished(ask(client, False, model=model, input="Go.", background=True)["id"])
    second = ask(client, False, model=model, input=outputs(first), previous_response_id=first["id"], background=True)
    client.finished(second["id"])


def over_websocket(client: Client, stream: bool, model: str) -> None:
    fields = {"model": model, "tools": TOOLS, "store": False}
    with client.websocket() as connection:
        first = turn(connection, input="Go.", **fields)[-1]["response"]
        turn(connection, input=outputs(first), previous_response_id=first["id"], **fields)


def compacted(client: Client, stream: bool, model: str) -> None:
    """A conversation is compacted while a call waits for its output."""
    first = ask(client, stream, model=model, input="Go.")
    context = [QUESTION, *first["output"]]
    status, made = client.post("/v1/responses/compact", model=model, tools=TOOLS, input=context)
    assert status == 200, made
    ask(client, stream, model=model, input=[made["output"][-1], *outputs(first)])


def check(shape: str, content: bool = True) -> None:
    """Hold the last request to what of the shape must come back."""
    message = assistant(Provider.asked[-1])
    for name, value in SHAPES[shape].back.items():
        if content or name != "content":
            assert message.get(name) == value, name


Way = Callable[[Client, bool, str], None]
WAYS = [chained, replayed, sealed, sealed_whole, referred, conversed, in_background, over_websocket, compacted]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_comes_back_in_the_fields_it_came_in(forgetful: Client, shape: str, way: Way, stream: bool) -> None:
    Provider.asked.clear()
    way(forgetful, stream, shape)
    check(shape, way is not compacted)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_client_sees_the_thoughts_and_nothing_else(client: Client, shape: str, stream: bool) -> None:
    response = ask(client, stream, model=shape, input="Go.")
    thoughts = [item for item in response["output"] if item["type"] == "reasoning"]
    assert "".join(part["text"] for item in thoughts for part in item.get("content", [])) == SHAPES[shape].thoughts
    assert [item["type"] for item in response["output"] if item["type"] != "reasoning"].count("message") < 2
    for secret in ("S1", "SIG", "R==", "E==", "O==", '"T"'):
        assert secret not in str(response)
    assert "input_transformations" not in response


# By the ids of calls


def bare(client: Client, stream: bool, model: str, **fields: Any) -> None:
    """As clients do it that keep the calls alone, without any id of an item."""
    first = ask(client, stream, model=model, input="Go.", **fields)
    calls = [{**item, "id": None} for item in first["output"] if item["type"] == "function_call"]
    ask(client, stream, model=model, input=[QUESTION, *calls, *outputs(first)], **fields)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_client_that_drops_it_gets_it_back_by_call(client: Client, shape: str, stream: bool) -> None:
    Provider.asked.clear()
    bare(client, stream, shape, store=False)
    check(shape, content=False)


def test_the_store_has_it_too_after_a_restart(backend: str, tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    begun: dict[str, Json] = {}
    with whole_server(backend, store=store) as client:
        for shape in SHAPES:
            begun[shape] = ask(client, False, model=shape, input=f"Go with {shape}.")
    with whole_server(backend, store=store) as client:
        for shape, first in begun.items():
            calls = [{**item, "id": None} for item in first["output"] if item["type"] == "function_call"]
            Provider.asked.clear()
            ask(
                client,
                False,
                model=shape,
                input=[{"role": "user", "content": f"Go with {shape}."}, *calls, *outputs(first)],
            )
            check(shape, content=False)
            ask(client, False, model=shape, input=outputs(first), previous_response_id=first["id"])
            check(shape)


def test_nothing_is_remembered_where_that_is_switched_off(forgetful: Client) -> None:
    Provider.asked.clear()
    bare(forgetful, False, "blocks of thoughts with signatures")
    assert "thinking_blocks" not in assistant(Provider.asked[-1])


def test_another_owner_gets_nothing(backend: str) -> None:
    shape = "blocks of thoughts with signatures"
    with whole_server(backend, api_keys=["sk-alice", "sk-bob"]) as server:
        alice, bob = Client(server.url, "sk-alice"), Client(server.url, "sk-bob")
        for store in (True, False):
            first = ask(alice, False, model=shape, input="Go.", store=store)
            calls = [{**item, "id": None} for item in first["output"] if item["type"] == "function_call"]
            for client, known in ((bob, False), (alice, True)):
                Provider.asked.clear()
                ask(client, False, model=shape, input=[QUESTION, *calls, *outputs(first)], store=False)
                assert ("SIG" in str(assistant(Provider.asked[-1]))) == known


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({}, True),
        ({"question": "Something else."}, False),
        ({"name": "write"}, False),
        ({"arguments": '{"path": "b"}'}, False),
        ({"arguments": '{ "path" : "a" }'}, True),
    ],
    ids=str,
)
def test_an_id_that_servers_repeat_is_not_enough(client: Client, change: Json, known: bool) -> None:
    """`call_1` is the id of many calls: the question, the name and the arguments have to be the same too."""
    shape = "blocks of thoughts with signatures"
    first = ask(client, False, model=shape, input="Go.")
    change = dict(change)
    question = {"role": "user", "content": change.pop("question", "Go.")}
    calls = [{**item, "id": None, **change} for item in first["output"] if item["type"] == "function_call"]
    Provider.asked.clear()
    ask(client, False, model=shape, input=[question, *calls, *outputs(first)], store=False)
    assert ("SIG" in str(assistant(Provider.asked[-1]))) == known


def test_a_response_that_was_deleted_is_forgotten(client: Client) -> None:
    shape = "blocks of thoughts with signatures"
    first = ask(client, False, model=shape, input="Go, and forget it.")
    calls = [{**item, "id": None} for item in first["output"] if item["type"] == "function_call"]
    items = [{"role": "user", "content": "Go, and forget it."}, *calls, *outputs(first)]
    for deleted in (False, True):
        Provider.asked.clear()
        ask(client, False, model=shape, input=items, store=False)
        assert ("SIG" in str(assistant(Provider.asked[-1]))) != deleted
        assert client.send("DELETE", f"/v1/responses/{first['id']}")[0] == (404 if deleted else 200)


def test_thoughts_that_were_sent_stay_as_they_are(client: Client) -> None:
    shape = "thoughts in reasoning_content"
    first = ask(client, False, model=shape, input="Go.")
    sent = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Mine."}]}
    calls = [{**item, "id": None} for item in first["output"] if item["type"] == "function_call"]
    Provider.asked.clear()
    ask(client, False, model=shape, input=[QUESTION, sent, *calls, *outputs(first)])
    assert assistant(Provider.asked[-1])["reasoning_content"] == "Mine."


# To another kind of backend


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", [chained, sealed], ids=lambda way: way.__name__)
@pytest.mark.parametrize("shape", SHAPES)
def test_another_kind_does_not_get_it_and_the_response_says_so(
    backend: str, shape: str, way: Way, stream: bool
) -> None:
    backends = {
        "one": BackendConfig(url=backend),
        "two": BackendConfig(url=backend, profile="vllm", discover=False),
    }
    models = {"other": ModelConfig(backends=["two"], name=shape)}
    answers: list[Json] = []

    class Switching(Client):
        """Asks another backend from the second request on."""

        def create(self, **fields: Any) -> Json:
            answers.append(super().create(**{**fields, "model": "other" if answers else fields["model"]}))
            return answers[-1]

        def stream(self, **fields: Any) -> list[Json]:
            events = super().stream(**{**fields, "model": "other" if answers else fields["model"]})
            answers.append(events[-1]["response"])
            return events

    with whole_server(backends=backends, models=models) as server:
        Provider.asked.clear()
        way(Switching(server.url), stream, shape)
    message = assistant(Provider.asked[-1])
    for secret in ("S1", "SIG", "R==", "E==", "O==", '"T"', "Q" * 300, "'P'"):
        assert secret not in str(message)
    assert message.get("reasoning_content", "") == SHAPES[shape].thoughts  # the text is for everybody
    told = answers[1].get("input_transformations")
    if shape.startswith("thoughts "):
        assert told is None
    else:
        assert told and {(one["action"], one["type"], one["reason"]) for one in told} == {
            ("removed", "reasoning", "model_mismatch")
        }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("shape", ["blocks of thoughts with signatures", "a signature on the first of two calls"])
def test_a_backend_that_speaks_responses_does_not_get_it(backend: str, shape: str, stream: bool) -> None:
    with whole_server() as inner:
        relay = BackendConfig(url=f"{inner.url}/v1", api="responses")
        with whole_server(backends={"one": BackendConfig(url=backend), "two": relay}) as client:
            first = ask(client, stream, model=shape, input="Go.")
            fields = {"input": outputs(first), "previous_response_id": first["id"]}
            (told,) = ask(client, stream, model="scripted", **fields)["input_transformations"]
    assert told == {
        "id": first["output"][0]["id"],
        "action": "removed",
        "type": "reasoning",
        "reason": "model_mismatch",
    }


def test_thoughts_of_a_backend_that_speaks_responses_are_remembered_too() -> None:
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]
    with whole_server() as inner:
        relay = BackendConfig(url=f"{inner.url}/v1", api="responses")
        with whole_server(backends={"two": relay}) as client:
            fields = {"model": "scripted", "tools": tools, "store": False}
            question = {"role": "user", "content": "/think hm\n/call look {}"}
            first = client.create(input=[question], **fields)
            calls = [{**item, "id": None} for item in first["output"] if item["type"] == "function_call"]
            items = [question, *calls, *outputs(first)]
            counted = client.post("/v1/responses/input_tokens", input=items, **fields)[1]["input_tokens"]
            again = [
                question,
                *[item for item in first["output"] if item["type"] == "reasoning"],
                *calls,
                *outputs(first),
            ]
            assert counted == client.post("/v1/responses/input_tokens", input=again, **fields)[1]["input_tokens"]


def test_what_another_server_sealed_is_told(client: Client) -> None:
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo.x-y_z="}
    made = client.create(model="thoughts in reasoning", input=[QUESTION, foreign, {"role": "user", "content": "Well?"}])
    assert made["input_transformations"] == [
        {"id": "rs_1", "action": "removed", "type": "reasoning", "reason": "organization_mismatch"}
    ]
