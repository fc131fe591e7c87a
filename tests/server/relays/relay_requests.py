"""A request for each relayed route, and servers that relay it."""

from __future__ import annotations

import json
from typing import Any

from antiphon.config import KeyConfig
from tests.server.handlers import call
from tests.server.relays.every_route import PICTURE, SOUND, EveryRoute
from tests.server.whole import Client

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


def fault(body: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(body)["error"]
    return error


def redirect(handler: EveryRoute) -> None:
    handler.send_response(302)
    handler.send_header("location", "http://127.0.0.1:1/")
    handler.send_header("content-length", "0")
    handler.end_headers()


def refuses(server: Client, body: bytes, param: str) -> None:
    """Send an edit that must not reach the backend."""
    seen = len(EveryRoute.seen)
    answer = call(server.url, "POST", "/v1/images/edits", body, {"authorization": "Bearer all"})
    assert (answer.status, fault(answer.body)["param"]) == (400, param)
    assert len(EveryRoute.seen) == seen
