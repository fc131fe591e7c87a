"""Pages of other origins: which may call a server with keys and one without, and what their browsers are told."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from antiphon.config import Config
from antiphon.config.origins import Origins, is_origin
from antiphon.config.rules import check
from antiphon.errors import ConfigError
from antiphon.server.auth.authenticator import authenticator
from antiphon.server.auth.hosts import Hosts
from tests.server.whole import Client, whole_server

APP, SITE, OTHER, OWN = "app://obsidian.md", "https://chat.example.com", "https://evil.example", "http://localhost:8080"
ASKED = "authorization,content-type,x-stainless-os,x-stainless-retry-count,openai-beta"


# Which origins are meant


@pytest.mark.parametrize(
    ("entries", "named", "others"),
    [
        ([], [], [APP, SITE, "null"]),
        (["auto"], [], [APP, SITE, "null"]),
        (["*"], [APP, SITE, "null", "http://10.0.0.1"], []),
        ([SITE], [SITE, "HTTPS://Chat.Example.com", f"{SITE}:443"], [f"{SITE}:8443", "http://chat.example.com", APP]),
        ([f"{SITE}:443/"], [SITE], [f"{SITE}:4430", f"{SITE}.evil.example"]),
        (["https://*.example.com"], [SITE, "https://a.b.example.com"], ["https://example.com", "https://xexample.com"]),
        (["http://localhost:*"], ["http://localhost", "http://localhost:3000"], ["https://localhost", "http://localhost.evil:1"]),
        (["http://*:3000"], ["http://a:3000", "http://[::1]:3000"], ["http://a:3001"]),
        (["http://[::1]:3000"], ["http://[::1]:3000"], ["http://[::2]:3000", "http://[::1]"]),
        (["app://*"], [APP, "app://x"], ["apps://x", SITE]),
        (["null"], ["null"], [SITE, "", "NULL://x"]),
        ([SITE], [], ["https://*.example.com", "https://*", f"{SITE} {SITE}", f"{SITE},{SITE}", f"{SITE}/a", "https://u@chat.example.com"]),
    ],
)  # fmt: skip
def test_origins_of_the_setting(entries: list[str], named: list[str], others: list[str]) -> None:
    assert all(map(is_origin, entries))
    origins = Origins(entries)
    assert [one for one in [*named, *others] if origins.names(one)] == named


@pytest.mark.parametrize(
    "entry",
    ["", "example.com", "https://", "https://a/b", "https://a:x", "https://a:",
     "https://a*b", "https://*a.b", "*.b", "https://a b", "https://[::1"],
)  # fmt: skip
def test_an_origin_that_is_none_is_a_mistake_of_the_operator(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"cors_origins\[0\]"):
        check(Config(cors_origins=[entry]))


@pytest.mark.parametrize(
    ("keys", "entries", "shared"),
    [
        (True, ["auto"], [APP, SITE, OTHER, OWN]),
        (True, [], []),
        (True, [SITE], [SITE]),
        (True, ["*"], [APP, SITE, OTHER, OWN]),
        (False, ["auto"], [APP, OWN]),
        (False, [], [OWN]),
        (False, [SITE], [SITE, OWN]),
        (False, [SITE, "auto"], [APP, SITE, OWN]),
        (False, ["*"], [APP, SITE, OTHER, OWN]),
    ],
)
async def test_who_may_read(keys: bool, entries: list[str], shared: list[str]) -> None:
    known = authenticator({}, closed=keys, hosts=Hosts([], Origins(entries)))
    got = [one for one in (APP, SITE, OTHER, OWN) if known.shares(one.encode(), b"localhost:8080")]
    assert got == shared


# What browsers are told


@pytest.fixture(scope="module", params=[True, False], ids=["keys", "open"])
def server(request: pytest.FixtureRequest) -> Iterator[Client]:
    with whole_server(api_keys=["k"] if request.param else [], cors_origins=[SITE, APP]) as client:
        client.headers = {"authorization": "Bearer k"} if request.param else {}
        yield client


def ask(
    client: Client, method: str, path: str, body: Any = None, origin: str | None = SITE, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("localhost", urlsplit(client.url).port or 0, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if origin is not None:
        given["origin"] = origin
    if body is not None:
        given["content-type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), given)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize(
    "path", ["/v1/responses", "/v1/responses/resp_1", "/v1/models", "/v1/chat/completions", "/v1/files"]
)
@pytest.mark.parametrize("origin", [SITE, APP])
def test_a_preflight(server: Client, path: str, origin: str) -> None:
    status, headers, body = ask(
        server, "OPTIONS", path, origin=origin, access_control_request_method="POST",
        access_control_request_headers=ASKED, access_control_request_private_network="true",
    )  # fmt: skip
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-headers"] == ASKED
    assert headers["access-control-allow-private-network"] == "true"
    assert int(headers["access-control-max-age"]) > 0
    assert headers["access-control-allow-methods"] == headers["allow"] and headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in headers


def test_a_preflight_of_another_origin_and_a_plain_question_for_methods(server: Client) -> None:
    for origin in (OTHER, None):
        asked = {"access_control_request_method": "POST", "access_control_request_headers": ASKED}
        status, headers, _ = ask(server, "OPTIONS", "/v1/responses", origin=origin, **asked)
        assert status == 204 and "POST" in headers["allow"]
        assert not [name for name in headers if name.startswith("access-control-")]
    status, headers, _ = ask(server, "OPTIONS", "/v1/responses")
    assert "access-control-allow-methods" not in headers


def test_more_headers_than_a_browser_sends_are_not_echoed(server: Client) -> None:
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "x" * 5000}
    assert "access-control-allow-headers" not in ask(server, "OPTIONS", "/v1/responses", **asked)[1]


def readable(headers: dict[str, str]) -> Sequence[str]:
    assert headers["access-control-allow-origin"] == SITE and "origin" in headers["vary"]
    return headers["access-control-expose-headers"].split(", ")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_and_its_headers_can_be_read(server: Client, stream: bool) -> None:
    body = {"model": "scripted", "input": "x", "stream": stream}
    status, headers, _ = ask(server, "POST", "/v1/responses", body, authorization="Bearer k")
    assert status == 200
    assert {"x-request-id", "openai-processing-ms"} <= set(readable(headers))
    ours = {name for name in headers if name.startswith(("x-", "openai-", "retry-"))}
    assert ours <= set(readable(headers))


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "status"),
    [
        ("POST", "/v1/responses", {"model": "none", "input": "x"}, "k", 400),
        ("POST", "/v1/responses", {"model": 5}, "k", 400),
        ("GET", "/v1/nothing", None, "k", 404),
        ("PUT", "/v1/responses", None, "k", 405),
        ("GET", "/v1/responses/resp_1", None, "k", 404),
    ],
)
def test_errors_can_be_read_too(server: Client, method: str, path: str, body: Any, key: str, status: int) -> None:
    got, headers, text = ask(server, method, path, body, authorization=f"Bearer {key}")
    assert got == status
    assert "x-request-id" in readable(headers)
    assert json.loads(text)["error"]["message"]


def test_a_missing_key_can_be_read() -> None:
    with whole_server(api_keys=["k"]) as client:
        status, headers, _ = ask(client, "POST", "/v1/responses", {})
        assert status == 401 and "www-authenticate" in readable(headers)


def test_other_origins_and_programs_get_no_such_headers(server: Client) -> None:
    for origin in (OTHER, None):
        status, headers, _ = ask(server, "GET", "/v1/models", origin=origin, authorization="Bearer k")
        assert status == (403 if origin and not server.headers else 200)
        assert not [name for name in headers if name.startswith("access-control-")]


# WebSockets


def opens(client: Client, origin: str | None) -> bool:
    port = urlsplit(client.url).port
    key = {"authorization": "Bearer k"}
    given: Any = origin
    try:
        with connect(f"ws://localhost:{port}/v1/responses", origin=given, additional_headers=key):
            return True
    except InvalidStatus as refused:
        answer = refused.response
    assert answer.status_code == 403 and b"foreign_origin" in (answer.body or b"")
    return False


def test_websockets_agree(server: Client) -> None:
    port = urlsplit(server.url).port
    assert [opens(server, one) for one in (SITE, APP, OTHER, None, f"http://localhost:{port}")] == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_with_keys_and_auto_every_origin_may_open_a_websocket() -> None:
    with whole_server(api_keys=["k"]) as client:
        assert opens(client, OTHER) and opens(client, APP)
