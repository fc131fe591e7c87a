"""Background responses run at once within bounds: others of an owner wait their turn, and nobody waits for another owner's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import KeyConfig
from tests.bounds import bound
from tests.server.whole import Client, whole_server

pytestmark = pytest.mark.slow

SLOW = "/delay 0.15\none two three"
ENDLESS = "/delay 60\nnever"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    keys = {"limited": KeyConfig(key="lim", limits=["300 tokens/day", "20 requests/day"])}
    with whole_server(
        store=str(tmp_path / "store.db"),
        api_keys=["ann", "bob", "cid"],
        keys=keys,
        background_per_owner=2,
        background_running=4,
        background_queue_per_owner=6,
        shutdown_grace=0,
    ) as client:
        yield client.url


def submit(client: Client, text: str = SLOW, **fields: Any) -> str:
    return str(client.create(model="scripted", input=text, background=True, **fields)["id"])


def statuses(client: Client, ids: list[str]) -> list[str]:
    return [client.get(f"/v1/responses/{id}")[1]["status"] for id in ids]


def test_an_owner_has_so_many_at_once_and_the_others_follow_in_order(url: str) -> None:
    ann, bob = Client(url, "ann"), Client(url, "bob")
    ids = [submit(ann) for _ in range(8)]
    foreign = submit(bob)
    most, begun, deadline = 0, [], time.monotonic() + 20
    while (now := statuses(ann, ids)) != ["completed"] * 8:
        assert time.monotonic() < deadline
        most = max(most, now.count("in_progress"))
        begun += [index for index, status in enumerate(now) if status != "queued" and index not in begun]
        if "queued" in now and "completed" not in now:
            assert statuses(bob, [foreign]) != ["queued"], "another owner does not wait"
        time.sleep(0.02)
    assert most == 2
    assert begun == sorted(begun)
    assert bob.finished(foreign)["status"] == "completed"


def test_too_many_that_wait_are_refused(url: str) -> None:
    ann = Client(url, "ann")
    for _ in range(8):
        submit(ann, ENDLESS)
    status, answer = ann.post("/v1/responses", model="scripted", input=ENDLESS, background=True)
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "background_queue_per_owner" in answer["error"]["message"]
    assert submit(Client(url, "bob"), "Hello.")


def test_all_owners_together_have_a_bound(url: str) -> None:
    ann, bob, cid = (Client(url, key) for key in ("ann", "bob", "cid"))
    for client in (ann, bob):
        for _ in range(2):
            submit(client, "/delay 0.6\none two three")
    late = submit(cid, "Hello.")
    assert statuses(cid, [late]) == ["queued"]
    assert cid.finished(late)["status"] == "completed"


def test_one_that_waits_can_be_cancelled_and_deleted(url: str) -> None:
    ann = Client(url, "ann")
    ids = [submit(ann, ENDLESS) for _ in range(5)]
    began = time.monotonic()
    status, answer = ann.send("POST", f"/v1/responses/{ids[3]}/cancel", b"")
    assert (status, answer["status"]) == (200, "cancelled")
    assert ann.send("DELETE", f"/v1/responses/{ids[4]}")[0] == 200
    assert time.monotonic() - began < bound(5)
    assert statuses(ann, ids[:3]) == ["in_progress", "in_progress", "queued"]
    ann.send("POST", f"/v1/responses/{ids[0]}/cancel", b"")
    deadline = time.monotonic() + bound(5)
    while statuses(ann, ids[2:3]) != ["in_progress"]:
        assert time.monotonic() < deadline, "its place goes to the next one"
        time.sleep(0.02)


def test_one_that_waits_can_be_followed(url: str) -> None:
    ann = Client(url, "ann")
    for _ in range(3):
        submit(ann)
    events = ann.stream(model="scripted", input=SLOW, background=True)
    types = [event["type"] for event in events]
    assert types[:4] == ["response.created", "response.queued", "response.in_progress", "response.output_item.added"]
    assert types[-1] == "response.completed" and types.count("response.created") == 1
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_what_waited_is_accounted_by_what_it_used(url: str) -> None:
    client = Client(url, "lim")
    ids = [submit(client, "/delay 0.05\none", max_output_tokens=20) for _ in range(5)]
    assert {client.finished(id)["status"] for id in ids} == {"completed"}
    time.sleep(0.3)  # corrections are written behind the answer
    status, answer = client.post("/v1/responses", model="scripted", input="one", max_output_tokens=250)
    assert status == 200, f"reservations were given back: {answer}"


def test_another_server_begins_what_waits(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"store": str(tmp_path / "store.db"), "shutdown_grace": 0, "background_per_owner": 2}
    with whole_server(**settings) as client:
        ids = [submit(client, "/delay 0.5\none two three") for _ in range(5)]
    with whole_server(**settings) as client:
        assert [client.finished(id)["status"] for id in ids[2:]] == ["completed"] * 3
