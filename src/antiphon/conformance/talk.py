"""What a check does with the server: requests, and what it says of the answers."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from antiphon.conformance.base import Check, NonConforming, NotOffered, SeenExchange, ServerUnderTest
from antiphon.conformance.readable import readable
from antiphon.conformance.shapes import ERROR, ObjectShape
from antiphon.conformance.wire import MOST_EVENTS, Answered, CheckRequest, Json, Socket, Streamed, Wire, decoded
from antiphon.core.json_encoding import to_json

SHOWN = 1500
"""Characters of a request, and of an answer, that are kept to show."""
KEPT = 3
"""Exchanges of a check that are kept to show."""
LONG_ID = 24
_MOST_LACKS = 8
_ABSENT = (405, 501)
_OTHER = (401, 403, 408, 429)
"""Refusals that are about who asks, and when."""
_UNSUPPORTED = (
    *("not support", "unsupported", "not implemented", "not enabled", "disabled", "not available"),
    *("is not set", "not configured", "missing credentials", "must be created with"),
)
"""How servers say that they do not have what a request asks for."""


class CheckTalk:
    """A check's talk with the server. What it makes there is deleted at the end."""

    def __init__(self, wire: Wire, check: Check) -> None:
        self.target: ServerUnderTest = wire.target
        self.model = wire.target.model
        self.lacking: list[str] = []
        self.exchanges: deque[SeenExchange] = deque(maxlen=KEPT)
        self._wire = wire
        self._optional = check.optional
        self._about_errors = check.area == "errors"
        self._answered = False
        self._made: list[str] = []

    # What is said of answers

    def need(self, true: object, words: str) -> None:
        """Say that without this clients break. Raises NonConforming."""
        if not true:
            raise NonConforming(words)

    def want(self, true: object, words: str) -> None:
        """Say that this is missing, and go on."""
        if not true and words not in self.lacking and len(self.lacking) < _MOST_LACKS:
            self.lacking.append(words)

    def fits(self, value: Any, shape: ObjectShape, where: str) -> Json:
        """Return an object that has the shape. Raises NonConforming."""
        for fault in shape.faults(value, where):
            raise NonConforming(fault)
        for words in shape.lacks(value, where):
            self.want(False, words)
        found: Json = value
        return found

    # Requests

    async def send(self, method: str, path: str, body: Json | None = None) -> Answered:
        """Return whatever comes."""
        return await self._send(CheckRequest(method, path, b"" if body is None else to_json(body)))

    async def ok(self, method: str, path: str, body: Json | None = None) -> Json:
        """Return the object of an answer that must be a success. Raises NonConforming, NotOffered."""
        return self._object(await self.send(method, path, body), f"{method} {path}")

    async def bytes_of(self, path: str) -> bytes:
        """Return the bytes of what can be downloaded. Raises NonConforming, NotOffered."""
        answer = await self.send("GET", path)
        self._succeeded(answer, f"GET {path}")
        return answer.body

    async def upload(self, path: str, name: str, data: bytes, **fields: str) -> Json:
        """Send a form with a file. Raises NonConforming, NotOffered."""
        mark = secrets.token_hex(16)
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}\r\n' for key in fields]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = "".join([*parts, head]).encode() + data + f"\r\n--{mark}--\r\n".encode()
        asked = CheckRequest("POST", path, body, f"multipart/form-data; boundary={mark}")
        return self._object(await self._send(asked), f"POST {path}")

    async def refused(self, method: str, path: str, body: Json | bytes, *, statuses: tuple[int, ...] = (400,)) -> Json:
        """Return the error of a request that must be refused, with one of the statuses. Raises NonConforming."""
        raw = body if isinstance(body, bytes) else to_json(body)
        answer = await self._send(CheckRequest(method, path, b"" if method in ("GET", "DELETE") else raw))
        self.need(answer.status >= 400, f"{method} {path}: {answer.status} instead of an error")
        self.need(
            answer.status < 500 or answer.status in _ABSENT, f"{method} {path}: {answer.status} for a client's error"
        )
        if answer.status in _ABSENT or (answer.status == 404 and 404 not in statuses):
            raise NotOffered(f"{method} {path}: {answer.status}")
        self.want(answer.status in statuses, f"{method} {path}: {answer.status}, not {' or '.join(map(str, statuses))}")
        value = answer.json
        error = value.get("error") if isinstance(value, dict) else None
        if isinstance(error, dict):
            return self.fits(error, ERROR, "error")
        (self.need if self._about_errors else self.want)(False, f"the body of {answer.status} has no error object")
        return {}

    async def events(self, path: str, body: Json, *, most: int = MOST_EVENTS) -> Streamed:
        """Return the events of a stream that must be a success; of a GET with an empty body. Raises NonConforming, NotOffered."""
        method = "POST" if body else "GET"
        asked = CheckRequest(method, path, to_json({**body, "stream": True}) if body else b"")
        streamed = await self._wire.stream(asked, most)
        if streamed.status != 200 or streamed.kind != "text/event-stream":
            answer = Answered(streamed.status, streamed.kind, b"".join(event.data for event in streamed.events))
            self._note(asked, answer)
            self._succeeded(answer, f"{method} {path}")
            raise NonConforming(f"a stream of type '{streamed.kind}', not text/event-stream")
        self._answered = True
        shown = b"\n".join(event.data for event in [*streamed.events[:3], *streamed.events[-3:]])
        self._note(asked, Answered(200, streamed.kind, shown))
        return streamed

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        """Open a WebSocket connection. Raises NotOffered."""
        self._note(CheckRequest("GET", "/responses (WebSocket)"), Answered(101, "", b""))
        async with self._wire.socket() as socket:
            yield socket

    def note(self, request: Json, answer: Any) -> None:
        """Keep a message of a connection, and what came of it, to be shown."""
        self._note(CheckRequest("MESSAGE", "", to_json(request)), Answered(0, "", to_json(answer)))

    def made(self, path: str) -> None:
        """Delete this at the end."""
        self._made.append(path)

    async def clean(self) -> None:
        """Delete what the check made, as far as the server lets it."""
        for path in reversed(self._made):
            try:
                await self._wire.send(CheckRequest("DELETE", path))
            except NonConforming:
                return

    async def pause(self, seconds: float) -> None:
        """Wait before the next look."""
        await asyncio.sleep(seconds)

    # Within

    async def _send(self, asked: CheckRequest) -> Answered:
        answer = await self._wire.send(asked)
        self._note(asked, answer)
        return answer

    def _object(self, answer: Answered, asked: str) -> Json:
        self._succeeded(answer, asked)
        value = answer.json
        self.need(isinstance(value, dict), f"{asked}: the answer is no JSON object")
        found: Json = value
        return found

    def _succeeded(self, answer: Answered, asked: str) -> None:
        answer = (
            Answered(answer.status, answer.kind, self._without_key(answer.body)) if answer.status >= 300 else answer
        )
        if 200 <= answer.status < 300:
            self._answered = True
            return
        words = f"{_short(asked)}: {answer.status} {_said(answer)}".strip()
        absent = answer.status in _ABSENT or (answer.status == 404 and (not self._answered or not is_error(answer)))
        says_so = any(part in words.lower() for part in _UNSUPPORTED) or (answer.status < 500 and not self._answered)
        if absent or (says_so and self._optional and answer.status not in _OTHER):
            raise NotOffered(words)
        raise NonConforming(words)

    def _note(self, asked: CheckRequest, answer: Answered) -> None:
        body = asked.body if asked.kind == "application/json" else b"(a form)"
        answered = self._without_key(answer.body)
        self.exchanges.append(
            SeenExchange(
                readable(f"{asked.method} {asked.path} {body[:SHOWN].decode(errors='replace')}", SHOWN),
                readable(f"{answer.status or ''} {answered[: 2 * SHOWN].decode(errors='replace')}", SHOWN),
            )
        )

    def _without_key(self, text: bytes) -> bytes:
        key = self.target.key.encode()
        return text.replace(key, b"***") if key else text


def is_error(answer: Answered) -> bool:
    """Tell whether an answer has an error object."""
    value = decoded(answer.body)
    return isinstance(value, dict) and isinstance(value.get("error"), dict)


def _short(asked: str) -> str:
    """Return a request's line with its ids cut: some are hundreds of characters long."""
    steps = asked.split("/")
    return "/".join(step if len(step) <= LONG_ID else f"{step[: LONG_ID // 2]}…" for step in steps)


def _said(answer: Answered) -> str:
    """Return an error's message, or the beginning of what came instead."""
    value = decoded(answer.body)
    error = value.get("error", value) if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return readable(message if isinstance(message, str) else answer.body[:400].decode(errors="replace"), 200)
