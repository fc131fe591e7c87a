"""Clients of the Messages API in front of a backend that speaks it: bytes pass as they are, both ways."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.backends.anthropic.streams import message, sse, text, thoughts, whole
from tests.server.whole import upstream, whole_server

pytestmark = pytest.mark.slow

Json = dict[str, Any]
EVENTS = message(thoughts(0, "Hm", signature="c2ln+/=="), text(1, "Hel", "lo"))
SAID = sse([EVENTS[0], {"type": "from_tomorrow", "x": [1.0]}, *EVENTS[1:]])
WHOLE = json.dumps({**whole(EVENTS), "from_tomorrow": 1}).encode()
REFUSED = {
    "type": "error",
    "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
}
BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
ASKED = (
    b'{"model":"claude", "max_tokens":5,"new":{"a":1.0},"messages":[{"role":"user","content":[{"type":"text",'
    b'"text":"a","cache_control":{"type":"ephemeral"}}]}]%s}'
)


class Recorder(BaseHTTPRequestHandler):
    """Answers as the request's `max_tokens` says: 400 and 529 are refused, 6 breaks off."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(200, "application/json", b'{"data":[{"type":"model","id":"theirs"}],"has_more":false}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        request = json.loads(body)
        wish = request.get("max_tokens", 0)
        if self.path.endswith("/count_tokens"):
            self._send(200, "application/json", b'{"input_tokens": 77}')
        elif wish in (400, 529):
            self._send(wish, "application/json", json.dumps(REFUSED if wish == 400 else BUSY).encode())
        elif wish == 6:
            self._send(200, "text/event-stream", sse(EVENTS[:4]), short=True)
        elif request.get("stream"):
            self._send(200, "text/event-stream", SAID)
        else:
            self._send(200, "application/json", WHOLE)

    def _send(self, status: int, kind: str, body: bytes, *, short: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) + 99 * short))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or short


class Served:
    """A server in front of the recorder."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(
        self, body: bytes, path: str = "/v1/messages?beta=true", key: str = "k1"
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {"x-api-key": key, "anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with upstream(Recorder) as url:
        backend = BackendConfig(url=url, api="anthropic", key="sk-theirs", break_after=0)
        models = {"claude": ModelConfig(name="theirs", backends=["a"])}
        keys = {
            "one": KeyConfig(key="k1"),
            "two": KeyConfig(key="k2", models=["other"]),
            "three": KeyConfig(key="k3", limits=["80 tokens/day"]),
            "four": KeyConfig(key="k4", scopes=["admin"]),
        }
        with whole_server(backends={"a": backend}, models=models, keys=keys, retries=0) as client:
            yield Served(client.url)


@pytest.fixture
def seen() -> list[tuple[str, dict[str, str], bytes]]:
    Recorder.seen.clear()
    return Recorder.seen


@pytest.mark.parametrize("streamed", [True, False])
def test_bytes_pass_both_ways(served: Served, seen: Any, streamed: bool) -> None:
    asked = ASKED % (b',"stream":true' if streamed else b"")
    status, headers, said = served.post(asked)
    assert (status, said) == (200, SAID if streamed else WHOLE)
    assert headers["content-type"].startswith("text/event-stream" if streamed else "application/json")
    assert headers["request-id"].startswith("req_")
    ((path, sent, body),) = seen
    assert path == "/v1/messages"
    assert body == asked.replace(b'"claude", ', b'"theirs",')
    assert (sent["x-api-key"], sent["anthropic-version"], sent["anthropic-beta"]) == (
        "sk-theirs",
        "2026-10-21",
        "a-1,b-2",
    )


def test_a_refusal_passes_in_the_backends_own_words(served: Served, seen: Any) -> None:
    status, headers, said = served.post((ASKED % b"").replace(b":5,", b":400,"))
    assert (status, json.loads(said), headers["x-should-retry"]) == (400, REFUSED, "false")


def test_an_overloaded_backend_is_an_overloaded_server(served: Served, seen: Any) -> None:
    status, _, said = served.post((ASKED % b"").replace(b":5,", b":529,"))
    assert (status, json.loads(said)["error"]["type"]) == (529, "overloaded_error")


def test_a_stream_that_breaks_off_ends_with_an_error(served: Served, seen: Any) -> None:
    status, _, said = served.post((ASKED % b',"stream":true').replace(b":5,", b":6,"))
    assert status == 200
    assert said.startswith(sse(EVENTS[:4]))
    last = said.removeprefix(sse(EVENTS[:4]))
    assert last.startswith(b"event: error\ndata: ") and json.loads(last[19:])["type"] == "error"


def test_tokens_are_counted_by_the_backend(served: Served, seen: Any) -> None:
    status, _, said = served.post(ASKED % b"", "/v1/messages/count_tokens")
    assert (status, said) == (200, b'{"input_tokens": 77}')
    assert seen[0][0] == "/v1/messages/count_tokens"


def test_keys_and_budgets_hold(served: Served, seen: Any) -> None:
    assert served.post(ASKED % b"", key="wrong")[0] == 401
    assert served.post(ASKED % b"", key="k2")[0] == 404
    assert not seen
    statuses = [served.post(ASKED % b',"stream":true', key="k3")[0] for _ in range(8)]
    assert statuses[:2] == [200, 200] and statuses[-1] == 402, "an answer has 23 tokens, a request takes about 50"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "http://169.254.169.254/x.png"}},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": {"type": "url", "url": "http://10.0.0.1/"}}]},
    ],
)  # fmt: skip
def test_urls_are_looked_at_by_this_server(served: Served, seen: Any, block: Json) -> None:
    asked = {"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": [block]}]}
    assert served.post(json.dumps(asked).encode())[0] == 400
    assert not [one for one in seen if b"169.254" in one[2] or b"10.0.0.1" in one[2]]


def test_a_url_in_the_input_of_a_call_is_no_image(served: Served, seen: Any) -> None:
    called = {"type": "tool_use", "id": "t", "name": "fetch", "input": {"url": "http://10.0.0.1/"}}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [called]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
    ]
    asked = json.dumps({"model": "claude", "max_tokens": 5, "messages": messages}).encode()
    assert served.post(asked)[2] == WHOLE


def test_seals_of_this_server_are_opened_here(served: Served, seen: Any) -> None:
    block = {"type": "thinking", "thinking": "", "signature": "ANT2.x.reasoning.5.AAAA"}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [block, {"type": "text", "text": "b"}]},
    ]
    messages.append({"role": "user", "content": "c"})
    asked = {"model": "claude", "max_tokens": 5, "messages": messages}
    served.post(json.dumps(asked).encode())
    assert not [one for one in seen if b"ANT2." in one[2]]


def test_what_is_no_request_is_refused_in_this_apis_words(served: Served, seen: Any) -> None:
    for body in (
        b"{",
        b"[]",
        b'{"model":5}',
        b'{"model":"claude"}',
        b'{"model":"nobody","messages":[],"max_tokens":1}',
    ):
        status, _, said = served.post(body)
        assert status in (400, 404) and json.loads(said)["type"] == "error"
    assert not seen


# What is listed and counted


def listed(served: Served) -> Any:
    request = urllib.request.Request(served.url + "/admin/requests", headers={"x-api-key": "k4"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, "completed", None),
        ({"stream": True}, "completed", None),
        ({"max_tokens": 400}, "failed", 400),
        ({"max_tokens": 529}, "failed", 503),
        ({"max_tokens": 6, "stream": True}, "failed", 502),
    ],
)
def test_requests_are_listed_with_model_tokens_and_reason(
    served: Served, seen: Any, fields: Json, status: str, error: int | None
) -> None:
    _, headers, _ = served.post(json.dumps({**json.loads(ASKED % b""), **fields}).encode())
    record = listed(served)["data"][0]
    assert record["id"] == headers["request-id"] and record["model"] == "claude" and record["owner"].startswith("key_")
    assert (record["status"], record["stored"], record["stream"]) == (status, False, bool(fields.get("stream")))
    assert (record["error"] and record["error"]["status"]) == error
    if error is None:
        assert record["usage"]["output_tokens"] > 0 and record["usage"]["input_tokens"] > 0
    if fields.get("stream"):
        assert 0 <= record["time_to_first_token"] <= record["duration"]


def test_tokens_are_counted_for_metrics(served: Served, seen: Any) -> None:
    def tokens() -> float:
        request = urllib.request.Request(served.url + "/metrics", headers={"x-api-key": "k4"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            lines = reply.read().decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if "tokens_total" in line and 'model="claude"' in line
        )

    before = tokens()
    for streamed in (b"", b',"stream":true'):
        served.post(ASKED % streamed)
    assert tokens() > before


def test_what_this_server_refuses_is_not_listed(served: Served, seen: Any) -> None:
    """As requests that would make a response are not."""
    big = json.dumps({**json.loads(ASKED % b""), "max_tokens": 5000}).encode()
    status, headers, _ = served.post(big, key="k3")
    assert status == 402
    assert headers["request-id"] not in [record["id"] for record in listed(served)["data"]]
