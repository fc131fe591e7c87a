"""Access log: a line for each request on the logger `antiphon.telemetry.access_log`, without prompt, key or query."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from antiphon.telemetry.request_record import Record
from antiphon.types.response import Usage

log = logging.getLogger("antiphon.telemetry.access_log")

BEAT = 0.1  # seconds that a line may wait

_TEMPLATE = vars(logging.LogRecord(log.name, logging.INFO, "", 0, "%s %s %d", (), None, "answered"))


class AccessLine(NamedTuple):
    """Fields of a line until it is written. `when` in Unix seconds."""

    when: float
    method: str
    raw_path: bytes
    status: int
    seconds: float
    request_id: str
    client: str
    model: str
    usage: Usage | None
    error: str


class AccessLog:
    """Writes the lines (a `Watcher`), those of a tenth of a second together: one at a time they cost twice as much."""

    def __init__(self) -> None:
        self._waiting: list[AccessLine] = []

    def answered(self, record: Record) -> None:
        """Take note of a request; nothing where the level is above `info`."""
        if not log.isEnabledFor(logging.INFO):
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(BEAT, self.flush)
        error = record.error
        self._waiting.append(
            AccessLine(
                time.time(),
                record.method,
                record.raw_path,
                record.status,
                record.seconds,
                record.request_id,
                record.client,
                record.model,
                record.usage,
                (error.code or error.type) if error is not None else "",
            )
        )

    def flush(self) -> None:
        """Write what waits."""
        lines, self._waiting = self._waiting, []
        for line in lines:
            log.handle(_record(line))


def _record(line: AccessLine) -> logging.LogRecord:
    """Return the log's record; the fields are there by name, as if by `extra=`, for those who read JSON."""
    path = line.raw_path.decode("ascii", "backslashreplace")
    # Made by hand: `log.info` would spend 5 µs more on where it was called from and on names of files.
    record = logging.LogRecord.__new__(logging.LogRecord)
    fields = record.__dict__
    fields.update(_TEMPLATE)
    fields["args"] = (line.method, path, line.status)
    fields["created"] = line.when
    fields["msecs"] = line.when % 1 * 1000
    fields["ms"] = round(line.seconds * 1000, 1)
    fields["request_id"] = line.request_id
    if line.client:
        fields["client"] = line.client
    if line.model:
        fields["model"] = line.model
    if line.usage is not None:
        fields["input_tokens"] = line.usage.input_tokens
        fields["output_tokens"] = line.usage.output_tokens
    if line.error:
        fields["error"] = line.error
    return record
