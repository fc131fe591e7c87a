"""The processes of a sandbox as the server sees them: how many, and how much memory they hold together."""

from __future__ import annotations

import os
from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")
MOST = 2000  # processes that are looked at


def processes(root: int) -> list[int]:
    """Return a process and all below it, as far as the system tells."""
    found: list[int] = []
    waiting = [root]
    while waiting and len(found) < MOST:
        pid = waiting.pop()
        found.append(pid)
        waiting += _children(pid)
    return found


def _children(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads[:MOST]:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                yield from map(int, file.read().split())
        except OSError:
            continue


def threads(pids: list[int]) -> int:
    """Return how many threads some processes have together."""
    count = 0
    for pid in pids:
        try:
            count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count


def held(pids: list[int], enough: int) -> int:
    """Return the bytes that processes hold. What they share is counted once, where the plain sum is above `enough`."""
    total = sum(map(_resident, pids))
    return total if total <= enough else sum(map(_proportional, pids))


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Return a process's share of what it holds with others; all of it where the system does not tell."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return _resident(pid)


def tasks_of(uid: int) -> int:
    """Return how many threads a user has: the system's limit of processes counts them all, on kernels before 5.14."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return count
