"""What the tests run in processes of their own: python -m … COMMAND PATH ARGUMENT."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import count
from pathlib import Path

from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite

from .samples import response


def start(command: str, path: Path, argument: str = "") -> subprocess.Popen[str]:
    """Start a process that runs one of the functions below."""
    package = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, "-m", f"{package.name}.processes", command, str(path), argument],
        cwd=package.parent,
        stdout=subprocess.PIPE,
        text=True,
    )


async def put(store: Store) -> None:
    """Put without end, 32 at a time; say each number once it is acknowledged."""
    numbers = count()

    async def putter() -> None:
        for number in numbers:
            await store.responses.put(response(number, outputs=5))
            print(number, flush=True)

    await asyncio.gather(*(putter() for _ in range(32)))


async def claim(store: Store, worker: str) -> None:
    """Claim until nothing is left; say each response's id."""
    while (job := await store.jobs.claim(worker, 0.0, 60.0)) is not None:
        print(job.response_id, flush=True)


async def fork(store: Store, worker: str) -> None:
    """Put 100 responses behind response 0, each with a child."""
    for number in range(int(worker), int(worker) + 100):
        await store.responses.put(response(number, previous_response_id=response(0).id))
        await store.responses.put(response(number + 50_000, previous_response_id=response(number).id))


async def main(command: str, path: str, argument: str) -> None:
    store = open_sqlite(path)
    print("open", flush=True)
    match command:
        case "put":
            await put(store)
        case "claim":
            await claim(store, argument)
        case "fork":
            await fork(store, argument)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
