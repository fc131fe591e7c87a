"""Work that takes long for its size, off the event loop: two threads for all requests of the process, owners in turn.

They share the interpreter with the loop, so nothing gets faster; but no other stream stands still meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from antiphon.runtime.fair_turns import FairTurns
from antiphon.runtime.request_memory import owner

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes from which on a request is worked on in a thread: about 3 ms of decoding."""

THREADS = 2
"""Large requests that are worked on at once; each takes the loop 5 ms at most at a time (`sys.getswitchinterval`)."""

OF_OWNER = 1
"""Of those, the ones of one owner: two would not be faster, as most of the work keeps Python's lock."""

_threads = ThreadPoolExecutor(THREADS, "antiphon-large")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, FairTurns] = WeakKeyDictionary()


async def by_size(size: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a call returns, made in a thread where the data that it goes through has `LARGE` bytes or more."""
    if size < LARGE:
        return call(*args, **kwargs)
    loop = asyncio.get_running_loop()
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = FairTurns(THREADS, OF_OWNER)
    whose = owner()
    await turns.begin(whose)

    def end(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(turns.end, whose)

    work = _threads.submit(lambda: call(*args, **kwargs))
    work.add_done_callback(end)  # also where nobody waits for it any more: the thread is not free before
    return await asyncio.wrap_future(work)
