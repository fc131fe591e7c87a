"""Who is let in (contract, "Authentication")."""

from __future__ import annotations

import subprocess
import sys

import pytest

from antiphon.errors import APIError
from antiphon.server.auth.authenticator import KeyAuthenticator, OpenAuthenticator, callers, owner_of
from tests.server.handlers import Probe, call, make_app
from tests.server.serving import serving

GOOD = [
    {"authorization": "Bearer one"},
    {"authorization": "bearer one"},
    {"authorization": "BEARER   one "},
    {"x-api-key": "one"},
    {"x-api-key": "one", "authorization": "Bearer wrong"},
    {"x-api-key": "wrong", "authorization": "Bearer one"},
    {"x-api-key": "one", "authorization": "Basic abc"},
]
BAD = [
    ({}, "missing_api_key"),
    ({"authorization": ""}, "missing_api_key"),
    ({"authorization": "Bearer"}, "missing_api_key"),
    ({"authorization": "Basic b25l"}, "missing_api_key"),
    ({"authorization": "one"}, "missing_api_key"),
    ({"x-api-key": ""}, "missing_api_key"),
    ({"authorization": "Bearer on"}, "invalid_api_key"),
    ({"authorization": "Bearer onee"}, "invalid_api_key"),
    ({"authorization": "Bearer ONE"}, "invalid_api_key"),
    ({"x-api-key": "wrong", "authorization": "Bearer wrong"}, "invalid_api_key"),
]


@pytest.fixture(scope="module")
def locked():
    with serving(make_app(keys=("one", "two"))) as served:
        yield served


@pytest.mark.parametrize("headers", GOOD)
def test_a_good_key_is_enough(locked, headers):
    answer = call(locked.url, "POST", "/v1/echo", b"{}", headers)
    assert answer.status == 200 and answer.json()["owner"] == owner_of(b"one")


@pytest.mark.parametrize(("headers", "code"), BAD)
def test_everything_else_is_refused(locked, headers, code):
    answer = call(locked.url, "POST", "/v1/echo", b"{}", headers)
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    error = answer.error()
    assert (error["type"], error["code"]) == ("authentication_error", code)
    assert b"wrong" not in answer.body


def test_keys_are_checked_before_the_body_is_read(serve):
    probe = Probe()
    served = serve(make_app(probe, keys=("k",)))
    raw = served.exchange(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 401") and probe.calls == 0


def test_public_routes_need_no_key(locked):
    assert call(locked.url, "GET", "/open").status == 200
    assert call(locked.url, "GET", "/open", headers={"x-api-key": "wrong"}).status == 200


def test_owners_differ_and_are_not_the_keys(locked):
    one, two = (call(locked.url, "GET", "/echo", headers={"x-api-key": key}).json()["owner"] for key in ("one", "two"))
    assert one != two and "one" not in one and one.startswith("key_")


@pytest.mark.slow  # a process
def test_an_owner_is_the_same_in_every_process():
    code = "from antiphon.server.auth.authenticator import owner_of; print(owner_of(b'sk-x'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == owner_of(b"sk-x")


def test_keys_are_not_kept():
    assert b"sk-very-secret" not in repr(vars(KeyAuthenticator(callers(["sk-very-secret"])))).encode()


async def test_a_key_may_hold_any_character():
    key = "schlüssel"
    caller = await KeyAuthenticator(callers([key])).authenticate([(b"x-api-key", key.encode())])
    assert caller.owner == owner_of(key.encode())


# Without keys

PAGES = [
    ("http://localhost:8080", "localhost:8080", True),
    ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
    ("http://[::1]:8080", "[::1]:8080", True),
    ("vscode-webview://abc", "localhost:8080", True),
    ("chrome-extension://abc", "localhost:8080", True),
    ("https://evil.example", "localhost:8080", False),
    ("http://localhost:3000", "localhost:8080", False),
    ("http://evil.example:8080", "evil.example:8080", False),  # DNS rebinding
    ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example", False),
    ("null", "localhost:8080", False),
]


@pytest.mark.parametrize(("origin", "host", "welcome"), PAGES)
async def test_an_open_server_serves_no_foreign_pages(origin, host, welcome):
    """Browsers let any page post to this machine, and open WebSockets to it."""
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    if welcome:
        assert (await OpenAuthenticator().authenticate(headers)).owner == "local"
        return
    with pytest.raises(APIError) as caught:
        await OpenAuthenticator().authenticate(headers)
    assert (caught.value.status, caught.value.type) == (403, "permission_error")


def test_programs_on_this_machine_need_no_key(plain):
    assert call(plain().url, "GET", "/echo", headers={"host": "anything.example"}).json()["owner"] == "local"


async def test_a_malformed_origin_is_foreign():
    with pytest.raises(APIError):
        await OpenAuthenticator().authenticate([(b"host", b"localhost"), (b"origin", b"http://[::1")])
