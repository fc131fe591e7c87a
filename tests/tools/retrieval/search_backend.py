"""A backend with the models that search asks: embeddings that know some synonyms, a reranker, a model that rewrites queries."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.server.whole import upstream

Json = dict[str, Any]

SYNONYMS = {
    word: meaning
    for meaning, words in {"car": "car cars automobile automobiles", "mend": "mend mended repair repaired"}.items()
    for word in words.split()
}
SIZE = 48


def embedded(text: str, size: int = SIZE) -> list[float]:
    """Return the sum of fixed random vectors of a text's meanings; zeros for a text without words."""
    total = [0.0] * size
    for word in re.findall(r"\w+", text.lower()):
        chance = random.Random(SYNONYMS.get(word, word))
        total = [value + chance.gauss(0, 1) for value in total]
    return total


class SearchBackend:
    """What the backend does, and what it was asked. `status` other than 200: it refuses; `failures`: so often, then no more."""

    def __init__(self) -> None:
        self.status = 200
        self.failures = 0
        self.refusal = "It is broken."
        self.longest = 10_000  # characters of a text
        self.most = 100  # texts at once
        self.size = SIZE
        self.rewritten = "car"
        self.texts: list[str] = []  # that were embedded
        self.asked: list[tuple[str, Json]] = []

    def answer(self, path: str, request: Json) -> tuple[int, Json]:
        """Return the status and body of an answer."""
        self.asked.append((path, request))
        if self.status != 200 or self.failures > 0:
            self.failures -= 1
            return (self.status if self.status != 200 else 503), {"error": {"message": self.refusal}}
        if path.endswith("/embeddings"):
            return self._embeddings(request["input"])
        if path.endswith("/rerank"):
            scores = [10.0 if "best" in text else -3.0 for text in request["documents"]]
            ranked = [{"index": place, "relevance_score": score} for place, score in enumerate(scores)]
            return 200, {"results": ranked[::-1]}
        message = {"role": "assistant", "content": self.rewritten}
        usage = {"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}

    def _embeddings(self, texts: list[str]) -> tuple[int, Json]:
        if len(texts) > self.most:
            return 413, {"error": {"message": f"batch size {len(texts)} > maximum allowed batch size {self.most}"}}
        if max(map(len, texts)) > self.longest:
            return 500, {"error": {"message": "input is too large to process. increase the physical batch size"}}
        self.texts += texts
        data = [{"index": place, "embedding": embedded(text, self.size)} for place, text in enumerate(texts)]
        return 200, {"object": "list", "data": data[::-1]}


@contextmanager
def search_backend() -> Iterator[tuple[str, SearchBackend]]:
    """Run a backend; gives its base URL, and what it does."""
    state = SearchBackend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._send(*state.answer(self.path, request))

        def _send(self, status: int, answer: Json) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with upstream(Handler) as url:
        yield url, state
