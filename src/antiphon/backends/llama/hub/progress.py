"""Progress of a download for the operator: a bar that is overwritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

EVERY_SECONDS = 0.1
EVERY_PERCENT = 10
BAR = 20
LEAST_NAME = 12
UNITS = (("GB", 1e9), ("MB", 1e6), ("KB", 1e3))


class Progress:
    """Prints the progress of a download. A Report, see `hub_client`."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out or sys.stderr
        self._clock = clock
        self._next_time = 0.0
        self._next_percent = 0
        self._name = ""
        self._began = (0.0, 0)

    def __call__(self, name: str, here: int, whole: int) -> None:
        percent = 100 * here // max(whole, 1)
        if name != self._name:
            self._name, self._next_percent, self._began = name, 0, (self._clock(), here)
        if self._out.isatty():
            self._overwrite(self._bar(here, whole, percent), done=here >= whole)
        elif percent >= self._next_percent:
            self._next_percent = percent - percent % EVERY_PERCENT + EVERY_PERCENT
            print(f"{name}: {percent} % of {whole / 1e6:,.0f} MB", file=self._out, flush=True)

    def _bar(self, here: int, whole: int, percent: int) -> str:
        """Return a line that fits the terminal: name, percent, bar, sizes, speed, time left."""
        began, first = self._began
        seconds = self._clock() - began
        speed = (here - first) / seconds if seconds > EVERY_SECONDS else 0.0
        left = f"  {size(speed)}/s  {_duration((whole - here) / speed)}" if speed else ""
        filled = "█" * (BAR * here // max(whole, 1))
        rest = f" {percent:3d}% ▕{filled:<{BAR}}▏ {size(here)}/{size(whole)}{left}"
        room = max(LEAST_NAME, shutil.get_terminal_size().columns - len(rest) - 1)
        name = self._name if len(self._name) <= room else f"{self._name[: room - 1]}…"
        return name + rest

    def _overwrite(self, line: str, done: bool) -> None:
        now = self._clock()
        if done or now >= self._next_time:
            self._next_time = now + EVERY_SECONDS
            print(f"\r\x1b[2K{line}", end="\n" if done else "", file=self._out, flush=True)


def size(count: float) -> str:
    """Return bytes as people read them, such as 4.7 GB."""
    for name, unit in UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}" if count < 10 * unit else f"{count / unit:.0f} {name}"
    return f"{count:.0f} B"


def _duration(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{left:02d}s" if minutes else f"{left}s"
