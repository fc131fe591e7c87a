"""Memory of the GPUs that llama.cpp uses, asked of a process of its own: `python -m antiphon.backends.llama.gpus`.

A process of its own, because drivers crash, and hold memory for as long as they are loaded.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

import msgspec

LOOK_SECONDS = 20.0
LARGEST_ANSWER = 65536

log = logging.getLogger("antiphon.backends.llama")


class GpuMemory(msgspec.Struct, frozen=True):
    """Bytes of all GPUs together: what they have, and what is free."""

    total: int = 0
    free: int = 0


Look = Callable[[], Awaitable[GpuMemory]]


class Gpus:
    """The GPUs of this machine. One without any is asked once; `layers` is the setting `engine.gpu_layers`, 0: none is used."""

    def __init__(self, layers: int, look: Look | None = None) -> None:
        self.seen = GpuMemory()
        self._look = look or _ask
        self._there = layers != 0

    async def memory(self) -> GpuMemory:
        """Return the memory as it is now; zeros where no GPU is used."""
        if self._there:
            self.seen = await self._look()
            self._there = self.seen.total > 0
        return self.seen


async def _ask() -> GpuMemory:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "antiphon.backends.llama.gpus"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return msgspec.json.decode(await process.stdout.read(LARGEST_ANSWER), type=GpuMemory)
    except (TimeoutError, ValueError, RecursionError):  # msgspec raises all of the latter two
        log.warning("the memory of GPUs cannot be read: models are held to the machine's own")
        return GpuMemory()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _measured() -> GpuMemory:
    """Ask llama.cpp, in this process."""
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    gpus = [one for one in xllamacpp.get_device_info() if one["type"] == kinds.GGML_BACKEND_DEVICE_TYPE_GPU]
    return GpuMemory(sum(one["memory_total"] for one in gpus), sum(one["memory_free"] for one in gpus))


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_measured()))
