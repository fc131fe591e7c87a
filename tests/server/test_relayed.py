"""A backend that speaks Responses itself, another server of ours: events pass, items keep their ids and are found by them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from antiphon.config import BackendConfig
from tests.server.whole import Client, turn, whole_server


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Client, Client]]:
    with whole_server() as inner:
        relay = BackendConfig(url=f"{inner.url}/v1", api="responses")
        with whole_server(backends={"inner": relay}) as outer:
            yield inner, outer


def essence(response: dict) -> list[tuple]:
    return [
        (item["type"], item.get("content"), item.get("arguments"), item.get("status")) for item in response["output"]
    ]


SCRIPT = "/think hm\nSome words.\n/call look {}"
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]


def test_the_answer_is_the_inner_servers(servers: tuple[Client, Client]) -> None:
    inner, outer = servers
    fields = {"model": "scripted", "input": SCRIPT, "tools": TOOLS}
    direct = inner.create(**fields)
    relayed = outer.create(**fields)
    assert essence(relayed) == essence(direct)
    assert relayed["usage"] == direct["usage"]
    assert relayed["id"] != direct["id"]
    assert outer.get(f"/v1/responses/{relayed['id']}") == (200, relayed)
    assert inner.get(f"/v1/responses/{relayed['id']}")[0] == 404


def test_the_stream_is_numbered_anew_and_ends_in_our_response(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    events = outer.stream(model="scripted", input=SCRIPT, tools=TOOLS)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert kinds.count("response.created") == 1
    assert "response.reasoning_text.delta" in kinds
    final = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"] == done
    assert outer.get(f"/v1/responses/{final['id']}") == (200, final)


def test_relayed_items_are_found_by_their_ids(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    made = outer.create(model="scripted", input="Hello.")
    items = [{"type": "item_reference", "id": made["output"][0]["id"]}, {"role": "user", "content": "Go on."}]
    again = outer.create(model="scripted", input=items)
    assert again["output"][0]["content"][0]["text"] == "Go on."


def test_a_chain_goes_on_with_its_history(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    called = outer.create(model="scripted", input="/call look {}", tools=TOOLS)
    output = {"type": "function_call_output", "call_id": called["output"][0]["call_id"], "output": "seen"}
    again = outer.create(model="scripted", input=[output], previous_response_id=called["id"], tools=TOOLS)
    assert again["output"][0]["content"][0]["text"] == "seen"


SEALED = {"store": False, "include": ["reasoning.encrypted_content"]}
SUM = "/think I take 7.\nSo.\n/call look {}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", ["chained", "replayed", "replayed sealed"])
def test_the_inner_server_sees_the_thoughts_again(servers: tuple[Client, Client], way: str, stream: bool) -> None:
    _, outer = servers
    asked = SEALED if way == "replayed sealed" else {"store": way == "chained"}

    def answer(**fields: Any) -> dict:
        common = {"model": "scripted", "tools": TOOLS, **asked, **fields}
        return outer.stream(**common)[-1]["response"] if stream else outer.create(**common)

    first = answer(input=SUM)
    thoughts, _, call = first["output"]
    assert thoughts["content"][0]["text"] == "I take 7."
    assert ("encrypted_content" in thoughts) is (way == "replayed sealed")
    if way == "replayed sealed":
        del thoughts["content"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "/items"}
    if way == "chained":
        again = answer(input=[result], previous_response_id=first["id"])
    else:
        again = answer(input=[{"role": "user", "content": SUM}, *first["output"], result])
    assert again["status"] == "completed"


def test_errors_keep_their_words(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    status, body = outer.post("/v1/responses", model="scripted", input="/error 429 slow down")
    assert (status, "slow down" in body["error"]["message"]) == (429, True)
    events = outer.stream(model="scripted", input="Words.\n/error 500 kaputt")
    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert events[-1]["response"]["error"]["message"] == "kaputt"
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


def test_in_the_background_and_over_websocket(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    queued = outer.create(model="scripted", input="Hello.", background=True)
    assert outer.finished(queued["id"])["output"][0]["content"][0]["text"] == "Hello."
    with outer.websocket() as connection:
        assert turn(connection, model="scripted", input="Hello.")[-1]["response"]["status"] == "completed"


def test_an_answer_of_too_many_events_ends(servers: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    _, outer = servers
    monkeypatch.setattr("antiphon.responses.turns.MOST_EVENTS", 20)
    events = outer.stream(model="scripted", input="word " * 200)
    assert events[-1]["type"] == "response.failed"
    assert "more than 20 events" in events[-1]["response"]["error"]["message"]
