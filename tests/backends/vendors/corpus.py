"""The corpus of vendors: what engines and providers send, one folder each, with the source of every shape.

`NAME/vendor.toml` has `title`, `url` (as users write it), `profile` (what the address tells; `named`: what operators name
instead) or `api` (where that is not `chat`), and a table per shape (`SHAPES`). A shape's answer is either a recording
(`recording = "FILE"`, bytes of a real engine) or lines after a public source:

    + DELTA [FINISH]             a chunk: the vendor's `chunk` with this delta and finish reason
    = MESSAGE [FINISH] [USAGE]   a whole answer: the vendor's `whole` with this message
    : TEXT                       a comment line of the stream
    event: NAME                  the name of the next line's event
    anything else                the data of an event, or a whole body, as it stands

A shape that has no public record stands in the table `absent`: with the reason why the vendor has none, or empty.
`frame` is what stands around the data of an event; a shape's `done = false` leaves out the final `[DONE]`.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).parent
SHAPES = {
    "text": "text",
    "thoughts": "thoughts before the answer",
    "call": "one call",
    "parallel": "two calls in one answer",
    "schema": "an answer that follows a JSON Schema",
    "cut": "an answer that max_output_tokens cut off",
    "overflow": "a refusal: the input is longer than the context window",
    "rate_limit": "a refusal: too many requests",
    "broken": "an error in the middle of a stream",
}
MESSAGES = "anthropic"
"""The `api` of servers whose shapes are events of the Messages API, one per line."""
USAGE = '{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}'


@dataclass(frozen=True)
class Answer:
    """One HTTP answer of a vendor."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Shape:
    """One shape of a vendor: its answers, and what a client must get of it."""

    vendor: Vendor
    name: str
    fields: Json

    @property
    def source(self) -> str:
        """Where the shape was seen: an address, or `recorded` with the engine's version."""
        return str(self.fields["source"])

    @property
    def recorded(self) -> bool:
        """Tell whether it is a recording of the engine."""
        return self.source.startswith("recorded: ")

    @property
    def checked(self) -> bool:
        """Tell whether its source is a page that shows it, or a recording; not the root of the vendor's reference."""
        return self.recorded or len(self.source.rstrip("/").split("/")) > 4

    @property
    def counts(self) -> bool:
        """Tell whether the vendor's token counts are expected of it."""
        return "usage" in self.expected

    @property
    def expected(self) -> Json:
        """What the client must get, where it differs from the shape's usual values."""
        return dict(self.fields.get("expect", {}))

    def answer(self, streamed: bool) -> Answer | None:
        """Return what the vendor answers; None where the corpus has nothing of this mode."""
        kind = "text/event-stream" if streamed else "application/json"
        status = int(self.fields.get("status", 200))
        headers = {"content-type": kind if status == 200 else "application/json", **self.fields.get("headers", {})}
        if "body" in self.fields:
            return Answer(status, headers, self.fields["body"].strip().encode())
        # Servers of the Messages API are always asked for a stream, however the client wants its answer.
        lines = self.fields.get("stream" if streamed or self.vendor.api == MESSAGES else "whole")
        if lines is not None and self.vendor.api == MESSAGES:
            if self.name == "broken" and not streamed:
                return None  # a client that does not stream gets the error as its status
            return Answer(status, headers | {"content-type": "text/event-stream"}, _events(lines))
        if lines is None:
            return None
        if lines.endswith(".txt"):
            return recorded(self.vendor.folder / lines)
        done = self.fields.get("done", True)
        return Answer(status, headers, self.vendor.stream(lines, done) if streamed else self.vendor.whole(lines))


@dataclass(frozen=True)
class Vendor:
    """One engine or provider."""

    folder: Path
    fields: Json = field(repr=False)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def title(self) -> str:
        """The name as its makers write it."""
        return str(self.fields["title"])

    @property
    def api(self) -> str:
        """The API that it speaks, as a backend's setting has it."""
        return str(self.fields.get("api", "chat"))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Its shapes by name."""
        return {name: Shape(self, name, self.fields[name]) for name in SHAPES if name in self.fields}

    @property
    def absent(self) -> dict[str, str]:
        """The shapes of which there is no public record, with the reason where there is one."""
        return dict(self.fields.get("absent", {}))

    def stream(self, lines: str, done: bool = True) -> bytes:
        """Return the bytes of a stream; with a final `[DONE]` if `done`."""
        frame = self.fields.get("frame", "data: %s\n\n")
        frames = []
        for line in _lines(lines):
            if line.startswith((":", "event:")):
                frames.append(line + ("\n\n" if line[0] == ":" else "\n"))
            else:
                frames.append(frame % self._filled("+", "chunk", line))
        if done:
            frames.append(frame % "[DONE]")
        return "".join(frames).encode()

    def whole(self, lines: str) -> bytes:
        """Return the bytes of a whole answer."""
        return self._filled("=", "whole", " ".join(_lines(lines))).encode()

    def _filled(self, mark: str, template: str, line: str) -> str:
        """Return a line; one that begins with `mark` is put into the vendor's template."""
        if not line.startswith(mark):
            return line
        content, finish, usage = _parts(line[1:].strip())
        text = str(self.fields[template])
        for name, value in (("$content", content), ("$finish", finish), ("$usage", usage)):
            text = text.replace(name, value)
        json.loads(text)
        return text


def _parts(line: str) -> tuple[str, str, str]:
    """Return the JSON at the beginning, then a finish reason and the usage, both as JSON."""
    end = json.JSONDecoder().raw_decode(line)[1]
    finish, _, usage = line[end:].strip().partition(" ")
    return line[:end], json.dumps(finish or None), usage or USAGE


def _events(text: str) -> bytes:
    """Return events of the Messages API, each with the name that its data has."""
    return "".join(f"event: {json.loads(line)['type']}\ndata: {line}\n\n" for line in _lines(text)).encode()


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


_SIZE = re.compile(rb"(?:\A|\r\n)[0-9a-f]{1,8}(?:\r\n)+")
_READ = re.compile(rb"\n--- read \d+ at [0-9.]+ ms, \d+ bytes [A-Z]*\n")


def recorded(path: Path) -> Answer:
    """Read a recording: the reads of a socket, with `\\r\\n` written out, as the recorder wrote them."""
    raw = b"".join(_READ.split(b"\n" + path.read_bytes())[1:]).replace(b"\\r\\n\n", b"\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.pop("transfer-encoding", "") == "chunked":
        body = _unchunked(body)
    kept = {name: value for name, value in headers.items() if name in ("content-type", "retry-after")}
    return Answer(int(status.split()[1]), kept, body)


def _unchunked(body: bytes) -> bytes:
    """Return the content of chunks. Their sizes do not count: names of the machine were cut out of the recordings."""
    return _SIZE.sub(b"", body)


def vendors() -> dict[str, Vendor]:
    """Return all vendors by name."""
    return {
        path.parent.name: Vendor(path.parent, tomllib.loads(path.read_text()))
        for path in sorted(ROOT.glob("*/vendor.toml"))
    }
