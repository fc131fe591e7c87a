"""Logging of a server: one line for people, or one JSON object for machines. Keys and prompts are never logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal, TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
BEAT = 0.1  # seconds that a line may wait

_FIRST = len(vars(logging.makeLogRecord({})))
"""So many attributes stand before those of `extra=`."""

_COLORS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m", "DEBUG": "\x1b[2m"}
_QUIETER = ("uvicorn", "uvicorn.error", "asyncio", "mcp", "httpx2", "httpcore2")
"""Libraries that have nothing to say at `info`."""


LogEntry = tuple[float, str, Mapping[str, object]]
"""Unix seconds, the message, and the fields that `extra=` adds."""


class TextFormatter(logging.Formatter):
    """`12:00:00 warning backends: message key=value`, in colour on a terminal."""

    def __init__(self, *, color: bool = False) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        (line,) = self.lines(record.levelname, record.name, [(record.created, _message(record), _fields(record))])
        return f"{line}\n{_traceback(self, record)}" if record.exc_info else line

    def lines(self, level: str, logger: str, entries: Iterable[LogEntry]) -> list[str]:
        """Return a line for each entry."""
        shown = level.lower()
        if self._color and level in _COLORS:
            shown = f"{_COLORS[level]}{shown}\x1b[0m"
        start = f" {shown} {logger.removeprefix('antiphon.')}: "
        return [_local(int(created)) + start + _one_line(message, fields) for created, message, fields in entries]


class JsonFormatter(logging.Formatter):
    """An object in one line: time (UTC), level, logger, message, the fields that the call added, exception."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        if record.exc_info:
            fields["exception"] = _traceback(self, record)
        (line,) = self.lines(record.levelname, record.name, [(record.created, _message(record), fields)])
        return line

    def lines(self, level: str, logger: str, entries: Iterable[LogEntry]) -> list[str]:
        """Return an object for each entry."""
        from msgspec.json import encode

        shown = level.lower()
        return [
            encode(
                {
                    "time": f"{_utc(int(created))}.{int(created % 1 * 1000):03d}Z",
                    "level": shown,
                    "logger": logger,
                    "message": message,
                    **fields,
                },
                enc_hook=str,
            ).decode()
            for created, message, fields in entries
        ]


LineFormatter = TextFormatter | JsonFormatter


def _message(record: logging.LogRecord) -> str:
    """Return what is logged. Where something went wrong, it may be in others' words, which may hold a key."""
    message = record.getMessage()
    return message if record.levelno < logging.WARNING else _masked(message)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what `extra=` added, masked as the message is."""
    fields = extra_fields(record)
    if not fields or record.levelno < logging.WARNING:
        return fields
    return {name: _masked(value) if isinstance(value, str) else value for name, value in fields.items()}


def _masked(text: str) -> str:
    from antiphon.config.masking import masked_for_operators

    return masked_for_operators(text)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    assert record.exc_info
    return _masked(formatter.formatException(record.exc_info))


class PatientStream:
    """A pipe, file or terminal that is written only while it takes more: a server never waits for those who read its log.

    What does not fit is dropped; the next line that fits says how many were.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._dropped = 0

    def write(self, text: str) -> None:
        """Write lines, or drop what does not fit."""
        if self._dropped and self._poll.poll(0):
            text, self._dropped = f"({self._dropped} lines were dropped: nobody read them)\n{text}", 0
        data = text.encode(errors="backslashreplace")
        while data:
            if not self._poll.poll(0):
                self._dropped += data.count(b"\n")
                return
            end = data.rfind(b"\n", 0, select.PIPE_BUF) + 1 or select.PIPE_BUF  # as much as a pipe takes that is ready
            os.write(self._fd, data[:end])
            data = data[end:]

    def flush(self) -> None:
        """Do nothing: nothing is kept."""


class BeatHandler(logging.Handler):
    """Writes what came within a tenth of a second in one piece, while an event loop runs; warnings and worse at once.

    A line per request and a write per line would cost a short request a tenth more.
    """

    def __init__(self, stream: PatientStream | TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # whose beat is to come

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            self._lines.append(self.format(record))
            if record.levelno >= logging.WARNING or not self._beat_comes():
                self.flush()
        except Exception:
            self.handleError(record)

    def take(self, lines: Sequence[str]) -> None:
        """Take lines that are made already, below `warning`."""
        with self.lock or contextlib.nullcontext():
            self._lines += lines
            if not self._beat_comes():
                self.flush()

    def flush(self) -> None:
        """Write all that waits."""
        with self.lock or contextlib.nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                self._stream.write("\n".join([*lines, ""]))
                self._stream.flush()

    def _beat_comes(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(BEAT, self._beat)
        return True

    def _beat(self) -> None:
        self._loop = None
        self.flush()


def extra_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what `extra=` added to a record, such as `request_id`."""
    added = islice(vars(record).items(), _FIRST, None)
    return {name: value for name, value in added if name not in _STANDARD}


def direct_handler(logger: logging.Logger) -> tuple[BeatHandler, LineFormatter] | None:
    """Return what writes the lines of a logger, where nothing else looks at its records: then it needs none."""
    handlers: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        handlers += at.handlers
        at = at.parent if at.propagate else None
    if len(handlers) != 1 or logger.filters or logger.disabled:
        return None
    handler = handlers[0]
    if type(handler) is not BeatHandler or handler.filters or handler.level > logging.INFO:
        return None
    formatter = handler.formatter
    return (handler, formatter) if isinstance(formatter, TextFormatter | JsonFormatter) else None


def set_up(level: str, format: Literal["text", "json"] = "text", out: TextIO | None = None) -> None:
    """Send all logging to a stream, stderr by default."""
    # Nobody here prints these: a line costs half (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    stream = out or sys.stderr
    handler = BeatHandler(PatientStream(sys.stderr.fileno()) if out is None else out)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(color=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIETER:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("uvicorn.access").disabled = True


@lru_cache(maxsize=4)
def _local(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


@lru_cache(maxsize=4)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _one_line(message: str, fields: Mapping[str, object]) -> str:
    """Return a message and its fields in one line."""
    # `%`, or "=".join of pairs, would take longer.
    text = message + "".join([f" {name}={value}" for name, value in fields.items()]) if fields else message
    return text.replace("\r", "\\r").replace("\n", "\\n")
