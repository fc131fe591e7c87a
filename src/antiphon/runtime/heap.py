"""Heap: freed large memory blocks go back to the system.

glibc takes blocks from the system apart from its heap at first, but after the first large one that is given back it puts those
of up to 32 MiB among the small ones, where they leave holes: after a peak, most of its memory stays (docs/decisions.md).
What many requests at once have left free among the small blocks is given back from time to time.
"""

from __future__ import annotations

import asyncio
import ctypes

from antiphon.runtime.offload import LARGE, by_size

M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3
APART = 256 * 1024
"""Bytes from which a block is taken from the system by itself. Freed, it leaves no hole for small blocks that then stay there."""

KEPT = 16 * 1024 * 1024
"""Free bytes at the heap's end that are kept."""


def keep_large_blocks_apart() -> bool:
    """Fix the size from which blocks stand apart. Returns False where the C library has no such setting (musl, macOS)."""
    try:
        libc = ctypes.CDLL(None)
        # To fix the one fixes the other, at 128 KiB: each body of a request would go back to the system, and be taken anew.
        return bool(libc.mallopt(M_TRIM_THRESHOLD, KEPT)) and bool(libc.mallopt(M_MMAP_THRESHOLD, APART))
    except (AttributeError, OSError, TypeError):
        return False


TRIM_EVERY = 60.0
"""Seconds between two times that free pages among the small blocks go back: some milliseconds in a helper thread."""


async def trim_forever() -> None:
    """Give free pages of the heap back to the system, from time to time; ends where the C library cannot."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    while True:
        await asyncio.sleep(TRIM_EVERY)
        await by_size(LARGE, trim, 0)
