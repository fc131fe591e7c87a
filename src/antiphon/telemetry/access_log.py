"""Access log: a line for each request on the logger `antiphon.telemetry.access_log`, without prompt, key or query."""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec

from antiphon.access.caller import LOCAL_OWNER
from antiphon.telemetry.log import direct_handler
from antiphon.telemetry.request_record import Record
from antiphon.types.response import Usage

log = logging.getLogger("antiphon.telemetry.access_log")

BEAT = 0.1  # seconds that a line may wait

_TEMPLATE = vars(logging.LogRecord(log.name, logging.INFO, "", 0, "%s %s %d", (), None, "answered"))


class AccessLine(msgspec.Struct, frozen=True):
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
    owner: str = ""
    key: str = ""

    @property
    def path(self) -> str:
        """The path as text."""
        return self.raw_path.decode("ascii", "backslashreplace")

    def fields(self) -> dict[str, object]:
        """Return what stands behind the message by name."""
        fields: dict[str, object] = {"ms": int(self.seconds * 10_000 + 0.5) / 10, "request_id": self.request_id}
        if self.client:
            fields["client"] = self.client
        if self.owner:
            fields["owner"] = self.owner
        if self.key:
            fields["key"] = self.key
        if self.model:
            fields["model"] = self.model
        usage = self.usage
        if usage is not None:
            fields["input_tokens"] = usage.input_tokens
            fields["output_tokens"] = usage.output_tokens
        if self.error:
            fields["error"] = self.error
        return fields


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
        model, usage, error = record.outcome()
        caller = record.caller
        self._waiting.append(
            AccessLine(
                time.time(),
                record.method,
                record.raw_path,
                record.status,
                record.seconds,
                record.request_id,
                record.client,
                model,
                usage,
                (error.code or error.type) if error is not None else "",
                "" if caller is None or caller.owner == LOCAL_OWNER else caller.owner,
                "" if caller is None else caller.meter,
            )
        )

    def flush(self) -> None:
        """Write what waits."""
        lines, self._waiting = self._waiting, []
        direct = direct_handler(log)
        if direct is None:
            for line in lines:
                log.handle(_record(line))
            return
        # The server's own log, and nobody else: a LogRecord would cost four times as much as its line.
        handler, formatter = direct
        made = formatter.line
        handler.take(
            [made(one.when, "INFO", log.name, f"{one.method} {one.path} {one.status}", one.fields()) for one in lines]
        )


def _record(line: AccessLine) -> logging.LogRecord:
    """Return the log's record; the fields are there by name, as if by `extra=`, for those who read JSON."""
    # Made by hand: `log.info` would spend 5 µs more on where it was called from and on names of files.
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ |= _TEMPLATE
    record.__dict__ |= {"args": (line.method, line.path, line.status), "created": line.when}
    record.__dict__ |= {"msecs": line.when % 1 * 1000, **line.fields()}
    return record
