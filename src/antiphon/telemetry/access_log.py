"""Access log: a line for each request on the logger `antiphon.telemetry.access_log`, without prompt, key or query."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from antiphon.access.caller import LOCAL_OWNER
from antiphon.telemetry.log import LogEntry, TextFormatter, direct_handler
from antiphon.telemetry.request_record import Record

log = logging.getLogger("antiphon.telemetry.access_log")

BEAT = 0.1  # seconds that a line may wait

_TEMPLATE = vars(logging.LogRecord(log.name, logging.INFO, "", 0, "%s %s %d", (), None, "answered"))


class AccessLog:
    """Writes the lines, those of a tenth of a second together: one at a time they cost twice as much."""

    def __init__(self) -> None:
        self._waiting: list[Record] = []

    def answered(self, record: Record) -> None:
        """Take note of a request (`request_record.Watcher`); nothing where the level is above `info`."""
        if not self._waiting:
            if not log.isEnabledFor(logging.INFO):
                return
            asyncio.get_running_loop().call_later(BEAT, self.flush)
        self._waiting.append(record)

    def flush(self) -> None:
        """Write what waits."""
        records, self._waiting = self._waiting, []
        direct = direct_handler(log)
        if direct is None:
            for record in records:
                log.handle(_log_record(record))
            return
        # The server's own log, and nobody else: a LogRecord would cost four times as much as its line.
        handler, formatter = direct
        entries: Sequence[LogEntry]
        if isinstance(formatter, TextFormatter):
            entries = [(one.ended_at, _message(one) + _text(one), _NO_FIELDS) for one in records]
        else:
            entries = [(one.ended_at, _message(one), _fields(one)) for one in records]
        handler.take(formatter.lines("INFO", log.name, entries))


_NO_FIELDS: Mapping[str, object] = {}


def _path(record: Record) -> str:
    return record.raw_path.decode("ascii", "backslashreplace")


def _message(record: Record) -> str:
    return f"{record.method} {_path(record)} {record.status}"


def _text(record: Record) -> str:
    """Return `_fields` as a TextFormatter writes them: a line takes half the time without a dict of them."""
    caller, usage, tenths = record.caller, record.usage, int(record.seconds * 10_000 + 0.5)
    text = f" ms={tenths // 10}.{tenths % 10} request_id={record.request_id}"
    if record.client:
        text += f" client={record.client}"
    if caller is not None:
        if caller.owner != LOCAL_OWNER and caller.owner:
            text += f" owner={caller.owner}"
        if caller.meter:
            text += f" key={caller.meter}"
    if record.model:
        text += f" model={record.model}"
    if usage is not None:
        text += f" input_tokens={usage.input_tokens} output_tokens={usage.output_tokens}"
    return f"{text} error={record.error}" if record.error else text


def _fields(record: Record) -> dict[str, object]:
    """Return what stands behind the message by name."""
    caller, usage = record.caller, record.usage
    fields: dict[str, object] = {"ms": int(record.seconds * 10_000 + 0.5) / 10, "request_id": record.request_id}
    if record.client:
        fields["client"] = record.client
    if caller is not None:
        if caller.owner != LOCAL_OWNER and caller.owner:
            fields["owner"] = caller.owner
        if caller.meter:
            fields["key"] = caller.meter
    if record.model:
        fields["model"] = record.model
    if usage is not None:
        fields["input_tokens"] = usage.input_tokens
        fields["output_tokens"] = usage.output_tokens
    if record.error:
        fields["error"] = record.error
    return fields


def _log_record(record: Record) -> logging.LogRecord:
    """Return the log's record; the fields are there by name, as if by `extra=`, for those who read JSON."""
    # Made by hand: `log.info` would spend 5 µs more on where it was called from and on names of files.
    made = logging.LogRecord.__new__(logging.LogRecord)
    made.__dict__ |= _TEMPLATE
    made.__dict__ |= {"args": (record.method, _path(record), record.status), "created": record.ended_at}
    made.__dict__ |= {"msecs": record.ended_at % 1 * 1000, **_fields(record)}
    return made
