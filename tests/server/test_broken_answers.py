"""What a chat backend sends in the place of an answer, through the whole server: a failed response or a 502 in every mode."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.golden.player import ANSWERED, CASES, ROOT
from tests.server.whole import Client, Json, golden_upstream, turn, upstream, whole_server

pytestmark = pytest.mark.slow

BROKEN = [case for case in CASES if case not in ANSWERED]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with golden_upstream() as url, whole_server(url, store=str(store)) as client:
        yield client


def texts(response: Json) -> list[str]:
    return [part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"]]


@pytest.mark.parametrize("case", BROKEN)
def test_it_is_failed_in_every_mode(client: Client, case: str) -> None:
    recorded = json.loads((ROOT / case / "response.json").read_bytes())
    message = recorded["error"]["message"]
    fields = {"model": case, "input": "Hi"}
    status, body = client.post("/v1/responses", **fields)
    assert (status, body["error"]["message"]) == (502, message)
    ends = [client.stream(**fields)[-1], client.stream(**fields, background=True)[-1]]
    with client.websocket() as connection:
        ends.append(turn(connection, **fields)[-1])
    for end in ends:
        assert end["type"] == "response.failed"
        assert end["response"]["error"]["message"] == message
        assert texts(end["response"]) == texts(recorded)
    id = client.create(**fields, background=True)["id"]
    assert client.finished(id)["error"]["message"] == message
    status, kept = client.get(f"/v1/responses/{ends[0]['response']['id']}")
    assert (status, kept["status"], texts(kept)) == (200, "failed", texts(recorded))


# Bytes


WHOLE = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
DELTA = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
NINES = b"9" * 5000
ANSWERS = {
    "glued": WHOLE + b"\n\n" + DONE,
    "glued to the line": WHOLE + DONE,
    "alone": WHOLE,
    "with a mark of its order": b"\xef\xbb\xbf" + DELTA + END + DONE,
    "in a frame": b"data: " + WHOLE + b"\n\n" + DONE,
    "over lines": json.dumps(json.loads(WHOLE), indent=1).encode(),
    "events": DELTA + END + DONE,
    "no [DONE]": DELTA + END,
    "lines of JSON": (DELTA + END).replace(b"data: ", b"").replace(b"\n\n", b"\n"),
    "[DONE] with a blank": DELTA + END + b"data: [DONE] \n\n",
    "[DONE] in quotes": DELTA + END + b'data: "[DONE]"\n\n',
    "[DONE] in small letters": DELTA + END + b"data: [done]\n\n",
    "data twice": (DELTA + END + DONE).replace(b"data: ", b"data: data: "),
    "no blank lines": (DELTA + END + DONE).replace(b"\n\n", b"\n"),
    "something behind [DONE]": DELTA + END + DONE + b"garbage\n\n",
    "huge number beside": DELTA.replace(b'{"choices"', b'{"x":' + NINES + b',"choices"') + END + DONE,
}
FAULTS = {
    "nothing": b"",
    "[DONE]": DONE,
    "comments": b": hello\n\n" * 10 + DONE,
    "text alone": DELTA + DONE,
    "bare error": b'{"error":{"message":"Out of memory"}}\n\n' + DONE,
    "bare error behind text": DELTA + b'{"error":{"message":"Out of memory"}}\n\n' + DONE,
    "error in a frame": DELTA + b'data: {"error":{"message":"Out of memory"}}\n\n' + DONE,
    "an unknown field": b"oops: Out of memory\n\n" + DONE,
    "text": b"Out of memory",
    "a page": b"<html><body>502</body></html>",
    "a code that is no number": b'data: {"error":{"message":"x","code":"\xc2\xb2"}}\n\n' + DONE,
    "a code of 5,000 digits": b'data: {"error":{"message":"x","code":%b}}\n\n' % NINES + DONE,
    "deep": b"data: " + b"[" * 100_000 + b"\n\n" + DONE,
    "deep object": b"data: " + b'{"a":' * 100_000 + b"\n\n" + DONE,
    "wrong text": b'data: {"choices":[{"delta":{"content":{"a":[1]}},"finish_reason":"stop"}],"usage":5}\n\n' + DONE,
    "a call without a name": (
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]},"finish_reason":"stop"}]}\n\n'
        + DONE
    ),
}


class Bytes(http.server.BaseHTTPRequestHandler):
    """Answers with the bytes and the type that the request's `model` names: `TYPE/NAME`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        names = [f"{kind}/{name}" for kind in ("sse", "json") for name in (*ANSWERS, *FAULTS)]
        self._send(json.dumps({"data": [{"id": name} for name in names]}).encode(), "application/json")

    def do_POST(self) -> None:
        model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
        kind, _, name = model.partition("/")
        body = ANSWERS.get(name, FAULTS.get(name, b""))
        self._send(body, "text/event-stream" if kind == "sse" else "application/json")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def bytes_upstream() -> Iterator[str]:
    with upstream(Bytes) as url:
        yield url


@pytest.fixture(scope="module")
def raw() -> Iterator[Client]:
    with bytes_upstream() as url, whole_server(url) as client:
        yield client


@pytest.mark.parametrize("kind", ["sse", "json"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_an_odd_wrapping_is_read(raw: Client, name: str, kind: str) -> None:
    fields = {"model": f"{kind}/{name}", "input": "Hi"}
    assert texts(raw.create(**fields)) == ["Hi"]
    end = raw.stream(**fields)[-1]
    assert (end["type"], texts(end["response"])) == ("response.completed", ["Hi"])


@pytest.mark.parametrize("kind", ["sse", "json"])
@pytest.mark.parametrize("name", FAULTS)
def test_what_is_none_is_the_backends_fault(raw: Client, name: str, kind: str) -> None:
    fields = {"model": f"{kind}/{name}", "input": "Hi"}
    status, body = raw.post("/v1/responses", **fields)
    assert status == 502, body
    assert body["error"]["type"] == "server_error" and body["error"]["code"] != "server_error"
    end = raw.stream(**fields)[-1]
    assert (end["type"], end["response"]["error"]["message"]) == ("response.failed", body["error"]["message"])
    if b"Out of memory" in FAULTS[name]:
        assert "Out of memory" in body["error"]["message"]
    with raw.websocket() as connection:
        assert turn(connection, **fields)[-1]["type"] == "response.failed"
