"""Every answer that is not a success has the one error body, on every path and method (contract, "Errors")."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from antiphon.errors import APIError
from antiphon.runtime import unexpected_errors
from antiphon.server.http.messages import Reply, json_reply
from antiphon.server.http.response_head import AnswerForm
from antiphon.telemetry.metrics import Metrics
from tests.server.handlers import Probe, call, make_app
from tests.server.serving import Served, serving, wait_until

CASES = [
    ("GET", "/", 404, "not_found_error", "not_found"),
    ("GET", "/v1", 404, "not_found_error", "not_found"),
    ("POST", "/nothing", 404, "not_found_error", "not_found"),
    ("OPTIONS", "/nothing", 404, "not_found_error", "not_found"),
    ("BREW", "/nothing", 404, "not_found_error", "not_found"),
    ("GET", "/v1/v1/echo", 404, "not_found_error", "not_found"),
    ("GET", "/%ff%00%0a", 404, "not_found_error", "not_found"),
    ("GET", "/" + "x" * 5000, 404, "not_found_error", "not_found"),
    ("DELETE", "/echo", 405, "invalid_request_error", "method_not_allowed"),
    ("PATCH", "/v1/things/1", 405, "invalid_request_error", "method_not_allowed"),
    ("GET", "/ws", 426, "invalid_request_error", "upgrade_required"),
    ("GET", "/off", 426, "invalid_request_error", "upgrade_required"),
    ("POST", "/ws", 405, "invalid_request_error", "method_not_allowed"),
    ("GET", "/refuse", 429, "rate_limit_error", "rate_limit_exceeded"),
    ("GET", "/boom", 500, "server_error", "internal_error"),
]


@pytest.mark.parametrize(("method", "path", "status", "type", "code"), CASES)
def test_one_shape(plain, mode, method, path, status, type, code):
    if method == "BREW" and mode == "direct":
        method = "PROPFIND"  # the parser knows its methods: others are a 400, see test_http
    answer = call(plain(mode).url, method, path)
    assert answer.status == status
    error = answer.error()
    assert (error["type"], error["code"], error["param"]) == (type, code, "")


def test_405_names_what_is_allowed(plain, mode):
    assert call(plain(mode).url, "DELETE", "/v1/echo").headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_426_names_the_protocol(plain, mode):
    headers = call(plain(mode).url, "GET", "/off").headers
    assert (headers["upgrade"], headers["connection"]) == ("websocket", "upgrade")


def test_headers_of_an_error_are_sent(plain, mode):
    assert call(plain(mode).url, "GET", "/refuse").headers["retry-after"] == "3"


def test_a_head_request_gets_no_body_with_its_error(plain, mode):
    answer = call(plain(mode).url, "HEAD", "/nothing")
    assert (answer.status, answer.body) == (404, b"")


def test_a_bug_is_logged_with_its_request_id_and_not_told(plain, mode, caplog):
    with caplog.at_level(logging.ERROR, "antiphon.server"):
        answer = call(plain(mode).url, "GET", "/boom", headers={"x-request-id": "trace-me"})
    assert b"10.0.0.1" not in answer.body and b"sk-secret" not in answer.body and b"Traceback" not in answer.body
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "trace-me" in record.getMessage()


def test_an_exception_in_mid_stream_breaks_the_connection_off(plain, mode, caplog):
    """What looks complete must be complete: no last chunk."""
    raw = plain(mode).exchange(b"GET /break HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"data: 0\n\n" in raw and not raw.endswith(b"0\r\n\r\n")
    wait_until(lambda: any("in the middle" in str(record.exc_info) for record in caplog.records))


def test_errors_come_through_a_disconnected_upgrade(serve):
    served = serve(make_app(keys=("k",)))
    raw = served.exchange(
        b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert raw.startswith(b"HTTP/1.1 401") and b'"code":"missing_api_key"' in raw and b"x-request-id: req_" in raw


def test_a_bug_is_counted_where_it_was_caught(plain, mode):
    before = unexpected_errors.counts()["request"]
    call(plain(mode).url, "GET", "/boom")
    assert unexpected_errors.counts()["request"] == before + 1
    assert b'antiphon_internal_errors_total{where="request"} %d' % (before + 1) in Metrics().scrape()
    assert b'antiphon_internal_errors_total{where="turn"} ' in Metrics().scrape()


def _worded(error: APIError, request_id: str) -> Reply:
    return json_reply({"oops": error.message, "id": request_id}, error.status, [(b"x-kind", error.type.encode())])


FORM = AnswerForm(error=_worded, id_header=b"request-id", time_header=b"x-took")


@pytest.fixture(scope="module")
def own_form() -> Iterator[Served]:
    """A server with one route whose answers have a form of their own."""
    probe = Probe()
    app = make_app(probe, keys=("k",), max_body=1000)
    app.router.add("POST", "/own/{id}", probe.boom, form=FORM)
    app.router.add("POST", "/own/{id}/echo", probe.echo, form=FORM)
    app.router.add("POST", "/own/{id}/refuse", probe.refuse, form=FORM)
    with serving(app) as served:
        yield served


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/v1/own/1", {"authorization": "Bearer k"}, b"{}", 500),
        ("POST", "/own/1/refuse", {"authorization": "Bearer k"}, b"{}", 429),
        ("POST", "/own/1", {}, b"{}", 401),
        ("DELETE", "/own/1", {"authorization": "Bearer k"}, b"", 405),
        ("POST", "/own/1/echo", {"authorization": "Bearer k"}, b'"' + b"x" * 1000 + b'"', 413),
    ],
)
def test_a_route_words_its_errors_itself(own_form, method, path, headers, body, status):
    answer = call(own_form.url, method, path, body or None, {"x-request-id": "mine", **headers})
    assert answer.status == status
    assert set(answer.json()) == {"oops", "id"} and answer.json()["id"] == "mine"
    assert answer.headers["request-id"] == "mine" and answer.headers["x-kind"]
    assert answer.headers["x-took"].isdigit() and "x-request-id" not in answer.headers


def test_where_no_route_is_an_error_is_worded_as_ever(own_form):
    assert call(own_form.url, "POST", "/own", b"{}", {"authorization": "Bearer k"}).error()["code"] == "not_found"
