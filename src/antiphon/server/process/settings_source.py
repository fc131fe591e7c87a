"""Where settings come from while the server runs: loaded again on a signal, or when their file was written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from antiphon.config import Config
from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.server.process")

WATCH_INTERVAL = 1.0
"""Seconds between two looks at the file."""

Stamp = tuple[int, int, int]


class Source:
    """Settings that can be loaded again: `load` returns them, or raises ConfigError. A `file` is watched."""

    def __init__(self, load: Callable[[], Config], file: Path | None = None) -> None:
        self.load = load
        self.watches = file is not None
        self._file = file
        self._stamp = self._look()
        self._terminal = os.isatty(0)

    def hung_up(self) -> bool:
        """Tell whether a SIGHUP means what it says: the terminal that the server was started in is gone."""
        return self._terminal and not os.isatty(0)

    def touched(self) -> bool:
        """Tell whether the file has been written since the last look; one that is away for a moment has not."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        return True

    def _look(self) -> Stamp | None:
        try:
            found = self._file.stat() if self._file is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None


def reload(load: Callable[[], Config], use: Callable[[Config], None]) -> None:
    """Load settings and use them; where that fails, all stays as it was and the log says why."""
    try:
        use(load())
    except ConfigError as error:
        log.error("configuration not reloaded: %s", error)
    except Exception:
        log.exception("configuration: reloading failed")
