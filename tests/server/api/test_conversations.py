"""Conversations over HTTP: whole objects, items in pages, and responses that join them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.whole import Client, whole_server


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with whole_server() as client:
        yield client


def user(text: str) -> dict:
    return {"type": "message", "role": "user", "content": text}


def texts(listing: dict) -> list[str]:
    return [item["content"][0]["text"] for item in listing["data"]]


def test_a_conversation_is_made_read_changed_and_deleted(client: Client) -> None:
    status, made = client.post("/v1/conversations", metadata={"topic": "t"}, items=[user("one")])
    assert (status, made["object"], made["metadata"]) == (200, "conversation", {"topic": "t"})
    path = f"/v1/conversations/{made['id']}"
    assert client.get(path) == (200, made)
    assert client.post(path, metadata={"topic": "u"})[1]["metadata"] == {"topic": "u"}
    assert client.send("DELETE", path) == (200, {"id": made["id"], "object": "conversation.deleted", "deleted": True})
    for method, rest in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/items"),
        ("GET", "/items/msg_1"),
        ("DELETE", "/items/msg_1"),
    ):
        status, body = client.send(method, path + rest)
        assert (status, body["error"]["type"]) == (404, "not_found_error")
    assert client.post(path, metadata={})[0] == client.post(path + "/items", items=[user("x")])[0] == 404


def test_an_empty_body_makes_an_empty_conversation(client: Client) -> None:
    status, made = client.send("POST", "/v1/conversations", b"")
    assert (status, made["metadata"]) == (200, {})
    assert client.get(f"/v1/conversations/{made['id']}/items")[1]["data"] == []


def test_items_are_added_paged_read_and_deleted(client: Client) -> None:
    _, made = client.post("/v1/conversations", items=[user(str(number)) for number in range(3)])
    path = f"/v1/conversations/{made['id']}/items"
    _, added = client.post(path, items=[user("3"), user("4")])
    assert (added["object"], texts(added), added["has_more"]) == ("list", ["3", "4"], False)
    _, newest = client.get(f"{path}?limit=2")
    assert (texts(newest), newest["has_more"]) == (["4", "3"], True)
    _, rest = client.get(f"{path}?limit=10&after={newest['last_id']}")
    assert (texts(rest), rest["has_more"]) == (["2", "1", "0"], False)
    assert texts(client.get(f"{path}?order=asc")[1]) == ["0", "1", "2", "3", "4"]
    id = added["data"][0]["id"]
    assert client.get(f"{path}/{id}") == (200, added["data"][0])
    assert client.send("DELETE", f"{path}/{id}")[1]["id"] == made["id"]
    assert client.get(f"{path}/{id}")[0] == 404
    assert texts(client.get(f"{path}?order=asc")[1]) == ["0", "1", "2", "4"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"items": [user("x")] * 21}, "items"),
        ({"items": [{"type": "nonsense"}]}, "items[0].type"),
        ({"items": [{"role": "user", "content": 3}]}, "items[0].content"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"items": [{"type": "item_reference", "id": "msg_nobody"}]}, "input[0].id"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(client: Client, fields: dict, param: str) -> None:
    status, body = client.post("/v1/conversations", **fields)
    assert status in (400, 404)
    assert body["error"]["param"].startswith(param.split(".k")[0])


def test_a_response_reads_and_joins_its_conversation(client: Client) -> None:
    _, made = client.post("/v1/conversations", items=[user("Before.")])
    first = client.create(model="scripted", input="/think hm\nOne.", conversation=made["id"])
    assert first["conversation"] == {"id": made["id"]}
    assert first["usage"]["input_tokens"] == 4  # "Before." and the script: the history was read
    events = client.stream(model="scripted", input="Two.", conversation={"id": made["id"]})
    second = events[-1]["response"]
    _, items = client.get(f"/v1/conversations/{made['id']}/items?order=asc")
    kinds = [item["type"] for item in items["data"]]
    assert kinds == ["message", "message", "reasoning", "message", "message", "message"]
    ids = [item["id"] for item in items["data"]]
    assert ids[2:4] == [item["id"] for item in first["output"]]
    assert ids[5] == second["output"][0]["id"]


def test_what_is_not_stored_does_not_join(client: Client) -> None:
    _, made = client.post("/v1/conversations")
    client.create(model="scripted", input="One.", conversation=made["id"], store=False)
    assert client.get(f"/v1/conversations/{made['id']}/items")[1]["data"] == []


def test_a_failed_response_joins_with_what_there_was(client: Client) -> None:
    _, made = client.post("/v1/conversations")
    client.stream(model="scripted", input="Words.\n/error 500 kaputt", conversation=made["id"])
    _, items = client.get(f"/v1/conversations/{made['id']}/items?order=asc")
    assert [item["type"] for item in items["data"]] == ["message", "message"]
    assert items["data"][1]["status"] == "incomplete"


def test_not_together_with_a_previous_response(client: Client) -> None:
    _, made = client.post("/v1/conversations")
    previous = client.create(model="scripted", input="One.")["id"]
    status, body = client.post(
        "/v1/responses", model="scripted", input="x", conversation=made["id"], previous_response_id=previous
    )
    assert (status, body["error"]["param"]) == (400, "previous_response_id")
