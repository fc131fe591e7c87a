"""The log of responses over HTTP: search, filters, pages, sort, deletion, export; what failed or was left is there, too."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.server.serving import wait_until
from tests.server.whole import Client, Json, whole_server

FUNCTION = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}

CALL = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "Sunny " + "and warm " * 500}
CUSTOM = {"type": "custom_tool_call", "call_id": "d", "name": "note", "input": "x"}
NOTED = {"type": "custom_tool_call_output", "call_id": "d", "output": [{"type": "input_text", "text": "Noted"}]}
USER = {"role": "user", "content": "What is the weather?"}
ASKED: dict[str, list[Json]] = {
    "What is": [USER, CALL, OUTPUT],
    "And tomorrow?": [USER, {"role": "user", "content": "And tomorrow?"}, CALL, OUTPUT],
    "Sunny and": [CALL, OUTPUT],
    "Noted": [CALL, OUTPUT, CUSTOM, NOTED],
    "": [{"role": "system", "content": "Be brief."}],
}
"""First words of a question → an input that asks it."""


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    file = tmp_path_factory.mktemp("store") / "store.db"
    prices = {"scripted": ModelConfig(backends=["upstream"], price_input=1.0, price_output=2.0)}
    with whole_server(store="memory" if request.param == "memory" else str(file), models=prices) as client:
        yield client


def log(client: Client, path: str = "/v1/responses", **query: Any) -> Json:
    status, body = client.get(f"{path}?{urlencode(query)}")
    assert status == 200, body
    return body


def found(client: Client, **query: Any) -> list[str]:
    return [one["question"] for one in log(client, **query)["data"]]


def make(client: Client, text: str, **fields: Any) -> Json:
    return client.create(model="scripted", input=text, **fields)


def test_an_entry_tells_what_was_asked_said_and_used(server: Client) -> None:
    made = make(server, "/say Paris, of course.\nWhich  capital\nhas France?", metadata={"team": "geo"}, store=True)
    entry = log(server, q="capital france", limit=1)["data"][0]
    usage = made["usage"]
    assert entry["id"] == made["id"]
    assert entry["question"].endswith("Which capital has France?")
    assert entry["answer"]
    assert (entry["model"], entry["status"], entry["reason"]) == ("scripted", "completed", None)
    assert entry["metadata"] == {"team": "geo"}
    assert entry["usage"]["total_tokens"] == usage["total_tokens"] > 0
    assert entry["cost"] == pytest.approx((usage["input_tokens"] + 2 * usage["output_tokens"]) / 1e6)
    assert 0 < entry["time_to_first_token"] <= entry["duration"]


def test_search_filters_and_pages(server: Client) -> None:
    for number in range(7):
        make(server, f"Lighthouse {number}", metadata={"number": str(number % 2)})
    make(server, "Lighthouse in the background", background=True)
    wait_until(lambda: found(server, q="lighthouse background", status="completed"))
    assert len(found(server, q="LIGHTHOUSE")) == 8
    assert found(server, q="lighthouse", background="true") == ["Lighthouse in the background"]
    assert found(server, q="lighthouse", **{"metadata[number]": "1"}) == [f"Lighthouse {n}" for n in (5, 3, 1)]
    assert found(server, q="lighthouse", model="other") == []
    seen: list[str] = []
    page = log(server, q="lighthouse", background="false", limit=3)
    while True:
        seen += [one["question"] for one in page["data"]]
        if not page["has_more"]:
            break
        page = log(server, q="lighthouse", background="false", limit=3, after=page["next"])
    assert seen == [f"Lighthouse {number}" for number in range(6, -1, -1)]
    assert found(server, q="lighthouse", background="false", order="asc", limit=2) == ["Lighthouse 0", "Lighthouse 1"]
    costs = [one["cost"] for one in log(server, sort="cost", limit=100)["data"]]
    assert costs == sorted(costs, reverse=True)


def test_a_call_is_found_by_its_tool(server: Client) -> None:
    make(server, '/call get_weather {"city": "Paris"}', tools=[FUNCTION])
    entry = log(server, tool="get_weather")["data"][0]
    assert entry["tools"] == ["get_weather"]
    assert entry["answer"].startswith('get_weather({"city": "Paris"}')


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("status=odd", "status"),
        ("sort=owner", "sort"),
        ("order=up", "order"),
        ("background=1", "background"),
        ("since=-1", "since"),
        ("until=x", "until"),
        ("format=csv", "format"),
        ("q=a+b+c+d+e+f+g", "q"),
        (f"q={'a' * 513}", "q"),
        ("owner=somebody", "owner"),
        ("colour=red", "colour"),
        ("sort=cost&after=resp_gone", "after"),
        (f"metadata[a]={'b' * 513}", "metadata[a]"),
    ],
)
def test_what_a_query_may_not_say(server: Client, query: str, param: str) -> None:
    status, body = server.get(f"/v1/responses?{query}")
    assert (status, body["error"]["param"]) == (400, param)


def test_odd_words_are_words(server: Client) -> None:
    make(server, "100 % 'quoted' _under_ \\ Ünïcode \U0001f600 \0")
    for word in ("%", "'quoted'", "_under_", "\\", "ÜNÏCODE", "\U0001f600"):
        assert found(server, q=word), word
    assert found(server, q="%' OR '1'='1") == []


def test_an_image_alone_is_named(server: Client) -> None:
    picture = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
    content = [{"type": "input_image", "image_url": picture}]
    server.create(model="scripted", input=[{"role": "user", "content": content}])
    assert found(server, limit=1) == ["[image]"]


def test_store_false_leaves_nothing(server: Client) -> None:
    make(server, "Unseen zebra", store=False)
    for _ in server.stream(model="scripted", input="Unseen zebra", store=False):
        pass
    server.post("/v1/responses", model="scripted", input="/error 503 zebra", store=False)
    assert found(server, q="zebra") == []


def test_one_response_with_all_that_is_stored(server: Client) -> None:
    made = make(server, "Tell me all", instructions="Be brief.", temperature=0.5)
    status, whole = server.get(f"/v1/responses/{made['id']}/log")
    assert status == 200
    assert whole["response"] == made
    assert whole["input"][0]["content"][0]["text"] == "Tell me all"
    assert whole["question"] == "Tell me all"
    assert server.get(f"/admin/responses/{made['id']}")[1]["response"] == made
    assert server.get("/v1/responses/resp_none/log")[0] == 404
    assert server.get("/admin/responses/resp_none")[0] == 404


def test_several_are_deleted(server: Client) -> None:
    ids = [make(server, f"Short-lived {number}")["id"] for number in range(3)]
    status, body = server.post("/v1/responses/delete", ids=[*ids[:2], "resp_none", ids[0]])
    assert status == 200
    assert [(one["id"], one["deleted"]) for one in body["data"]] == [
        (ids[0], True),
        (ids[1], True),
        ("resp_none", False),
    ]
    assert found(server, q="short-lived") == ["Short-lived 2"]
    assert server.get(f"/v1/responses/{ids[0]}")[0] == 404
    for wrong in ({}, {"ids": []}, {"ids": ["a"] * 101}, {"ids": [1]}, {"ids": "a"}):
        assert server.post("/v1/responses/delete", **wrong)[0] == 400


def exported(client: Client, path: str) -> list[Json]:
    request = urllib.request.Request(client.url + path, headers=client.headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["content-type"] == "application/jsonl"
        return [json.loads(line) for line in answer.read().splitlines()]


def test_an_export_has_a_line_for_each(server: Client) -> None:
    made = [make(server, f"Exported {number}") for number in range(4)]
    lines = exported(server, "/v1/responses?q=exported&format=jsonl")
    assert [line["response"] for line in lines] == made[::-1]
    assert [line["input"][0]["content"][0]["text"] for line in lines] == [f"Exported {n}" for n in (3, 2, 1, 0)]
    assert {line["status"] for line in lines} == {"completed"}
    *some, last = exported(server, "/v1/responses?q=exported&format=jsonl&limit=3")
    assert (len(some), last) == (3, {"object": "list.truncated", "next": some[-1]["id"]})
    assert exported(server, "/v1/responses?q=nothing-like-it&format=jsonl") == []


# What failed or was left


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", ["", "Well,\n"], ids=["before anything", "in mid-answer"])
def test_what_failed_keeps_its_prompt_and_its_reason(server: Client, said: str, stream: bool) -> None:
    text = f"{said}/error 503 the tide is out {stream} {bool(said)}"
    server.post("/v1/responses", model="scripted", input=text, stream=stream)
    wait_until(lambda: found(server, q=f"tide {stream} {bool(said)}", status="failed"))
    entry = log(server, q=f"tide {stream} {bool(said)}")["data"][0]
    assert "tide is out" in entry["question"]
    assert "tide is out" in entry["reason"]["message"]
    status, whole = server.get(f"/v1/responses/{entry['id']}/log")
    assert (status, whole["response"]["status"]) == (200, "failed")
    assert whole["input"][0]["content"][0]["text"] == text
    assert server.get(f"/v1/responses/{entry['id']}")[1]["error"]["message"] == entry["reason"]["message"]


def test_what_its_client_left_keeps_what_there_was(server: Client) -> None:
    text = "/delay 0.02\n/repeat 2000 word\nLeft alone"
    body = json.dumps({"model": "scripted", "input": text, "stream": True, "instructions": "Speak."}).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.url}/v1/responses", body, headers), timeout=10
    ) as answer:
        while b"output_text.delta" not in answer.readline():
            pass
    wait_until(lambda: found(server, q="left alone"))
    entry = log(server, q="left alone")["data"][0]
    assert entry["status"] == "cancelled"
    assert entry["answer"].startswith("word")
    response = server.get(f"/v1/responses/{entry['id']}")[1]
    assert (response["status"], response["instructions"]) == ("cancelled", "Speak.")
    assert response["output"][0]["status"] == "incomplete"


def test_a_cancelled_background_response_says_so(server: Client) -> None:
    made = make(server, "/delay 0.05\n/repeat 2000 word\nTo be cancelled", background=True)
    assert found(server, q="to be cancelled") == ["/delay 0.05 /repeat 2000 word To be cancelled"]
    server.post(f"/v1/responses/{made['id']}/cancel")
    wait_until(lambda: found(server, q="to be cancelled", status="cancelled"))


def test_a_refused_turn_joins_no_conversation(server: Client) -> None:
    conversation = server.post("/v1/conversations")[1]["id"]
    server.post("/v1/responses", model="scripted", input="/error 503 no room", conversation=conversation)
    wait_until(lambda: found(server, conversation=conversation))
    assert server.get(f"/v1/conversations/{conversation}/items")[1]["data"] == []


def test_the_requests_of_the_process_tell_whether_they_can_be_read(server: Client) -> None:
    make(server, "a", store=False)
    make(server, "b")
    newest, before = server.get("/admin/requests")[1]["data"][:2]
    assert (newest["stored"], before["stored"]) == (True, False)


# Owners

KEYS = {"ann": KeyConfig(key="ann"), "bob": KeyConfig(key="bob"), "root": KeyConfig(key="root", scopes=["admin"])}


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, Client]]:
    with whole_server(keys=KEYS) as client:
        yield {name: Client(client.url, name) for name in KEYS}


def test_a_key_sees_its_own_and_an_operators_all(shared: dict[str, Client]) -> None:
    ann, bob, root = shared["ann"], shared["bob"], shared["root"]
    made = make(ann, "Ann's secret")
    make(bob, "Bob's secret")
    assert found(ann, q="secret") == ["Ann's secret"]
    assert found(bob, q="secret") == ["Bob's secret"]
    entries = log(root, "/admin/responses", q="secret")["data"]
    owners = {one["question"]: one["owner"] for one in entries}
    assert len(set(owners.values())) == 2
    only = log(root, "/admin/responses", q="secret", owner=owners["Ann's secret"])["data"]
    assert [one["question"] for one in only] == ["Ann's secret"]
    assert root.get(f"/admin/responses/{made['id']}")[1]["question"] == "Ann's secret"
    assert bob.get(f"/v1/responses/{made['id']}/log")[0] == 404
    assert [line["question"] for line in exported(bob, "/v1/responses?q=secret&format=jsonl")] == ["Bob's secret"]
    assert bob.post("/v1/responses/delete", ids=[made["id"]])[1]["data"][0]["deleted"] is False
    for method, path in (("get", f"/admin/responses/{made['id']}"), ("post", "/admin/responses/delete")):
        assert getattr(ann, method)(path)[0] == 403
    assert root.post("/admin/responses/delete", ids=[made["id"]])[1]["data"][0]["deleted"] is True
    assert ann.get(f"/v1/responses/{made['id']}")[0] == 404


def test_rows_of_an_older_version_are_filled_in(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "store.db"
    with whole_server(store=str(file)) as client:
        make(client, "Before there was a log", metadata={"old": "yes"})
        for items in ASKED.values():
            client.create(model="scripted", input=items)
        client.create(model="scripted", input="A few words", max_output_tokens=16, metadata={"a": "b", "c": "d"})
        client.post("/v1/responses", model="scripted", input="/error 503 the tide is out")
        wait_until(lambda: found(client, q="tide", status="failed"))
        before = log(client)["data"]
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM response_log")
    with whole_server(store=str(file)) as client:
        wait_until(lambda: found(client, q="before log"))
        entry = log(client, **{"metadata[old]": "yes"})["data"][0]
        assert entry["answer"] and entry["usage"]["total_tokens"]
        wait_until(lambda: len(log(client)["data"]) == len(before))
        again = log(client)["data"]
        for one in (*before, *again):  # what only the process knew, that made them
            one |= dict.fromkeys(("duration", "time_to_first_token", "parameters"))
        assert again == before


@pytest.mark.parametrize("question", ASKED)
def test_the_question_is_the_last_message_of_the_user_or_else_what_a_tool_gave(server: Client, question: str) -> None:
    made = server.create(model="scripted", input=ASKED[question], store=True)
    entry = next(one for one in log(server)["data"] if one["id"] == made["id"])
    assert entry["question"].startswith(question)


def test_a_backend_that_nobody_reaches(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    backends = {"gone": BackendConfig(url=f"http://127.0.0.1:{port}/v1", discover=False)}
    models = {"m": ModelConfig(backends=["gone"])}
    with whole_server(backends=backends, models=models, retries=0) as client:
        status, _ = client.post("/v1/responses", model="m", input="Is anybody there?")
        assert status == 503
        wait_until(lambda: found(client, q="anybody"))
        assert log(client)["data"][0]["reason"] == {
            "code": "backend_unavailable",
            "message": "The backend cannot be reached.",
        }


def test_the_words_of_the_url_are_decoded(server: Client) -> None:
    make(server, "Grüße aus Köln")
    assert [one["question"] for one in server.get(f"/v1/responses?q={quote('grüße köln')}")[1]["data"]] == [
        "Grüße aus Köln"
    ]
