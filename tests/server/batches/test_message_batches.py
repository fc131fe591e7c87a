"""`/v1/messages/batches` over a real socket, with Anthropic's client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types.messages import MessageBatch

from antiphon.server.batches import making
from antiphon.server.batches.work import answering
from tests.server.batches.batch_client import PATIENCE
from tests.server.whole import Client, whole_server

pytestmark = pytest.mark.slow

SLOW = "/delay 20\nSlow."


def client_of(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)


def wanted(id: str, text: str, **fields: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return {"custom_id": id, "params": {"model": "scripted", "max_tokens": 100, "messages": messages, **fields}}


def ended(client: anthropic.Anthropic, batch: MessageBatch) -> MessageBatch:
    deadline = time.monotonic() + PATIENCE
    while batch.processing_status != "ended":
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
        batch = client.messages.batches.retrieve(batch.id)
    return batch


@pytest.fixture(params=["memory", "sqlite"])
def client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(answering, "LAST_SECONDS", 0.2)
    store = "memory" if request.param == "memory" else str(tmp_path / "antiphon.db")
    with whole_server(store=store) as server:
        yield client_of(server.url)


def results(client: anthropic.Anthropic, batch: MessageBatch) -> dict[str, Any]:
    return {one.custom_id: one.result for one in client.messages.batches.results(batch.id)}


def test_each_request_has_a_result(client: anthropic.Anthropic) -> None:
    requests = [wanted(f"ask-{n}", f"Say {n}.") for n in range(20)]
    requests += [wanted("wrong", "Hi.", max_tokens=-1), wanted("other", "Hi.", model="unknown")]
    requests += [wanted("streamed", "Hi.", stream=True)]
    made = client.messages.batches.create(requests=requests)
    assert (made.type, made.processing_status, made.results_url) == ("message_batch", "in_progress", None)
    assert made.request_counts.processing == 23
    batch = ended(client, made)
    counts = batch.request_counts
    assert (counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired) == (0, 20, 3, 0, 0)
    assert batch.ended_at is not None and (batch.expires_at - batch.created_at).days == 1
    found = results(client, batch)
    assert [*found] == [one["custom_id"] for one in requests]
    for n in range(20):
        result = found[f"ask-{n}"]
        assert result.type == "succeeded" and result.message.content[0].text == f"Say {n}."
        assert result.message.usage.output_tokens > 0
    assert found["wrong"].type == "errored" and found["wrong"].error.error.type == "invalid_request_error"
    assert found["other"].error.error.type == "not_found_error"
    assert "stream" in found["streamed"].error.error.message


def test_large_results_come_as_they_are(client: anthropic.Anthropic) -> None:
    requests = [wanted(str(n), f"/repeat 60000 word{n}") for n in range(6)]
    batch = ended(client, client.messages.batches.create(requests=requests))
    found = results(client, batch)
    assert [found[str(n)].message.content[0].text.count(f"word{n}") for n in range(6)] == [60_000] * 6


def test_a_cancelled_batch_keeps_what_is_done(client: anthropic.Anthropic) -> None:
    requests = [wanted(str(n), "Quick." if n < 3 else SLOW) for n in range(30)]
    batch = client.messages.batches.create(requests=requests)
    raw = Client(str(client.base_url).rstrip("/"))
    assert raw.get(f"/v1/messages/batches/{batch.id}/results")[0] == 404
    status, error = raw.send("DELETE", f"/v1/messages/batches/{batch.id}")
    assert (status, error["error"]["type"]) == (400, "invalid_request_error")
    time.sleep(1)
    cancelled = client.messages.batches.cancel(batch.id)
    assert cancelled.processing_status in ("canceling", "ended") and cancelled.cancel_initiated_at is not None
    batch = ended(client, cancelled)
    assert (batch.request_counts.succeeded, batch.request_counts.canceled) == (3, 27)
    found = results(client, batch)
    assert [found[str(n)].type for n in range(30)] == ["succeeded"] * 3 + ["canceled"] * 27


def test_an_expired_batch_tells_which_requests(client: anthropic.Anthropic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(making.WINDOWS, "24h", 2)
    batch = ended(client, client.messages.batches.create(requests=[wanted("1", "Hi."), wanted("2", SLOW)]))
    assert (batch.request_counts.succeeded, batch.request_counts.expired) == (1, 1)
    assert results(client, batch)["2"].type == "expired"


def test_a_deleted_batch_is_gone_with_its_files(client: anthropic.Anthropic) -> None:
    batch = ended(client, client.messages.batches.create(requests=[wanted("1", "Hi.")]))
    raw = Client(str(client.base_url).rstrip("/"))
    assert len(raw.get("/v1/files")[1]["data"]) == 2
    gone = client.messages.batches.delete(batch.id)
    assert (gone.id, gone.type) == (batch.id, "message_batch_deleted")
    assert raw.get("/v1/files")[1]["data"] == []
    for path in ("", "/results"):
        status, error = raw.get(f"/v1/messages/batches/{batch.id}{path}")
        assert (status, error["type"], error["error"]["type"]) == (404, "error", "not_found_error")


def test_batches_are_listed_page_by_page(client: anthropic.Anthropic) -> None:
    ids = [client.messages.batches.create(requests=[wanted("1", "Hi.")]).id for _ in range(5)][::-1]
    assert [one.id for one in client.messages.batches.list(limit=2)] == ids
    page = client.messages.batches.list(after_id=ids[1], limit=2)
    assert ([one.id for one in page.data], page.has_more, page.first_id) == (ids[2:4], True, ids[2])
    page = client.messages.batches.list(before_id=ids[3], limit=2)
    assert ([one.id for one in page.data], page.has_more) == (ids[1:3], True)
    assert client.get("/v1/batches", cast_to=dict[str, Any])["data"] == []  # they are not OpenAI's


GOOD = wanted("a", "Hi.")
REFUSED: dict[str, tuple[Any, str]] = {
    "none": ([], "requests"),
    "no list": ({}, "requests"),
    "no params": ([GOOD, {"custom_id": "b"}], "requests.1.params"),
    "params that are none": ([GOOD, {"custom_id": "b", "params": []}], "requests.1.params"),
    "the same id": ([GOOD, GOOD], "requests.1.custom_id"),
    "an empty id": ([wanted("", "Hi.")], "requests.0.custom_id"),
    "a long id": ([wanted("x" * 65, "Hi.")], "requests.0.custom_id"),
    "an id with a space": ([wanted("a b", "Hi.")], "requests.0.custom_id"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_a_batch_is_refused_at_once(client: anthropic.Anthropic, fault: str) -> None:
    requests, place = REFUSED[fault]
    raw = Client(str(client.base_url).rstrip("/"))
    status, error = raw.post("/v1/messages/batches", requests=requests)
    assert (status, error["type"], error["error"]["type"]) == (400, "error", "invalid_request_error")
    assert error["error"]["message"].startswith(place)
    assert raw.get("/v1/files")[1]["data"] == []
