"""A backend with every route beside chat completions: it computes small answers of what it is sent, and keeps requests."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from antiphon.server.http.multipart import Field, parse_form

Json = dict[str, Any]

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SOUND = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 40
MODELS = {
    "text-embedding-mini": "embedding",
    "bge-reranker": "rerank",
    "gpt-image-small": "image",
    "tts-small": "tts",
    "whisper-small": "stt",
    "babbage": "chat",
    "text-moderation-small": "moderation",
}
DIMENSIONS = 8


def vector(text: str | list[int], dimensions: int = DIMENSIONS) -> list[float]:
    """Return numbers that belong to a text."""
    digest = hashlib.sha256(json.dumps(text).encode()).digest()
    return [byte / 256 - 0.5 for byte in digest[:dimensions]]


def tokens(text: Any) -> int:
    """Return a count of tokens: words, or the tokens themselves."""
    return len(text.split()) if isinstance(text, str) else len(text)


class EveryRoute(BaseHTTPRequestHandler):
    """Answers by the path. `seen` has path, headers and body of each request; `broken` replaces an answer by path."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, Json, Any]]] = []
    broken: ClassVar[dict[str, Callable[[EveryRoute], None]]] = {}
    absent: ClassVar[set[str]] = set()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.json({"object": "list", "data": [{"id": id, "object": "model", "type": of} for id, of in MODELS.items()]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        said: Any = parse_form(body, kind.encode()) if kind.startswith("multipart/") else json.loads(body)
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, said))
        path = self.path.removeprefix("/v1")
        if path in self.broken:
            self.broken[path](self)
        elif path in self.absent or path not in ANSWERS:
            self.json({"detail": "Not Found"}, 404)
        else:
            ANSWERS[path](self, said)

    def json(self, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.bytes(json.dumps(value).encode(), "application/json", status)

    def bytes(self, body: bytes, kind: str, status: int = 200) -> None:
        """Answer with bytes."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def events(self, *events: Any) -> None:
        """Answer with events."""
        frames = [b"data: %b\n\n" % json.dumps(event).encode() for event in events]
        self.bytes(b"".join([*frames, b"data: [DONE]\n\n"]), "text/event-stream")


def embeddings(handler: EveryRoute, said: Json) -> None:
    texts = said["input"]
    if isinstance(texts, str) or isinstance(texts[0], int):
        texts = [texts]
    size = said.get("dimensions") or DIMENSIONS
    found: list[Any] = [vector(text, size) for text in texts]
    if said.get("encoding_format") == "base64":
        found = [base64.b64encode(struct.pack(f"<{size}f", *one)).decode() for one in found]
    used = sum(map(tokens, texts))
    data = [{"object": "embedding", "index": place, "embedding": one} for place, one in enumerate(found)]
    handler.json(
        {"object": "list", "data": data, "model": said["model"], "usage": {"prompt_tokens": used, "total_tokens": used}}
    )


def shared_words(query: str, text: str) -> float:
    words = set(query.lower().split())
    return len(words & set(text.lower().split())) / len(words)


def rerank(handler: EveryRoute, said: Json) -> None:
    documents = [one if isinstance(one, str) else one["text"] for one in said["documents"]]
    scores = [shared_words(said["query"], text) for text in documents]
    results = [{"index": place, "relevance_score": score} for place, score in enumerate(scores)]
    handler.json({"id": "r-1", "model": said["model"], "results": results, "usage": {"total_tokens": 9}})


def completions(handler: EveryRoute, said: Json) -> None:
    prompts = said["prompt"] if isinstance(said["prompt"], list) else [said["prompt"]]
    texts = [f"Echo: {prompt}" for prompt in prompts]
    used = sum(map(tokens, prompts))
    usage = {"prompt_tokens": used, "completion_tokens": 2, "total_tokens": used + 2}
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": said["model"]}
    if said.get("stream"):
        words = texts[0].split(" ")
        chunks = [{**head, "choices": [{"index": 0, "text": word, "finish_reason": None}]} for word in words]
        end = {**head, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
        handler.events(*chunks, end, {**head, "choices": [], "usage": usage})
        return
    choices = [{"index": place, "text": text, "finish_reason": "stop"} for place, text in enumerate(texts)]
    handler.json({**head, "choices": choices, "usage": usage})


def pictures(handler: EveryRoute, said: Any) -> None:
    told = {name: value.text if isinstance(value, Field) else value for name, value in said.items()}
    data = base64.b64encode(PICTURE).decode()
    details = {"text_tokens": 5, "image_tokens": 0}
    usage = {"input_tokens": 5, "output_tokens": 20, "total_tokens": 25, "input_tokens_details": details}
    if str(told.get("stream")).lower() == "true":
        handler.events(
            {"type": "image_generation.partial_image", "b64_json": data, "partial_image_index": 0},
            {"type": "image_generation.completed", "b64_json": data, "usage": usage},
        )
        return
    count = int(told.get("n") or 1)
    handler.json({"created": 1, "data": [{"b64_json": data}] * count, "usage": usage})


def speech(handler: EveryRoute, said: Json) -> None:
    if said.get("stream_format") == "sse":
        audio = base64.b64encode(SOUND).decode()
        usage = {"input_tokens": 2, "output_tokens": 7, "total_tokens": 9}
        handler.events({"type": "speech.audio.delta", "audio": audio}, {"type": "speech.audio.done", "usage": usage})
        return
    handler.bytes(SOUND, "audio/wav")


def transcription(handler: EveryRoute, said: dict[str, Field]) -> None:
    text = f"{len(said['file'].content)} bytes of {said['file'].filename}"
    form = said["response_format"].text if "response_format" in said else "json"
    if "stream" in said and said["stream"].text == "true":
        handler.events({"type": "transcript.text.delta", "delta": text}, {"type": "transcript.text.done", "text": text})
    elif form in ("text", "srt", "vtt"):
        handler.bytes(text.encode(), "text/plain; charset=utf-8")
    else:
        handler.json(
            {"text": text, "usage": {"type": "tokens", "input_tokens": 4, "output_tokens": 3, "total_tokens": 7}}
        )


def moderations(handler: EveryRoute, said: Json) -> None:
    texts = said["input"] if isinstance(said["input"], list) else [said["input"]]
    results = []
    for text in texts:
        words = text if isinstance(text, str) else text.get("text", "")
        bad = "kill" in words
        results.append(
            {
                "flagged": bad,
                "categories": {"violence": bad, "hate": False},
                "category_scores": {"violence": 0.97 if bad else 0.01, "hate": 0.0},
                "category_applied_input_types": {"violence": ["text"], "hate": ["text"]},
            }
        )
    handler.json({"id": "modr-1", "model": said["model"], "results": results})


ANSWERS: dict[str, Callable[[EveryRoute, Any], None]] = {
    "/embeddings": embeddings,
    "/rerank": rerank,
    "/completions": completions,
    "/images/generations": pictures,
    "/images/edits": pictures,
    "/images/variations": pictures,
    "/audio/speech": speech,
    "/audio/transcriptions": transcription,
    "/audio/translations": transcription,
    "/moderations": moderations,
}
