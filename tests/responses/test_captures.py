"""The ring of requests that went to backends: bounds, owners, secrets."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from antiphon.config.masking import SECRETS
from antiphon.responses.log.captures import CALL, ENTRY, SHARE, Captures, shown_body


def send(captures: Captures, response: str, *sizes: int, owner: str = "ann") -> None:
    told = captures.of(response, owner)
    assert told is not None
    for size in sizes:
        told("backend", "http://b/v1/chat/completions", b"x" * size)


def sizes(captures: Captures, response: str, owner: str = "ann") -> list[int]:
    return [len(call.body) for call in captures.read(response, owner)[0]]


ONE = ENTRY + CALL


def test_the_requests_of_a_response_come_back_in_order() -> None:
    captures = Captures(10_000)
    send(captures, "a", 10, 20)
    send(captures, "b", 30)
    assert (sizes(captures, "a"), sizes(captures, "b"), captures.size) == ([10, 20], [30], 60 + 2 * ENTRY + 3 * CALL)
    assert captures.read("a", "bob") == ((), 0)
    assert captures.read("c", "ann") == ((), 0)
    call = captures.read("b", "ann")[0][0]
    assert (call.backend, call.url) == ("backend", "http://b/v1/chat/completions")


def test_without_room_nothing_is_kept() -> None:
    assert Captures(0).of("a", "ann") is None


@pytest.mark.parametrize("size", [0, 20])
def test_the_oldest_response_makes_room(size: int) -> None:
    most = 5 * (ONE + size)
    captures = Captures(most)
    for name in "abcdefgh":
        send(captures, name, size)
        assert captures.size <= most
    assert [name for name in "abcdefgh" if sizes(captures, name)] == list("defgh")


def test_one_response_has_its_share() -> None:
    captures = Captures(SHARE * (ENTRY + 2 * CALL))
    send(captures, "a", 10)
    send(captures, "b", 10, 10, 10, 30, 5)
    assert (sizes(captures, "a"), sizes(captures, "b"), captures.size) == ([10], [5], 15 + 2 * ONE)
    assert captures.read("b", "ann")[1] == 4


def test_what_was_deleted_is_forgotten() -> None:
    captures = Captures(SHARE * (ONE + 10))
    send(captures, "a", 10)
    captures.forget("a")
    captures.forget("b")
    assert (captures.size, sizes(captures, "a")) == (0, [])


def test_what_is_counted_is_what_is_taken() -> None:
    captures = Captures(2_000_000)
    tracemalloc.start()
    try:
        for number in range(5000):
            send(captures, f"resp_{number:050}", 30, 40, 50)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert captures.size > 1_900_000
    assert taken < 1.2 * captures.size


MCP = {"type": "mcp", "server_label": "s", "server_url": "https://h/path?key=hidden", "authorization": "hidden-token"}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [MCP, {"type": "function", "name": "f", "parameters": {}}]},
        {"tools": [{**MCP, "headers": {"x": "hidden-header"}}], "input": "text"},
        {"input": [{"type": "additional_tools", "tools": [MCP]}]},
        {"mcp_servers": [{"type": "mcp", "authorization": "hidden"}]},
    ],
    ids=["tools", "headers", "brought", "mcp_servers"],
)
def test_declarations_lose_their_secrets(body: dict[str, object]) -> None:
    shown = shown_body(json.dumps(body).encode())
    assert b"hidden" not in shown
    assert json.loads(shown).keys() == body.keys()


def test_a_body_without_secrets_is_as_it_was_sent() -> None:
    body = (
        b'{"model" : "m",  "messages":[{"role":"user","content":"\\u00e4"}],"tools":[{"type":"function","name":"f"}]}'
    )
    assert shown_body(body) == body


def test_the_operators_secrets_are_masked() -> None:
    SECRETS.know(["very-secret-value"])
    try:
        assert b"very-secret-value" not in shown_body(b'{"metadata":{"a":"very-secret-value"}}')
    finally:
        SECRETS.know([])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"tools":[', b"\xff"])
def test_what_cannot_be_read_is_not_shown(body: bytes) -> None:
    assert json.loads(shown_body(body)) == "<redacted>"
