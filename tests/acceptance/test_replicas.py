"""Three real servers on one real PostgreSQL: any of them serves, follows and cancels what another began, one may die."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.background import Follower
from tests.acceptance.replicas import HELD, Foreground, Replicas, call, judge, kill_one, replicas
from tests.bounds import bound

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgresql")]


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with replicas(tmp_path_factory.mktemp("replicas"), lease=4.0) as group:
        yield group


def completed(group: Replicas, server: int, number: int) -> str:
    """Make a response with tool calls at a server; return its id."""
    stream = Foreground(group.servers[server], group.tools_url, number)
    stream.run()
    assert stream.completed
    return str(stream.events[-1]["response"]["id"])


def test_any_server_serves_what_another_made(group: Replicas) -> None:
    urls = [f"{server.url}/v1" for server in group.servers]
    id = completed(group, 0, 1000)
    answers = [call(f"{url}/responses/{id}") for url in urls]
    assert answers[0]["status"] == "completed" and answers == [answers[0]] * 3
    assert call(f"{urls[2]}/responses/{id}/input_items")["data"][0]["role"] == "user"
    conversation = call(f"{urls[0]}/conversations", {"items": [{"role": "user", "content": "Hello."}]})["id"]
    call(f"{urls[1]}/conversations/{conversation}/items", {"items": [{"role": "user", "content": "More."}]})
    assert len(call(f"{urls[2]}/conversations/{conversation}/items")["data"]) == 2
    tool = {"type": "mcp", "server_label": "t", "server_url": group.tools_url, "require_approval": "never"}
    fields = {"model": "worker", "input": "Go on.", "tools": [tool], "previous_response_id": id}
    answer = call(f"{urls[1]}/responses", fields)
    assert answer["previous_response_id"] == id
    assert [item["type"] for item in answer["output"]] == ["message"], "the calls are in the context already"


def test_a_stream_is_followed_and_cancelled_through_other_servers(group: Replicas) -> None:
    begun = Follower(group.tools_url)
    begun.url, begun.job = group.servers[0].url, f"{HELD} {begun.job}"
    begun.start()
    deadline = time.monotonic() + 20
    while len(begun.events) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    elsewhere = Follower(group.tools_url)
    elsewhere.url, elsewhere.id, elsewhere.events = group.servers[1].url, begun.id, begun.events[:1]
    following = threading.Thread(target=elsewhere.follow)
    following.start()
    time.sleep(0.3)
    began = time.monotonic()
    answer = call(f"{group.servers[2].url}/v1/responses/{begun.id}/cancel", {})
    assert answer["status"] == "cancelled"
    assert time.monotonic() - began < bound(5)
    begun.join(20)
    following.join(20)
    assert begun.events == elsewhere.events
    assert begun.events[-1]["response"]["status"] == "cancelled"


def test_a_server_dies(group: Replicas) -> None:
    """The last test: one server is gone afterwards."""
    judge(kill_one(group, 18, 0.3))
