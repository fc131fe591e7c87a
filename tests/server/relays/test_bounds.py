"""Relayed routes with hostile backends and clients; keys, scopes, limits, several backends, metrics and logs."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from antiphon.core.model_types import MODEL_TYPES, said_type, type_by_name
from antiphon.server.api.relays.table import ROUTES
from antiphon.server.api.relays.usage import usage_in_tail
from tests.server.handlers import call
from tests.server.relays.every_route import MODELS, PICTURE, SOUND, EveryRoute
from tests.server.whole import Client, upstream, whole_server

KEYS = {
    "all": KeyConfig(key="all"),
    "old": KeyConfig(key="old", scopes=["responses", "tools"]),
    "vectors": KeyConfig(key="vectors", scopes=["embeddings"], models=["text-*"]),
    "painter": KeyConfig(key="painter", scopes=["images"], limits=["3 images/day"]),
    "few": KeyConfig(key="few", limits=["2 requests/day"]),
    "poor": KeyConfig(key="poor", limits=["60 tokens/day"]),
    "costly": KeyConfig(key="costly", limits=["1 cost/month"]),
}
VECTORS = {"model": "text-embedding-mini", "input": "one two three"}


STREAMED = json.dumps({"prompt": "a", "stream": True}).encode()


def form(path: str, **fields: str | bytes) -> tuple[str, bytes, dict[str, str]]:
    """Return a path, the body of a form, and its headers."""
    parts = []
    for name, value in fields.items():
        file = b'; filename="a.bin"' if isinstance(value, bytes) else b""
        content = value if isinstance(value, bytes) else value.encode()
        parts.append(
            b'--b\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name.encode(), file, content)
        )
    return path, b"".join([*parts, b"--b--\r\n"]), {"content-type": "multipart/form-data; boundary=b"}


REQUESTS: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "/completions": ("/v1/completions", json.dumps({"model": "babbage", "prompt": "a"}).encode(), {}),
    "/embeddings": ("/v1/embeddings", json.dumps(VECTORS).encode(), {}),
    "/rerank": ("/v1/rerank", json.dumps({"query": "a", "documents": ["a"]}).encode(), {}),
    "/v2/rerank": ("/v2/rerank", json.dumps({"query": "a", "documents": ["a"]}).encode(), {}),
    "/images/generations": ("/v1/images/generations", json.dumps({"prompt": "a"}).encode(), {}),
    "/images/edits": form("/v1/images/edits", prompt="a", image=PICTURE),
    "/images/variations": form("/v1/images/variations", image=PICTURE),
    "/audio/speech": ("/v1/audio/speech", json.dumps({"model": "tts-small", "input": "a"}).encode(), {}),
    "/audio/transcriptions": form("/v1/audio/transcriptions", model="whisper-small", file=SOUND),
    "/audio/translations": form("/v1/audio/translations", model="whisper-small", file=SOUND),
}
"""A request for each row of the table, as (path, body, headers)."""


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    models = {"text-costly": ModelConfig(name="text-embedding-mini", price_input=400_000.0)}
    with upstream(EveryRoute) as url, whole_server(url, keys=KEYS, models=models, max_form=100_000) as server:
        yield Client(server.url, "all")


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    yield
    EveryRoute.broken.clear()
    EveryRoute.absent.clear()


def ask(server: Client, path: str, key: str = "all", **more: str) -> tuple[int, Any, Any]:
    """Send the request of a row; return status, body and headers."""
    target, body, headers = REQUESTS[path]
    answer = call(server.url, "POST", target, body, {"authorization": f"Bearer {key}", **headers, **more})
    return answer.status, answer.body, answer


def fault(body: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(body)["error"]
    return error


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


def redirect(handler: EveryRoute) -> None:
    handler.send_response(302)
    handler.send_header("location", "http://127.0.0.1:1/")
    handler.send_header("content-length", "0")
    handler.end_headers()


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


def refuses(server: Client, body: bytes, param: str) -> None:
    """Send an edit that must not reach the backend."""
    seen = len(EveryRoute.seen)
    answer = call(server.url, "POST", "/v1/images/edits", body, {"authorization": "Bearer all"})
    assert (answer.status, fault(answer.body)["param"]) == (400, param)
    assert len(EveryRoute.seen) == seen


# Keys


def status_of(server: Client, key: str, path: str = "/embeddings", **fields: Any) -> tuple[int, str]:
    target, body, headers = REQUESTS[path]
    if fields:
        body = json.dumps(json.loads(body) | fields).encode()
    answer = call(server.url, "POST", target, body, {"authorization": f"Bearer {key}", **headers})
    return answer.status, fault(answer.body)["code"] if answer.status >= 400 else ""


@pytest.mark.parametrize("path", REQUESTS)
def test_keys_and_scopes(server: Client, path: str) -> None:
    row = next(row for row in ROUTES if row.path == path)
    assert status_of(server, "nobody", path)[0] == 401
    assert status_of(server, "old", path) == (403, "insufficient_scope")
    allowed = row.scope == "embeddings"
    status, _ = status_of(server, "vectors", path)
    assert (status == 403) != allowed


def test_models_of_a_key(server: Client) -> None:
    assert status_of(server, "vectors") == (200, "")
    assert status_of(server, "vectors", "/rerank", model="bge-reranker") == (400, "model_not_found")
    assert status_of(server, "vectors", "/rerank") == (400, "missing_required_parameter")
    listed = Client(server.url, "vectors").get("/v1/models?type=rerank")[1]["data"]
    assert listed == []


def test_limits_of_a_key(server: Client) -> None:
    assert [status_of(server, "few")[0] for _ in range(3)] == [200, 200, 429]
    for key, fields in (("poor", {"input": "one " * 40}), ("costly", {"model": "text-costly"})):
        answers = [status_of(server, key, **fields) for _ in range(8)]  # what reaches a budget is still answered
        assert (answers[0], answers[-1]) == ((200, ""), (402, "insufficient_quota"))


def test_pictures_of_a_key(server: Client) -> None:
    assert status_of(server, "painter", "/images/generations", n=2) == (200, "")
    EveryRoute.broken["/images/generations"] = redirect
    for _ in range(3):  # each gives its pictures back
        assert status_of(server, "painter", "/images/generations", n=9)[0] == 502
    EveryRoute.broken.clear()
    assert status_of(server, "painter", "/images/variations") == (200, "")
    assert status_of(server, "painter", "/images/edits") == (402, "insufficient_quota")
    assert status_of(server, "all", "/images/generations", n=11) == (400, "invalid_value")


def test_only_models_of_texts_answer_requests_that_name_none() -> None:
    with upstream(EveryRoute) as url, whole_server(url) as client:
        for path, fields in (
            ("/v1/responses", {"input": "a"}),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
        ):
            status, refused = client.post(path, **fields)
            assert (status, refused["error"]["message"]) == (502, "The backend does not support this endpoint.")
        assert [one["slug"] for one in client.get("/v1/models")[1]["models"]] == ["babbage"]


# Several backends, and who looks on


class Counting(EveryRoute, BaseHTTPRequestHandler):
    seen: ClassVar[list[Any]] = []
    absent: ClassVar[set[str]] = set()


def test_another_backend_answers_what_one_cannot() -> None:
    class Without(Counting):
        absent: ClassVar[set[str]] = {"/embeddings"}

    class Down(Counting):
        def do_POST(self) -> None:
            self.json({"error": {"message": "overloaded"}}, 503)

    for other in (Without, Down):
        with ExitStack() as stack:
            urls = [stack.enter_context(upstream(kind)) for kind in (other, Counting)]
            backends = {f"b{n}": BackendConfig(url=url) for n, url in enumerate(urls)}
            server = stack.enter_context(whole_server(backends=backends))
            for _ in range(4):
                assert server.post("/v1/embeddings", **VECTORS)[0] == 200


@pytest.mark.parametrize(("api", "status"), [("chat", 200), ("responses", 200), ("anthropic", 400), ("scripted", 400)])
def test_backends_of_all_kinds(api: str, status: int) -> None:
    with upstream(EveryRoute) as url:
        backends = {"one": BackendConfig(url=url, api=api)}
        models = {"vectors": ModelConfig(backends=["one"], name="text-embedding-mini")}
        with whole_server(backends=backends, models=models) as client:
            answered, body = client.post("/v1/embeddings", model="vectors", input="a")
    assert (answered, body.get("error", {}).get("code")) == (status, None if status == 200 else "unsupported_model")


def test_a_model_that_stands_in(server: Client) -> None:
    with upstream(EveryRoute) as url:
        backends = {"up": BackendConfig(url=url), "down": BackendConfig(url="http://127.0.0.1:9/v1", discover=False)}
        models = {
            "first": ModelConfig(backends=["down"], fallbacks=["second"]),
            "second": ModelConfig(backends=["up"], name="text-embedding-mini"),
        }
        with whole_server(backends=backends, models=models) as client:
            status, made = client.post("/v1/embeddings", model="first", input="a")
            assert (status, made["model"], len(made["data"])) == (200, "first", 1)


def test_metrics_and_the_access_log(server: Client, caplog: pytest.LogCaptureFixture) -> None:
    with upstream(EveryRoute) as url, whole_server(url, access_log=True) as client, caplog.at_level(logging.INFO):
        client.post("/v1/embeddings", **VECTORS)
        call(client.url, "POST", "/v1/images/generations", STREAMED)
        numbers = urllib.request.urlopen(f"{client.url}/metrics").read().decode()
    assert (
        'antiphon_requests_total{method="POST",route="/embeddings",status="200",model="text-embedding-mini"} 1'
        in numbers
    )
    assert 'antiphon_tokens_total{model="text-embedding-mini",kind="input"} 3' in numbers
    assert 'antiphon_tokens_total{model="gpt-image-small",kind="output"} 20' in numbers


@pytest.mark.parametrize(
    ("tail", "tokens"),
    [
        (b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\ndata: [DONE]', (3, 4)),
        (b'xxx", "usage":{"input_tokens":5,"output_tokens":20,"details":{"a":1}}}', (5, 20)),
        (b'"usage": null}\n{"usage": {"total_tokens": 9}}', (9, 0)),
        (b'{"usage": {"total_tokens": 9}} {"usage": null}', (9, 0)),
        (b'{"usage": {"type": "duration", "seconds": 3}}', None),
        (b'{"usage": {"total_tokens": "x"}}', None),
        (b'{"usage": {"total_tokens": 9', None),
        (b'"usage"' * 2000, None),
        (b'"usage":{' * 1500, None),
        (b"\xff\xfe", None),
    ],
)
def test_usage_at_the_end_of_a_stream(tail: bytes, tokens: tuple[int, int] | None) -> None:
    usage = usage_in_tail(tail)
    assert (None if usage is None else (usage.input_tokens, usage.output_tokens)) == tokens


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("text-embedding-3-small", "embedding"),
        ("BAAI/bge-m3", "embedding"),
        ("BAAI/bge-reranker-v2-m3", "rerank"),
        ("intfloat/e5-large", "embedding"),
        ("nomic-embed-text:latest", "embedding"),
        ("openai/whisper-large-v3", "transcription"),
        ("gpt-4o-transcribe", "transcription"),
        ("gpt-4o-mini-tts", "speech"),
        ("dall-e-3", "image_generation"),
        ("gpt-image-1", "image_generation"),
        ("black-forest-labs/FLUX.1-dev", "image_generation"),
        ("omni-moderation-latest", "moderation"),
        ("gpt-4.1", "text_generation"),
        ("watts-7b", "text_generation"),
        ("the-best-model", "text_generation"),
        ("ünïcödé", "text_generation"),
    ],
)
def test_types_by_name(name: str, type: str) -> None:
    assert type_by_name(name) == type


def test_types_of_the_settings_are_those_of_the_list() -> None:
    annotation = str(ModelConfig.__annotations__["type"])
    assert all(f"'{type}'" in annotation for type in MODEL_TYPES)
    assert {said_type(word) for word in MODELS.values()} == set(MODEL_TYPES)
    assert (said_type(["embed"]), said_type(["a", "b"]), said_type(3)) == ("embedding", "", "")
