"""Relayed routes with hostile backends and clients; keys, scopes, limits, several backends, metrics and logs."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.core.model_types import MODEL_TYPES
from antiphon.server.api.relays.table import ROUTES
from tests.server.handlers import call
from tests.server.relays.every_route import SOUND, EveryRoute
from tests.server.relays.relay_requests import REQUESTS, fault, form, redirect, refuses
from tests.server.whole import Client


def ask(server: Client, path: str, key: str = "all", **more: str) -> tuple[int, Any, Any]:
    """Send the request of a row; return status, body and headers."""
    target, body, headers = REQUESTS[path]
    answer = call(server.url, "POST", target, body, {"authorization": f"Bearer {key}", **headers, **more})
    return answer.status, answer.body, answer


def test_every_row_has_a_request() -> None:
    assert set(REQUESTS) == {row.path for row in ROUTES}
    assert {row.type for row in ROUTES} <= set(MODEL_TYPES)


@pytest.mark.parametrize("path", REQUESTS)
def test_every_row_answers(server: Client, path: str) -> None:
    assert ask(server, path)[0] == 200


@pytest.mark.parametrize("path", REQUESTS)
def test_a_backend_without_the_route(server: Client, path: str) -> None:
    EveryRoute.absent |= {f"/v1{path}", path.removeprefix("/v2")}
    for _ in range(8):  # more often than a circuit breaker takes
        status, body, _ = ask(server, path)
        assert (status, fault(body)["code"], fault(body)["param"]) == (400, "unsupported_model", "model")
    EveryRoute.absent.clear()
    assert ask(server, path)[0] == 200


def page(handler: EveryRoute) -> None:
    handler.bytes(b"<html>Welcome</html>", "text/html")


def error_in_200(handler: EveryRoute) -> None:
    handler.json({"error": {"message": "kaputt"}})


def half(handler: EveryRoute) -> None:
    """Break off in the middle."""
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True


def words(handler: EveryRoute) -> None:
    handler.bytes(b"well", "application/json")


def deep(handler: EveryRoute) -> None:
    handler.bytes(b"[" * 50_000, "application/json")


def events(handler: EveryRoute) -> None:
    handler.events({"data": []})


def loud(handler: EveryRoute) -> None:
    handler.bytes(b'{"error": 1}', "APPLICATION/JSON; charset=utf-8")


@pytest.mark.parametrize("wrong", [page, error_in_200, half, words, deep, events, loud, redirect])
@pytest.mark.parametrize("path", REQUESTS)
def test_a_backend_that_answers_something_else(server: Client, path: str, wrong: Callable[[EveryRoute], None]) -> None:
    EveryRoute.broken[path.removeprefix("/v2")] = wrong
    status, body, _ = ask(server, path)
    assert status == 502, body
    assert fault(body)["type"] == "server_error"


def endless(handler: EveryRoute) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b'{"data": "' + b"x" * 1_000_000)
    except OSError:
        handler.close_connection = True


@pytest.mark.parametrize("path", ["/embeddings", "/images/generations", "/audio/transcriptions"])
def test_an_answer_without_end(server: Client, path: str) -> None:
    EveryRoute.broken[path] = endless
    status, body, _ = ask(server, path)
    assert (status, fault(body)["message"]) == (502, "The backend's answer is too large.")


def test_a_sound_that_breaks_off_is_not_whole(server: Client) -> None:
    def broken(handler: EveryRoute) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "audio/wav")
        handler.send_header("content-length", "100000")
        handler.end_headers()
        handler.wfile.write(SOUND)
        handler.close_connection = True

    EveryRoute.broken["/audio/speech"] = broken
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(server, "/audio/speech")


def test_a_stream_that_breaks_off_ends_with_an_error(server: Client) -> None:
    def broken(handler: EveryRoute) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("content-length", "100000")
        handler.end_headers()
        handler.wfile.write(b'data: {"choices": []}\n\n')
        handler.close_connection = True

    EveryRoute.broken["/completions"] = broken
    body = json.dumps({"model": "babbage", "prompt": "a", "stream": True}).encode()
    answer = call(server.url, "POST", "/v1/completions", body, {"authorization": "Bearer all"})
    assert b'"code":"backend_error"' in answer.body and answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", [path for path, (_, _, headers) in REQUESTS.items() if headers])
def test_forms_that_are_none(server: Client, path: str) -> None:
    target, body, headers = REQUESTS[path]
    key = {"authorization": "Bearer all"}

    def sent(data: bytes, **more: str) -> tuple[int, str]:
        answer = call(server.url, "POST", target, data, {**headers, **more, **key})
        return answer.status, fault(answer.body)["code"]

    assert sent(body[:-9]) == (400, "invalid_form")
    assert sent(b"nothing") == (400, "invalid_form")
    assert sent(body, **{"content-type": "multipart/form-data"}) == (400, "invalid_form")
    assert sent(form(path, **{f"f{n}": "a" for n in range(65)})[1]) == (400, "invalid_form")
    assert sent(form(path, file=b"x" * 100_001)[1]) == (413, "request_too_large")
    assert sent(form(path, model="whisper-small")[1])[0] == 400
    if path != "/images/edits":
        assert sent(b"{}", **{"content-type": "application/json"}) == (415, "unsupported_content_type")


@pytest.mark.parametrize("path", [path for path, (_, _, headers) in REQUESTS.items() if not headers])
def test_json_that_is_none(server: Client, path: str) -> None:
    target, body, _ = REQUESTS[path]
    for wrong in (
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 200,
        body.replace(b"}", b', "x": ' + b"[" * 400 + b"]" * 400 + b"}"),
    ):
        answer = call(server.url, "POST", target, wrong, {"authorization": "Bearer all"})
        assert answer.status == 400, answer.body
    answer = call(server.url, "POST", target, b"--b--", {"authorization": "Bearer all", "content-type": "multipart/x"})
    assert answer.status == 415


@pytest.mark.parametrize("value", [5, True, {}, [], None, "absent"], ids=repr)
@pytest.mark.parametrize(
    ("path", "name", "taken"),
    [
        ("/completions", "prompt", list),
        ("/rerank", "query", dict),
        ("/images/generations", "prompt", None),
        ("/audio/speech", "input", None),
        ("/images/edits", "prompt", None),
    ],
)
def test_a_text_that_is_none(server: Client, path: str, name: str, taken: type | None, value: Any) -> None:
    body = {"model": "m", "documents": ["a"], "images": [{"image_url": "data:image/png;base64,AA"}], name: value}
    if value == "absent":
        del body[name]
    if type(value) is taken:
        return  # for the backend to judge
    seen = len(EveryRoute.seen)
    answer = call(server.url, "POST", f"/v1{path}", json.dumps(body).encode(), {"authorization": "Bearer all"})
    assert (answer.status, fault(answer.body)["param"]) == (400, name)
    assert len(EveryRoute.seen) == seen


def test_names_in_a_form_cannot_add_fields(server: Client) -> None:
    body = form("", model="whisper-small", file=SOUND)[1].replace(
        b'filename="a.bin"', b'filename="a%22%0D%0A%0D%0A--b%0D%0Acontent-disposition: form-data; name=%22language"'
    )
    headers = {"authorization": "Bearer all", "content-type": "multipart/form-data; boundary=b"}
    assert call(server.url, "POST", "/v1/audio/transcriptions", body, headers).status == 200
    fields = EveryRoute.seen[-1][2]
    assert set(fields) == {"model", "file"}
    assert fields["file"].content == SOUND


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"images": [{"image_url": "http://127.0.0.1/x"}]}, "images[0].image_url"),
        ({"image": "http://127.0.0.1/x"}, "image"),
        ({"image_url": "http://127.0.0.1/x"}, "image_url"),
        ({"mask": {"image_url": {"url": "http://127.0.0.1/x"}}}, "mask.image_url.url"),
    ],
    ids=str,
)
def test_urls_in_json_are_not_fetched_by_the_backend(server: Client, fields: Any, param: str) -> None:
    plain = json.dumps({"model": "gpt-image-small", "prompt": "see http://127.0.0.1/", **fields}).encode()
    for body in (plain, plain.replace(b"/", b"\\/"), plain.replace(b"http", b"\\u0068ttp")):
        refuses(server, body, param)
