"""Progress of a download for the operator: one line that is overwritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

EVERY_SECONDS = 0.1
EVERY_PERCENT = 10


class Progress:
    """Prints the progress of a download. A Report, see `hub_client`."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._next_time = 0.0
        self._next_percent = 0
        self._name = ""

    def __call__(self, name: str, here: int, whole: int) -> None:
        percent = 100 * here // max(whole, 1)
        line = f"{name}: {percent} % of {whole / 1e6:,.0f} MB"
        if name != self._name:
            self._name, self._next_percent = name, 0
        if self._out.isatty():
            self._overwrite(line, done=here >= whole)
        elif percent >= self._next_percent:
            self._next_percent = percent - percent % EVERY_PERCENT + EVERY_PERCENT
            print(line, file=self._out, flush=True)

    def _overwrite(self, line: str, done: bool) -> None:
        now = time.monotonic()
        if done or now >= self._next_time:
            self._next_time = now + EVERY_SECONDS
            print(f"\r\x1b[2K{line}", end="\n" if done else "", file=self._out, flush=True)
