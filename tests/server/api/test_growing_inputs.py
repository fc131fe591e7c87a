"""Agents that send their whole history with each turn: what each turn's response tells of its input, in each way of asking."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.server.whole import Client, whole_server

Json = dict[str, Any]
TEXT = 'a line, a "quote", é\n' * 100


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "antiphon.db"


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[Client]:
    with whole_server(store=str(store)) as client:
        yield client


def rows(store: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(query).fetchall()


def items(turns: int, name: str) -> list[Json]:
    found: list[Json] = [{"type": "message", "role": "user", "content": f"{name} {TEXT * 3}"}]
    for number in range(turns):
        call = {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}", "id": f"fc_{number}"}
        found += [call, {"type": "function_call_output", "call_id": f"c{number}", "output": f"{number} {TEXT}"}]
    return found


def ask(client: Client, input: list[Json], **fields: Any) -> Json:
    body = json.dumps({"model": "scripted", "input": input, **fields}, separators=(",", ":")).encode()
    status, answer = client.send("POST", "/v1/responses", body)
    assert status == 200, answer
    return answer


def check(client: Client, id: str, input: list[Json]) -> None:
    """Compare the items of a response's input with what was sent."""
    status, page = client.get(f"/v1/responses/{id}/input_items?order=asc&limit=100")
    assert status == 200, page
    assert len(page["data"]) == len(input)
    for position, (told, sent) in enumerate(zip(page["data"], input, strict=True)):
        assert told["id"] == sent.get("id", told["id"])
        assert "id" in sent or told["id"].endswith(f"{id.removeprefix('resp_')}i{position:04x}")
        for name in ("type", "role", "call_id", "arguments", "output"):
            assert told.get(name) == sent.get(name)
    assert page["data"][0]["content"][0]["text"] == input[0]["content"]


def test_turns(client: Client, store: Path) -> None:
    made = {ask(client, items(turns, "plain"))["id"]: turns for turns in range(1, 8)}
    for id, turns in made.items():
        check(client, id, items(turns, "plain"))
    kept = rows(store, "SELECT parent IS NOT NULL, length(added) FROM input_pieces ORDER BY id")
    assert [child for child, _ in kept] == [0, 1, 1, 1, 1, 1]
    assert all(size < 3 * len(TEXT) for child, size in kept if child)
    goes_on = ask(client, [{"type": "message", "role": "user", "content": "And?"}], previous_response_id=list(made)[-1])
    assert goes_on["status"] == "completed"
    for id in made:
        assert client.send("DELETE", f"/v1/responses/{id}")[0] == 200
    assert rows(store, "SELECT * FROM input_pieces") == []


@pytest.mark.parametrize("way", ["streamed", "background", "WebSocket", "a conversation"])
def test_ways_of_asking(client: Client, store: Path, way: str) -> None:
    made: dict[str, int] = {}
    for turns in range(1, 8):
        input = items(turns, way)
        if turns % 2:
            made[ask(client, input)["id"]] = turns
        elif way == "streamed":
            body = json.dumps({"model": "scripted", "input": input, "stream": True}, separators=(",", ":")).encode()
            made[client.send("POST", "/v1/responses", body)[1][0]["response"]["id"]] = turns
        elif way == "background":
            id = ask(client, input, background=True)["id"]
            assert client.finished(id)["status"] == "completed"
            made[id] = turns
        elif way == "WebSocket":
            with client.websocket() as connection:
                event = {"type": "response.create", "model": "scripted", "input": input}
                connection.send(json.dumps(event, separators=(",", ":")))
                while (told := json.loads(connection.recv(timeout=20)))["type"] != "response.completed":
                    assert told["type"] != "error", told
            made[told["response"]["id"]] = turns
        else:
            conversation = client.post("/v1/conversations")[1]["id"]
            id = ask(client, input, conversation=conversation)["id"]
            made[id] = turns
            listed = client.get(f"/v1/conversations/{conversation}/items?order=asc&limit=100")[1]["data"]
            assert len(listed) == len(input) + 1
    for id, turns in made.items():
        check(client, id, items(turns, way))
    assert way == "a conversation" or rows(store, "SELECT 1 FROM input_pieces WHERE parent IS NOT NULL")
    for id in made:
        assert client.send("DELETE", f"/v1/responses/{id}")[0] == 200
    assert rows(store, "SELECT * FROM input_pieces") == []
