"""Open files: the system's limit for this process, raised to what it may have.

A stream takes two: its client's connection and its backend's. Many systems start a process with room for 1,024.
"""

from __future__ import annotations

import contextlib

ENOUGH = 65_536
"""Files of a process with as many streams as one core carries; no more, for some programs that it starts close them all."""


def limit() -> int | None:
    """Return how many files this process may have open; None where the system does not tell, or has no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> int | None:
    """Raise the limit as far as this process may, to `ENOUGH` at most; return what it then is, as `limit` does."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = ENOUGH if hard == unlimited else min(ENOUGH, hard)
    if soft != unlimited and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit of its own beside
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()
