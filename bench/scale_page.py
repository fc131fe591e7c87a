"""The section "Scale" of `docs/performance.md`: idle streams, paced ones, workers, servers on one database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.lab import Figures

HEADING = "## Scale"

NAMES = {
    "A64": "A64, µs/request",
    "D8d": "D8d, µs/request",
    "E": "E, µs/fragment",
    "C": "C, µs/token",
    "stored": "A64, stored, µs/request",
    "background": "background stream, µs/token",
    "resumed": "resumed stream, µs/token",
}


def section(found: Figures) -> str:
    """Return the section with those of its parts that were measured; nothing where none was."""
    parts = [*_idle(found), *_ladder(found), *_workers(found), *_replicas(found)]
    return "\n\n".join((HEADING, INTRODUCTION, *parts)) if parts else ""


INTRODUCTION = """Measured with `scripts/bench --only idle,many,workers,replicas --repeats 2`, in eight minutes.
[Where one process ends](scaling.md#where-one-process-ends) tells what follows from it."""

IDLE = """**{streams:,} idle streams** in one process, each with a connection to its backend and a keep-alive event every ten
seconds:"""

FILES = """The system let a process open {allowed:,} files. The server raises its limit to what the system allows (`ulimit -Hn`),
65,536 at most: 10,000 streams need 20,100."""

LADDER = """**Streams of five tokens a second** in one process, from a few to more than it carries. Averages over a run in which
the streams begin and end:"""

WORKERS = """**Workers** on the cores of this machine. Where there is more than one they share those with mock and load generator,
which take {others} of a core with 1, 2 and 4 workers (medians of the loads). CPU:"""

SEEN = """Requests per second of two workers against one, by turns: {seen}. The goal above is held against what two workers do
with the CPU that mock and load generator leave them."""

REPLICAS = """**Servers on one PostgreSQL** (`fsync` off), requests dealt out to them in turn; a resumed stream is followed on
another server than the one that runs it, where there is one. CPU of the servers, and of the database's processes:"""


def _idle(found: Figures) -> Iterator[str]:
    if "idle streams" not in found:
        return
    it = found["idle streams"]
    answers, loop = it["answers"], it["loop"]
    yield IDLE.format(streams=it["streams"])
    rows = (
        ("memory per stream", f"{it['kb']:.1f} kB; {it['kb again']:.1f} after all were closed and opened again"),
        ("open files per stream", f"{it['files']:.2f}; {max(0, it['left']):.0f} left when all are closed"),
        ("CPU to open one", f"{it['ms']:.2f} ms ({it['streams'] / it['opened']:,.0f} opened per second)"),
        ("CPU while all are idle", f"{100 * it['share']:.1f} % of a core; {100 * it['alone']:.1f} % without streams"),
        ("delay of the event loop", f"p50 ≤ {loop['p50']:g} ms, p99 ≤ {loop['p99']:g} ms"),
        ("a short answer beside them", f"p50 {answers['p50']:.1f} ms, p99 {answers['p99']:.1f} ms"),
    )
    yield _table(("what", "found"), rows)
    yield FILES.format(allowed=it["allowed"])


def _ladder(found: Figures) -> Iterator[str]:
    if "by load" not in found:
        return
    yield LADDER
    rows = [
        (
            streams,
            f"{it['tokens']:,.0f}",
            f"{it['cost']:.1f}",
            f"{100 * it['share']:.0f} %",
            f"{it['p50']:.2f} / {it['p99']:.1f}",
            f"{it['loop']['p50']:g} / {it['loop']['p99']:g}",
            f"{100 * it['others']:.0f} %",
        )
        for streams, it in found["by load"].items()
    ]
    delays = ("delay added, p50 / p99 ms", "event loop delay, p50 / p99 ≤ ms")
    yield _table(("streams", "tokens/s", "µs/token", "CPU", *delays, "CPU of mock and load"), rows)


def _workers(found: Figures) -> Iterator[str]:
    if "by workers" not in found:
        return
    yield WORKERS.format(others=", ".join(f"{100 * share:.0f} %" for share in found["others"].values()))
    yield _growth("workers", found["by workers"])
    yield SEEN.format(seen=", ".join(f"{name} {ratio:.2f} ×" for name, ratio in found["workers-seen"].items()))


def _replicas(found: Figures) -> Iterator[str]:
    if "by replicas" not in found:
        return
    yield REPLICAS
    for side in ("servers", "database"):
        costs = {name: {number: at[side] for number, at in by.items()} for name, by in found["by replicas"].items()}
        yield _growth(f"{side}, by replicas", costs)


def _growth(title: str, costs: dict[str, dict[str, float]]) -> str:
    """Return a table of costs by a number, with how much the last one is above the first."""
    numbers = list(next(iter(costs.values())))
    rows = []
    for name, by in costs.items():
        values = list(by.values())
        rows.append(
            (NAMES[name], *(f"{value:.1f}" for value in values), f"{100 * (values[-1] / values[0] - 1):+.0f} %")
        )
    return _table((title, *numbers, "growth"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join((lines[0], "|" + "---|" * len(head), *lines[1:]))
