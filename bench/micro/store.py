"""What the store costs: CPU per put, get and history, and bytes on disk. Run: python bench/micro/store.py [--full].

With `--store URL` in a PostgreSQL database, which should be empty; the database's own CPU is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite, open_store
from antiphon.stores.records import LoggedEvent, StoredResponse
from antiphon.stores.sqlite.database import Synchronous

BODY = b'{"object":"response","output":' + b'[{"id":"msg_1","type":"message","text":"' + b"x" * 3950 + b'"}]}'
SPAN = (BODY.index(b"["), len(BODY) - 1)
INPUT = b'[{"id":"msg_2","type":"message","role":"user","content":"' + b"y" * 200 + b'"}]'


def response(number: int, previous: int | None = None, series: str = "a") -> StoredResponse:
    """Make a response with a body of 4 kB."""
    return StoredResponse(
        id=f"resp_{series}{number * 2654435761 % 2**32:08x}{number:031x}",
        owner="owner",
        model="model",
        status="completed",
        created_at=1_700_000_000,
        expires_at=1_800_000_000 + number,
        body=BODY,
        output_span=SPAN,
        input=INPUT,
        previous_response_id=None if previous is None else response(previous, None, series).id,
    )


async def report(label: str, count: int, work: Callable[[], Awaitable[object]]) -> None:
    """Run and print CPU per unit, in all and on the event loop's thread alone, and the wall time."""
    wall, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    await work()
    figures = (time.process_time() - cpu, time.thread_time() - own, time.perf_counter() - wall)
    cpu_us, own_us, wall_us = (1e6 * seconds / count for seconds in figures)
    print(f"{label:<44}{cpu_us:9.1f} µs CPU {own_us:9.1f} µs on the loop {wall_us:9.1f} µs wall")


async def puts(store: Store, rows: list[StoredResponse], putters: int) -> None:
    """Put all rows by so many concurrent callers."""
    pending = iter(rows)

    async def putter() -> None:
        for row in pending:
            await store.responses.put(row)

    await asyncio.gather(*(putter() for _ in range(putters)))


async def busy_puts(store: Store, rows: list[StoredResponse]) -> list[float]:
    """Put 64 at a time while the loop is kept busy; return the delays in seconds."""
    pending, delays = iter(rows), []

    async def request() -> None:
        for row in pending:
            end = time.perf_counter() + 200e-6
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)
            start = time.perf_counter()
            await store.responses.put(row)
            delays.append(time.perf_counter() - start)

    await asyncio.gather(*(request() for _ in range(64)))
    return sorted(delays)


async def history(store: Store, turns: int) -> None:
    """Build a chain and read it."""
    series = {10: "b", 100: "c", 1000: "d"}[turns]
    rows = [response(number, number - 1 if number else None, series) for number in range(turns)]

    async def build() -> None:
        for row in rows:
            await store.responses.put(row)

    await report(f"put, chained, one caller ({turns} turns)", turns, build)

    async def read() -> None:
        for _ in range(50):
            await store.responses.history(rows[-1].id, "owner")

    await report(f"history of {turns} turns, 4 kB each", 50, read)


async def run(folder: Path, count: int, synchronous: Synchronous) -> None:
    """Print all figures of the store in a file."""
    path = folder / "store.db"
    print(f"synchronous={synchronous}, {count} responses")
    total = await measure(open_sqlite(path, synchronous=synchronous), count)
    print(f"on disk: {path.stat().st_size / total:.0f} bytes per response ({len(BODY) + len(INPUT)} of JSON)")


async def measure(store: Store, count: int) -> int:
    """Print what everything costs, and close the store; return how many responses were put."""
    rows = [response(number) for number in range(count)]
    await report("put, 64 concurrent callers", count, lambda: puts(store, rows, 64))
    few, some = max(count // 10, 10), max(count // 4, 100)
    single = [response(number, None, "s") for number in range(few)]
    await report("put, one caller", few, lambda: puts(store, single, 1))
    busy = [response(number, None, "u") for number in range(some)]
    delays: list[float] = []

    async def under_load() -> None:
        delays.extend(await busy_puts(store, busy))

    await report("put, 64 callers + 200 µs of other work each", some, under_load)
    p50, p99 = delays[some // 2], delays[some * 99 // 100]
    print(f"    delay p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms, max {delays[-1] * 1e3:.2f} ms")

    async def gets() -> None:
        for row in rows[:some]:
            await store.responses.get(row.id, "owner")

    await report("get", min(some, count), gets)
    for turns in (10, 100, 1000):
        await history(store, turns)
    await events(store, count)
    await store.close()
    return count + few + some + 1110


async def events(store: Store, count: int) -> None:
    """Append events, 20 at a time."""
    row = response(1, None, "e")
    await store.responses.enqueue(row, b"{}", [])
    job = await store.jobs.claim("worker", 0.0, 60.0)
    assert job is not None

    async def append() -> None:
        for start in range(0, count, 20):
            batch = [LoggedEvent(n, "response.output_text.delta", b"x" * 200) for n in range(start, start + 20)]
            await store.jobs.append_events(row.id, job.fence, batch)

    await report("logged event, 20 per append", count, append)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="synchronous=FULL")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the database is written; default: a temporary folder")
    parser.add_argument("--store", help="URL of a PostgreSQL database to measure instead of a file")
    arguments = parser.parse_args()
    if arguments.store:
        asyncio.run(measure(open_store(arguments.store), arguments.count))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        asyncio.run(run(Path(folder), arguments.count, "FULL" if arguments.full else "NORMAL"))
    assert threading.active_count() == 1


if __name__ == "__main__":
    main()
