"""How the cost of a parser grows with its input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable

from tests.bounds import bound

SLACK = 3.0
"""How many times dearer than linear growth would be; a square is 8 times dearer at 8 times the size."""

TOO_SHORT = 0.02
"""CPU seconds below which nothing is said: that is cheap enough, whatever its shape."""


def cpu_time(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this thread: the best of three, unless the first is cheap enough."""
    first = _once(work)
    return first if first < TOO_SHORT else min(first, _once(work), _once(work))


def _once(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def assert_linear(cost: Callable[[int], float], size: int, times: int = 8, tries: int = 3) -> None:
    """Make sure that an input `times` as large as `size` costs no more than `times` as much, with some slack.

    `cost` is given a size and returns CPU seconds. It is measured up to `tries` times: what else runs on the machine makes
    some of the measurements dearer, and a square is dearer in each.
    """
    seen: list[str] = []
    for _ in range(tries):
        large = cost(size * times)
        if large < TOO_SHORT:
            return
        small = max(cost(size), TOO_SHORT / times)
        if large < small * times * SLACK:
            return
        seen.append(f"{size}: {small:.4f} s, {size * times}: {large:.4f} s")
    raise AssertionError(seen)


class Delay:
    """The longest time that the event loop did nothing else, in seconds."""

    def __init__(self) -> None:
        self.worst = 0.0

    @property
    def bearable(self) -> bool:
        """Tell whether it was below 50 ms; on a machine with more to do than processors, as many times as long."""
        return self.worst < bound(0.05) * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextlib.asynccontextmanager
async def loop_delay() -> AsyncIterator[Delay]:
    """Measure the event loop's delay meanwhile, in seconds."""
    delay = Delay()

    async def tick() -> None:
        while True:
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(0.001)
            blocked = min(time.perf_counter() - began, time.process_time() - cpu)  # others' work is not ours
            delay.worst = max(delay.worst, blocked - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield delay
    finally:
        ticking.cancel()
