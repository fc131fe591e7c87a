"""Relayed routes: what an odd backend answers on them, and the fields that requests need."""

from __future__ import annotations

from random import Random

JSON, WAV, HTML = b"application/json", b"audio/wav", b"text/html"

_HOSTILE = (
    (HTML, b"<html>Welcome</html>"),
    (JSON, b""),
    (JSON, b"{}"),
    (JSON, b"null"),
    (JSON, b"[" * 5000),
    (JSON, b'{"data": {"usage": ' * 3000),
    (JSON, b'{"error": {"message": "sk-0123456789abcdef at /home/x"}}'),
    (JSON, b'{"data": [{"embedding": [1e999]}], "usage": {"prompt_tokens": -5}}'),
    (JSON, b'{"data": [{"embedding": "////"}], "usage": {"prompt_tokens": 1e30}}'),
    (JSON, b'{"results": [{"index": 99999999999999999999, "relevance_score": 1}]}'),
    (JSON, b'"\xff"'),
    (JSON, b'"embedding":[' * 4000),
)
_FINE = {
    b"/embeddings": (JSON, b'{"data": [{"index": 0, "embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 1}}'),
    b"/rerank": (JSON, b'{"results": [{"index": 0, "relevance_score": 0.5}]}'),
    b"/moderations": (
        JSON,
        b'{"results": [{"flagged": true, "categories": {"hate": true}, "category_scores": {"hate": 2}}]}',
    ),
    b"/classify": (JSON, b'{"data": [{"label": "toxic", "probs": [0.5]}]}'),
    b"/images/generations": (JSON, b'{"data": [{"b64_json": "AAAA"}]}'),
    b"/images/edits": (JSON, b'{"data": [{"b64_json": "AAAA"}]}'),
    b"/images/variations": (JSON, b'{"data": [{"url": "https://example.com/a.png"}]}'),
    b"/audio/speech": (WAV, b"RIFF" * 100),
    b"/audio/transcriptions": (JSON, b'{"text": "a"}'),
    b"/audio/translations": (JSON, b'{"text": "a"}'),
}
PATHS = tuple(path.decode() for path in (*_FINE, b"/completions"))


def answer(random: Random, url: bytes) -> tuple[bytes, bytes] | None:
    """Return type and body of an answer, fine or hostile; None where the path is none of these."""
    path = url.removeprefix(b"/v1")
    if path == b"/completions":
        fine: tuple[bytes, bytes] | None = (JSON, b'{"choices": [{"index": 0, "text": "a"}]}')
    else:
        fine = _FINE.get(path)
    if fine is None:
        return None
    return random.choice(_HOSTILE) if random.random() < 0.5 else fine


def form_fields(random: Random, model: str) -> list[tuple[str, str | None, bytes]]:
    """Return the fields of a form beside its file."""
    return [
        ("model", None, model.encode()),
        ("prompt", None, random.choice((b"a", b"", b"x" * 2000))),
        (
            random.choice(("n", "stream", "response_format")),
            None,
            random.choice((b"1", b"-1", b"text", b"\xff", b"9" * 50)),
        ),
    ]
