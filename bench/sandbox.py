"""What a sandbox of the code interpreter costs: `python -m bench.sandbox [ROUNDS [KIND]]`. Times in milliseconds, memory in MiB.

The processor time of a cold start is that of all processes of a sandbox until its first output, whatever else is running.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

from antiphon.composition.from_settings import make_sandboxes
from antiphon.config import CodeInterpreterConfig
from antiphon.tools.sandbox import watch
from antiphon.tools.sandbox.base import Sandbox
from antiphon.tools.sandbox.process import SandboxProcess

IDLE = 4  # containers that an owner may have running; they share the pages of Python


async def first_output(sandbox: Sandbox) -> None:
    """Run a cell."""
    await sandbox.run("1 + 1", 30, lambda *_: None)


def row(name: str, times: list[float]) -> None:
    """Print the least and the median."""
    print(f"{name:<28}{min(times) * 1e3:8.1f}{statistics.median(times) * 1e3:8.1f}")


def private(pids: list[int]) -> int:
    """Return the bytes that processes share with no other one, not even with each other."""
    found = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))
    return found


def used(sandbox: Sandbox) -> float:
    """Return the processor time of a sandbox's processes."""
    assert isinstance(sandbox, SandboxProcess)
    tasks = [task for pid in watch.processes(sandbox.pid) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def main(rounds: int, kind: str) -> None:
    """Measure."""
    sandboxes = make_sandboxes(CodeInterpreterConfig(sandbox=kind))  # type: ignore[arg-type]  # a name that is none fails
    await sandboxes.find()
    cold, warm, calls, spent = [], [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        sandbox = await sandboxes.start()
        await first_output(sandbox)
        cold.append(time.perf_counter() - began)
        spent.append(used(sandbox))
        await sandbox.close()
    for _ in range(rounds):
        sandboxes.warm()
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        sandbox = await sandboxes.start()
        await first_output(sandbox)
        warm.append(time.perf_counter() - began)
        if len(warm) < rounds:
            await sandbox.close()
    for _ in range(20 * rounds):
        began = time.perf_counter()
        await first_output(sandbox)
        calls.append(time.perf_counter() - began)
    print(f"{'':<28}{'least':>8}{'median':>8}")
    row("cold start to first output", cold)
    row("its processor time", spent)
    row("spare to first output", warm)
    row("one call", calls)
    for count in (1, IDLE):
        held = [sandbox, *[await sandboxes.start() for _ in range(count - 1)]]
        pids = [pid for one in held if isinstance(one, SandboxProcess) for pid in watch.processes(one.pid)]
        await asyncio.sleep(0.2)
        share, own = (size / count / (1 << 20) for size in (watch.held(pids, 0), private(pids)))
        print(
            f"idle, each of {count}: {share:.1f} MiB (its share of what it holds with others), {own:.1f} its own alone"
        )
        for other in held[1:]:
            await other.close()
    await sandbox.close()
    await sandboxes.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2] if len(sys.argv) > 2 else "auto"))
