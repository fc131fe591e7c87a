"""Lists of conversations: first and last words, owners, pages, search, what is refused."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest

from antiphon.config import KeyConfig
from antiphon.server.api.log import conversations
from tests.server.whole import Client, whole_server

KEYS = {"ann": KeyConfig(key="ann"), "bob": KeyConfig(key="bob"), "root": KeyConfig(key="root", scopes=["admin"])}


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Client]]:
    with whole_server(keys=KEYS) as client:
        yield {name: Client(client.url, name) for name in KEYS}


def said(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def made(client: Client, *items: dict[str, Any], **metadata: str) -> str:
    status, body = client.post("/v1/conversations", metadata=metadata, items=list(items))
    assert status == 200
    return str(body["id"])


def listed(client: Client, query: str = "", path: str = "/v1/conversations") -> dict[str, Any]:
    status, body = client.get(f"{path}?{query}")
    assert status == 200, body
    return dict(body)


def headers_of(client: Client, path: str) -> Message:
    asked = urllib.request.Request(client.url + path, headers=client.headers)
    with urllib.request.urlopen(asked, timeout=20) as reply:
        headers: Message = reply.headers
        return headers


def test_first_and_last_words_owners_pages_and_search(clients: dict[str, Client]) -> None:
    ann, bob, root = clients["ann"], clients["bob"], clients["root"]
    first = made(ann, said("developer", "Be short."), said("user", "Capital of  France?"), said("assistant", "Paris."))
    second = made(ann, topic="Weather")
    other = made(bob, said("user", "Capital of Spain?"))
    page = listed(ann)
    assert [(one["id"], one["items"], one["question"], one["answer"]) for one in page["data"]] == [
        (second, 0, "", ""),
        (first, 3, "Capital of France?", "Paris."),
    ]
    assert page["data"][0]["metadata"] == {"topic": "Weather"} and page["data"][0]["object"] == "conversation"
    assert (page["first_id"], page["last_id"], page["has_more"], page["next"]) == (second, first, False, None)
    newest = listed(ann, "limit=1")
    assert (newest["has_more"], newest["next"]) == (True, second)
    assert listed(ann, f"limit=1&after={second}")["first_id"] == first
    assert [listed(ann, f"q={word}")["first_id"] for word in ("FRANCE", "par%20capital", "weath", "spain")] == [
        first,
        first,
        second,
        None,
    ]
    everybody = listed(root, path="/admin/conversations")
    assert [one["id"] for one in everybody["data"]] == [other, second, first]
    owner = everybody["data"][0]["owner"]
    assert [one["id"] for one in listed(root, f"owner={owner}", "/admin/conversations")["data"]] == [other]
    assert ann.get("/admin/conversations")[0] == 403


def test_an_operator_reads_and_deletes_the_conversation_of_any_owner(clients: dict[str, Client]) -> None:
    ann, root = clients["ann"], clients["root"]
    id = made(ann, said("user", "Who sings?"), said("assistant", "Carmen."), topic="Opera")
    path = f"/admin/conversations/{id}"
    shown = root.get(path)[1]
    (in_list,) = (one for one in listed(ann)["data"] if one["id"] == id)
    assert shown == {**in_list, "own": False}
    everything = root.get(f"{path}/items?order=asc")[1]
    assert everything == ann.get(f"/v1/conversations/{id}/items?order=asc")[1] and len(everything["data"]) == 2
    first, second = (one["id"] for one in everything["data"])
    newest = root.get(f"{path}/items?limit=1")[1]
    assert (newest["first_id"], newest["has_more"]) == (second, True)
    assert root.get(f"{path}/items?order=asc&after={first}")[1]["first_id"] == second
    assert root.get(f"{path}/items/{first}")[1] == ann.get(f"/v1/conversations/{id}/items/{first}")[1]
    for url in (path, f"{path}/items", f"{path}/items/{first}"):
        assert ann.get(url)[0] == 403
        assert headers_of(root, url)["cache-control"] == "no-store"
    assert root.get(f"{path}/items/msg_none")[1]["error"]["code"] == "item_not_found"
    assert ann.send("DELETE", path)[0] == 403
    own = made(root, said("user", "Mine."))
    assert root.get(f"/admin/conversations/{own}")[1]["own"]
    assert root.send("DELETE", path)[1] == {"id": id, "object": "conversation.deleted", "deleted": True}
    assert ann.get(f"/v1/conversations/{id}")[0] == 404
    for url in (path, f"{path}/items", f"{path}/items/{first}"):
        assert root.get(url)[1]["error"]["code"] == "conversation_not_found"
    audit = root.get("/admin/audit?limit=100")[1]["data"]
    read = {one["subject"] for one in audit if one["action"] == "admin.read"}
    assert {path, f"{path}/items", f"{path}/items/{first}"} <= read
    assert next(one["subject"] for one in audit if one["action"] == "object.deleted") == path


def test_a_search_looks_at_a_bounded_number_and_goes_on(
    clients: dict[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "SEARCHED", 2)
    monkeypatch.setattr(conversations, "CHUNK", 2)
    bob = clients["bob"]
    wanted = [made(bob, said("user", "needle 1")), made(bob, said("user", "needle 2"))]
    for _ in range(3):
        made(bob, said("user", "hay"))
    found, after, pages = [], "", 0
    while True:
        page = listed(bob, f"q=needle{after}")
        found += [one["id"] for one in page["data"]]
        pages += 1
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == wanted[::-1] and pages > 1


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("after=conv_none", "after"),
        ("owner=bob", "owner"),
        ("order=asc", "order"),
        ("q=a%20b%20c%20d%20e%20f%20g", "q"),
        (f"q={'x' * 513}", "q"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_refused(clients: dict[str, Client], query: str, param: str) -> None:
    status, body = clients["ann"].get(f"/v1/conversations?{query}")
    assert (status, body["error"]["param"]) == (400, param)
