"""WebSocket mode: turns, lanes, memory of the connection, steering, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.whole import Client, turn, whole_server


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with whole_server() as client:
        yield client


def until(connection: Any, *types: str) -> list[dict]:
    events = []
    while not events or events[-1]["type"] not in types:
        events.append(json.loads(connection.recv(timeout=10)))
    return events


def text(events: list[dict]) -> str:
    return events[-1]["response"]["output"][-1]["content"][0]["text"]


def test_turns_follow_one_another_and_remember_what_is_not_stored(client: Client) -> None:
    with client.websocket() as connection:
        look = {"type": "function", "name": "look"}
        first = turn(connection, model="scripted", input="/call look {}", store=False, tools=[look])
        response = first[-1]["response"]
        assert [event["sequence_number"] for event in first] == list(range(len(first)))
        output = {"type": "function_call_output", "call_id": response["output"][0]["call_id"], "output": "seen"}
        second = turn(connection, model="scripted", input=[output], store=False, previous_response_id=response["id"])
        assert text(second) == "seen"
    with client.websocket() as connection:
        lost = turn(connection, model="scripted", input="x", previous_response_id=response["id"])
        assert (lost[-1]["error"]["code"], lost[-1]["status"]) == ("previous_response_not_found", 400)


FAILED = [
    {"input": [{"type": "message"}]},
    {"input": "x", "temperature": 9},
    {"input": "x", "model": "nobody"},
    {"input": "/error 500 away"},
]


@pytest.mark.parametrize("failed", FAILED)
@pytest.mark.parametrize("store", [False, True])
def test_a_failed_continuation_evicts_what_it_named(client: Client, failed: dict, store: bool) -> None:
    with client.websocket() as connection:
        first = turn(connection, model="scripted", input="One.", store=store)[-1]["response"]["id"]
        forked = turn(connection, model="scripted", input="Two.", store=store, previous_response_id=first)
        error = turn(connection, **{"model": "scripted", "store": store, "previous_response_id": first, **failed})
        assert error[-1]["type"] in ("error", "response.failed")
        again = turn(connection, model="scripted", input="Again.", store=store, previous_response_id=first)
        if store:  # the store has it
            assert text(again) == "Again."
        else:
            assert again[-1]["error"]["code"] == "previous_response_not_found"
        # What continued from it before keeps its whole history.
        later = turn(connection, model="scripted", input="x", previous_response_id=forked[-1]["response"]["id"])
        assert later[-1]["response"]["usage"]["input_tokens"] == 3  # words of the input


def test_a_continuation_that_fails_while_it_streams_evicts_what_it_named(client: Client) -> None:
    with client.websocket() as connection:
        first = turn(connection, model="scripted", input="One.", store=False)[-1]["response"]["id"]
        failed = turn(
            connection, model="scripted", store=False, previous_response_id=first, input="Said.\n/error 500 away"
        )
        assert failed[-1]["type"] == "response.failed"
        again = turn(connection, model="scripted", input="Again.", store=False, previous_response_id=first)
        assert again[-1]["error"]["code"] == "previous_response_not_found"


def test_a_warm_up_makes_no_call_and_is_remembered(client: Client) -> None:
    with client.websocket() as connection:
        warm = turn(connection, model="scripted", generate=False, store=False, input="/error 500 never called")
        response = warm[-1]["response"]
        assert (warm[-1]["type"], response["output"]) == ("response.completed", [])
        go = turn(connection, model="scripted", store=False, previous_response_id=response["id"], input="Now.")
        assert text(go) == "Now."
        assert go[-1]["response"]["usage"]["input_tokens"] == 5


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("not json", "type"),
        ("[]", "type"),
        ('{"type":"response.dance"}', "type"),
        ('{"type":"response.create","model":"scripted"}', "input"),
        ('{"type":"response.create","model":"nobody","input":"x"}', "model"),
        ('{"type":"response.create","model":"scripted","input":"x","temperature":3}', "temperature"),
    ],
)
def test_an_error_leaves_the_connection_alive(client: Client, message: str, param: str) -> None:
    with client.websocket() as connection:
        connection.send(message)
        error = json.loads(connection.recv(timeout=10))
        assert (error["type"], error["status"], error["error"]["param"]) == ("error", 400, param)
        assert text(turn(connection, model="scripted", input="Still here.")) == "Still here."


def test_a_failing_turn_ends_in_order_and_the_next_one_works(client: Client) -> None:
    with client.websocket() as connection:
        connection.send(
            json.dumps({"type": "response.create", "model": "scripted", "input": "Words.\n/error 500 kaputt"})
        )
        kinds = [event["type"] for event in until(connection, "response.failed")]
        assert kinds[-2:] == ["error", "response.failed"]
        assert text(turn(connection, model="scripted", input="Again.")) == "Again."


def test_lanes_run_side_by_side_and_are_named(client: Client) -> None:
    with client.websocket() as connection:
        for lane, script in (("slow", "/delay 0.1\n/repeat 8 slow"), ("fast", "fast")):
            fields = {"type": "response.create", "stream_id": lane, "model": "scripted", "input": script}
            connection.send(json.dumps(fields))
        events: list[dict] = []
        while sum(event["type"] == "response.completed" for event in events) < 2:
            events.append(json.loads(connection.recv(timeout=10)))
        ended = [event["stream_id"] for event in events if event["type"] == "response.completed"]
        assert ended == ["fast", "slow"]
        for lane in ("slow", "fast"):
            numbers = [event["sequence_number"] for event in events if event["stream_id"] == lane]
            assert numbers == list(range(len(numbers)))


def test_turns_of_a_lane_wait_for_each_other(client: Client) -> None:
    with client.websocket() as connection:
        for script in ("/delay 0.05\n/repeat 5 first", "second"):
            connection.send(json.dumps({"type": "response.create", "model": "scripted", "input": script}))
        first = until(connection, "response.completed")
        second = until(connection, "response.completed")
        assert text(first).startswith("first")
        assert text(second) == "second"
        assert len({event.get("item_id", "")[:40] for event in first if "item_id" in event}) == 1


def test_steering_makes_a_successor_with_the_queued_input(client: Client) -> None:
    with client.websocket() as connection:
        connection.send(
            json.dumps({"type": "response.create", "model": "scripted", "input": "/delay 0.05\n/repeat 8 a"})
        )
        (created,) = until(connection, "response.created")
        target = created["response"]["id"]
        connection.send(json.dumps({"type": "response.steer", "previous_response_id": target, "input": "Steered."}))
        rest = until(connection, "response.completed")
        accepted = next(event for event in rest if event["type"] == "response.steer.accepted")
        assert accepted["steer"]["previous_response_id"] == target
        numbers = [event["sequence_number"] for event in [created, *rest]]
        assert numbers == list(range(len(numbers)))
        successor = until(connection, "response.completed")
        assert successor[0]["type"] == "response.created"
        assert successor[-1]["response"]["previous_response_id"] == target
        assert text(successor) == "Steered."


def test_steering_waits_for_the_results_that_a_client_owes(client: Client) -> None:
    tools = [{"type": "function", "name": "look"}]
    with client.websocket() as connection:
        script = "/delay 0.1\n/repeat 3 a\n/call look {}"
        connection.send(json.dumps({"type": "response.create", "model": "scripted", "input": script, "tools": tools}))
        (created,) = until(connection, "response.created")
        target = created["response"]["id"]
        connection.send(json.dumps({"type": "response.steer", "previous_response_id": target, "input": "Also this."}))
        events = until(connection, "response.steer.pending")
        call = events[-2]["response"]["output"][-1]
        owed = {"type": "function_call_output", "call_id": call["call_id"], "name": "look"}
        assert (events[-1]["reason"], events[-1]["required_input"]) == ("waiting_for_required_input", [owed])
        output = {**owed, "output": "seen"}
        final = turn(connection, model="scripted", previous_response_id=target, input=[output], tools=tools)
        assert final[-1]["response"]["usage"]["input_tokens"] > 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"previous_response_id": "resp_nobody", "input": "x"}, "response_not_found"),
        ({"input": "x"}, "invalid_input"),
    ],
)
def test_steering_that_is_refused_gives_the_input_back(client: Client, fields: dict, code: str) -> None:
    with client.websocket() as connection:
        connection.send(json.dumps({"type": "response.steer", **fields}))
        refused = json.loads(connection.recv(timeout=10))
        assert (refused["type"], refused["error"]["code"]) == ("response.steer.failed", code)
        assert refused["steer"]["input"] == "x"


def test_a_connection_ends_when_its_time_is_over() -> None:
    with whole_server(websocket_minutes=0.005) as client, client.websocket() as connection:
        error = json.loads(connection.recv(timeout=10))
        assert error["error"]["code"] == "websocket_connection_limit_reached"
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)


def test_switched_off_it_says_so_at_once() -> None:
    with whole_server(websocket=False) as client:
        with pytest.raises(InvalidStatus) as refused, client.websocket():
            pass
        assert refused.value.response.status_code == 426
