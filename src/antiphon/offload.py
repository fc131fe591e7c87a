"""Work that takes long for its size, off the event loop: two threads for all requests of the process.

They share the interpreter with the loop, so nothing gets faster; but no other stream stands still meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes from which on a request is worked on in a thread: about 3 ms of decoding."""

THREADS = 2
"""Large requests that are worked on at once; each takes the loop 5 ms at most at a time (`sys.getswitchinterval`)."""

_threads = ThreadPoolExecutor(THREADS, "antiphon-large")


async def by_size(size: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a call returns, made in a thread where the data that it goes through has `LARGE` bytes or more."""
    if size < LARGE:
        return call(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: call(*args, **kwargs))
