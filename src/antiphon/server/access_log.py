"""A line for each request on the logger `antiphon.access`: what was asked, what came of it. No prompt, no key, no query."""

from __future__ import annotations

import logging

from antiphon.server.record import Record

log = logging.getLogger("antiphon.access")


class AccessLog:
    """Writes the lines (a `record.Watcher`). With the level above `info` it costs nothing."""

    def answered(self, record: Record) -> None:
        """Log a request; the fields are there by name for those who read JSON."""
        if not log.isEnabledFor(logging.INFO):
            return
        fields: dict[str, object] = {
            "ms": round(record.seconds * 1000, 1),
            "request_id": record.request_id,
        }
        if model := record.model:
            fields["model"] = model
        if usage := record.usage:
            fields["input_tokens"] = usage.input_tokens
            fields["output_tokens"] = usage.output_tokens
        if error := record.error:
            fields["error"] = error.code or error.type
        path = record.raw_path.decode("ascii", "backslashreplace")
        log.info("%s %s %d", record.method, path, record.status, extra=fields)
