"""Process metrics: CPU, memory and files, under the names of Prometheus' own clients."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from antiphon.runtime import open_files
from antiphon.telemetry.prometheus import Samples

_STATM = Path("/proc/self/statm")
_FDS = Path("/proc/self/fd")


def samples(born: float) -> Iterable[Samples]:
    """Return CPU time, memory, open files and the time of the start (`born`, Unix seconds); memory on Linux only."""
    yield _one("process_cpu_seconds_total", "CPU time.", time.process_time())
    yield _one("process_start_time_seconds", "Start, in Unix time.", born)
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[1])
        yield _one("process_resident_memory_bytes", "Memory.", pages * os.sysconf("SC_PAGE_SIZE"))
        yield _one("process_open_fds", "Open files.", len(os.listdir(_FDS)))
    most = open_files.limit()
    if most is not None:
        yield _one("process_max_fds", "Files that may be open.", most)


def _one(name: str, help: str, value: float) -> Samples:
    return Samples(name, help, values={(): value})
