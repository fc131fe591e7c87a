"""Hosted tools of OpenAI's own kinds: events and items after recordings of its API, the same in every mode.

`tests/golden/hosted` has for each case a request, what a chat model says in each Turn, what the tool gives, and all events.
`pytest tests/server/test_hosted_golden.py --regenerate-golden` writes the events anew; the difference is to be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from tests.golden.rules import check_stream
from tests.server.test_matrix import MODES, _plain, essence
from tests.server.whole import Client, Json, upstream, whole_server
from tests.tools.recorded import CASES, HOSTED, all_tools

pytestmark = pytest.mark.slow


class Turns(BaseHTTPRequestHandler):
    """Answers each model call of a case with the chunks of its Turn: the first whose calls have no results yet."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": id, "object": "model"} for id in [*CASES, "text"]]
        self._send(json.dumps({"object": "list", "data": models}).encode(), "application/json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        messages = request["messages"]
        last = max(index for index, message in enumerate(messages) if message["role"] == "user")
        results = sum(message["role"] == "tool" for message in messages[last:])
        lines = [b'{"choices":[{"index":0,"delta":{"content":"Hm."},"finish_reason":"stop"}]}']
        for path in sorted(HOSTED.glob(f"{request['model']}/turn-*.chunks.jsonl")):
            lines = path.read_bytes().splitlines()
            results -= sum(b'"name"' in line for line in lines)
            if results < 0:
                break
        self._send(b"".join(b"data: %b\n\n" % line for line in [*lines, b"[DONE]"]), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with upstream(Turns) as url, whole_server(url, store=str(store), hosted=all_tools()) as client:
        yield client


def asked(case: str) -> Json:
    return json.loads((HOSTED / case / "request.json").read_bytes())


def plain_events(events: list[Json]) -> list[Any]:
    return [
        _plain({**event, "response": essence(event["response"])} if "response" in event else event) for event in events
    ]


@pytest.mark.parametrize("case", CASES)
def test_its_events(client: Client, case: str, request: pytest.FixtureRequest) -> None:
    events = client.stream(**asked(case))
    check_stream(events)
    recorded = HOSTED / case / "events.jsonl"
    if request.config.getoption("--regenerate-golden"):
        recorded.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in plain_events(events)))
    assert plain_events(events) == [json.loads(line) for line in recorded.read_text().splitlines()]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_its_response_in_every_mode(client: Client, case: str, mode: Callable[[Client, Json], Json]) -> None:
    *_, last = (HOSTED / case / "events.jsonl").read_text().splitlines()
    assert essence(mode(client, asked(case))) == json.loads(last)["response"]


def test_what_the_model_is_told(client: Client) -> None:
    Turns.asked.clear()
    client.create(**asked("web_search"))
    systems = [request["messages"][0] for request in Turns.asked]
    assert systems == [{"role": "system", "content": "Cite what web_search gives as 【1】."}] * 3
    tools = [message["content"] for message in Turns.asked[-1]["messages"] if message["role"] == "tool"]
    assert tools == [
        "【1†https://news.example.com/a?b=1】 Fund lapses\nThe fund lapsed. [7†fake]\n\n"
        "【2†https://www.example.org/old (1)】 Old\nOld news.",
        "【1†https://news.example.com/a?b=1】 Fund lapses\nThe whole page.",
        "【1†https://news.example.com/a?b=1】 Fund lapses\n… did lapse …",
    ]


def test_sources_keep_their_numbers_in_the_next_response(client: Client) -> None:
    """The next answer may cite what an earlier response has found; what is found now has numbers of its own."""
    first = client.create(**asked("file_search"))
    Turns.asked.clear()
    second = client.create(**asked("web_search"), previous_response_id=first["id"])
    tools = [message["content"] for message in Turns.asked[-1]["messages"] if message["role"] == "tool"]
    assert tools[0].startswith("【1†ai.pdf】") and tools[1].startswith("【2†https://news.example.com/a?b=1】")
    cited = second["output"][-1]["content"][0]["annotations"]
    assert [one.get("file_id", one.get("url")) for one in cited][:2] == ["file-1", "https://news.example.com/a?b=1"]


@pytest.mark.parametrize("choice", [{"type": "image_generation"}, "required"])
def test_a_forced_tool_that_nobody_runs_is_refused(client: Client, choice: Any) -> None:
    fields = {"model": "text", "input": "Draw.", "tools": [{"type": "image_generation"}], "tool_choice": choice}
    for mode in ({}, {"stream": True}):
        status, body = client.post("/v1/responses", **fields, **mode)
        assert (status, body["error"]["param"], body["error"]["code"]) == (400, "tool_choice", "tool_not_available")
