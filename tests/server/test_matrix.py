"""The same request in every mode gives the same response, but for ids and times."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.golden.player import ANSWERED, ROOT
from tests.server.whole import TERMINAL, Client, Json, golden_upstream, turn, whole_server

pytestmark = pytest.mark.slow

_ID = re.compile(
    r"(resp|msg|rs|fc|ctc|cmp|conv|lk|ig|ws|fs|ci|sho?|cmo?|mcp)_[0-9a-fi]+|call_(golden|[0-9a-f]{16})[0-9a-f]+"
)
_PLACE = ("id", "created_at", "completed_at", "previous_response_id", "conversation", "background", "store")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with golden_upstream() as url, whole_server(url, finish_reason="optional", store=str(store)) as client:
        yield client


def request(case: str) -> Json:
    fields = json.loads((ROOT / case / "request.json").read_bytes())
    return {**{name: value for name, value in fields.items() if name != "stream"}, "model": case}


def essence(response: Json) -> Any:
    """Return a response without ids, times and what tells how it was asked for."""
    return _plain({name: value for name, value in response.items() if name not in _PLACE})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "sealed" if name in ("encrypted_content", "fingerprint") else _plain(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return "an id" if isinstance(value, str) and _ID.fullmatch(value) else value


def end_of(events: list[Json]) -> Json:
    """Check a stream's order and return the response at its end."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] in TERMINAL
    return events[-1]["response"]


def streamed(client: Client, fields: Json) -> Json:
    return end_of(client.stream(**fields))


def whole(client: Client, fields: Json) -> Json:
    return client.create(**fields)


def read_back(client: Client, fields: Json) -> Json:
    made = client.create(**fields)
    status, read = client.get(f"/v1/responses/{made['id']}")
    assert (status, read) == (200, made)
    return read


def not_stored(client: Client, fields: Json) -> Json:
    return client.create(**fields, store=False)


def polled(client: Client, fields: Json) -> Json:
    queued = client.create(**fields, background=True)
    assert queued["status"] == "queued"
    return client.finished(queued["id"])


def resumed(client: Client, fields: Json) -> Json:
    """Follow a background response from its start, and again from every number on."""
    events = client.stream(**fields, background=True)
    end_of(events)
    id = events[0]["response"]["id"]
    for after in range(len(events) - 1):
        status, rest = client.get(f"/v1/responses/{id}?stream=true&starting_after={after}")
        assert (status, rest) == (200, events[after + 1 :])
    return events[-1]["response"]


def over_websocket(client: Client, fields: Json) -> Json:
    with client.websocket() as connection:
        return end_of(turn(connection, **fields))


def continued(client: Client, fields: Json) -> Json:
    first = client.create(model="text", input="Before.")
    return client.create(**fields, previous_response_id=first["id"])


def in_conversation(client: Client, fields: Json) -> Json:
    _, conversation = client.post("/v1/conversations", items=[{"role": "user", "content": "Before."}])
    made = client.create(**fields, conversation=conversation["id"])
    _, items = client.get(f"/v1/conversations/{conversation['id']}/items?order=asc&limit=100")
    assert [item["id"] for item in items["data"]][-len(made["output"]) :] == [item["id"] for item in made["output"]]
    return made


def replayed(client: Client, fields: Json) -> Json:
    """Send an earlier exchange along instead of naming it."""
    first = client.create(model="text", input="Before.", store=False)
    own = fields["input"] if isinstance(fields["input"], list) else [{"role": "user", "content": fields["input"]}]
    items = [{"role": "user", "content": "Before."}, *first["output"], *own]
    return client.create(**{**fields, "input": items, "store": False})


MODES: list[Callable[[Client, Json], Json]] = [
    whole,
    read_back,
    not_stored,
    polled,
    resumed,
    over_websocket,
    continued,
    in_conversation,
    replayed,
]


@pytest.mark.parametrize("case", ANSWERED)
def test_every_mode_gives_the_same_response(client: Client, case: str) -> None:
    fields = request(case)
    expected = essence(streamed(client, fields))
    recorded = json.loads((ROOT / case / "response.json").read_bytes())
    assert expected["output"] == essence(recorded)["output"]
    for mode in MODES:
        assert essence(mode(client, fields)) == expected, mode.__name__
