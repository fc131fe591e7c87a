"""Scale: idle streams, paced streams up to what one process carries, several workers, several servers on one database."""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import load
from bench.harness import bench as harness
from bench.lab import PATH, PORT, Figures, Lab, Server, median, pause, request_body, request_cost, token_cost, work

IDLE_STREAMS = 10_000
SPARE_FILES = 200
IDLE_SECONDS = 25.0
"""Seconds of silence that are measured: two rounds of keep-alive events, each ten seconds."""

LADDER = (1000, 2000, 4000, 6000, 8000)
"""Streams of five tokens a second."""

WORKERS = (1, 2, 4)
SCALED = ("A64", "D8d", "E", "C")
REPLICAS = (1, 2, 3)


# Idle streams


def idle(lab: Lab) -> Figures:
    """Streams that are open and silent: memory, files, CPU, delay of the event loop and of a request beside them."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = min(IDLE_STREAMS, (allowed - SPARE_FILES) // 2)
    with lab.server() as server:
        found = asyncio.run(_idle(server, count))
    return {"idle": found["kb"], "idle streams": found | {"allowed": allowed}}


async def _idle(server: Server, count: int) -> Figures:
    empty = server.metrics()
    for wire in await load.opened("mock-n10-d0", 50):
        wire.close()
    await asyncio.sleep(2)
    alone, before = await _share(server, 5), server.rss_kb()
    cpu, began = server.cpu(), time.monotonic()
    wires = await load.opened("mock-n2-d120000", count)
    found: Figures = {"streams": count, "opened": time.monotonic() - began}
    found |= {"ms": 1000 * (server.cpu() - cpu) / count, "kb": (server.rss_kb() - before) / count}
    full = server.metrics()
    found["files"] = (full["process_open_fds"] - empty["process_open_fds"]) / count
    asked = asyncio.create_task(_short_answers(IDLE_SECONDS))
    found |= {"alone": alone, "share": await _share(server, IDLE_SECONDS), "answers": await asked}
    found["loop"] = loop_delay(full, server.metrics())
    for wire in wires:
        wire.close()
    await asyncio.sleep(3)
    found["left"] = server.metrics()["process_open_fds"] - empty["process_open_fds"]
    for wire in await load.opened("mock-n2-d120000", count):
        wire.close()
    found["kb again"] = (server.rss_kb() - before) / count
    return found


async def _share(server: Server, seconds: float) -> float:
    """Return the share of a CPU that a server takes in so many seconds."""
    before, began = server.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    return (server.cpu() - before) / (time.monotonic() - began)


async def _short_answers(seconds: float) -> dict[str, float]:
    """Ask for a short answer 20 times a second; return milliseconds."""
    until, taken = time.monotonic() + seconds - 1, []
    body = request_body(model="mock-n10-d0", input=load.PROMPT, store=False)
    wire = await load.Wire.open()
    while (began := time.monotonic()) < until:
        wire.send("POST", PATH, body)
        await wire.answer()
        taken.append(1000 * (time.monotonic() - began))
        await asyncio.sleep(0.05)
    wire.close()
    taken.sort()
    return {"p50": median(taken), "p99": taken[int(0.99 * len(taken))]}


def loop_delay(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the delay of the event loop between two looks at `/metrics`, in ms: the bounds that half and 99 % stay within."""
    name = re.compile(r'antiphon_event_loop_delay_seconds_bucket\{.*?le="([^"]+)"')
    found = {float(match[1]): after[text] - before.get(text, 0) for text in after if (match := name.match(text))}
    total = max(found.values())
    return {
        f"p{share:g}": 1000 * min(bound for bound, count in found.items() if count >= share / 100 * total)
        for share in (50, 99)
    }


# Paced streams


def many(lab: Lab) -> Figures:
    """2,000 streams of one token per second, then more and more of five, until one process has no more to give."""
    slow = work("many", up="mock-n20-d1000", conc=2000, n=(2000, 2000), tok=20, ramp=4000)
    ladder: dict[str, Figures] = {}
    with lab.server() as server:
        server.load("B", 500, [server.port])
        done = server.run(slow, 2000)
        found = {f"many-{share}": done["transit"][share] / 1000 for share in ("p50", "p99")}
        for streams in LADDER:
            name = work(f"{streams} × 5", up="mock-n50-d200", conc=streams, n=(streams, streams), tok=50, ramp=4000)
            before = server.metrics()
            done = server.run(name, streams)
            ladder[f"{streams:,}"] = {
                "tokens": done["tokens_s"],
                "share": done["spent"] / done["seconds"],
                "cost": 1e6 * done["spent"] / done["tokens"],
                "p50": done["transit"]["p50"] / 1000,
                "p99": done["transit"]["p99"] / 1000,
                "loop": loop_delay(before, server.metrics()),
                "others": (done["cpu_s"] + done["mock_spent"]) / done["seconds"],
            }
    return {**found, "by load": ladder}


# Workers


def workers(lab: Lab, repeats: int) -> Figures:
    """One, two and four workers by turns: what a request or a token costs, and how many requests per second two make.

    Mock and load generator share the two CPUs with two workers, but not with one: the goal is held against what is left.
    """
    costs: dict[str, dict[int, list[float]]] = {name: {n: [] for n in WORKERS} for name in SCALED}
    others: dict[int, list[float]] = {n: [] for n in WORKERS}
    seen: dict[str, list[float]] = {name: [] for name in SCALED if name != "C"}
    scaled: list[float] = []
    for _ in range(repeats):
        runs: dict[int, Figures] = {}
        for number in WORKERS:
            with lab.server(workers=number) as server:
                runs[number] = {name: server.measure(name, 1) for name in SCALED}
            for name, run in runs[number].items():
                costs[name][number].append(
                    token_cost(run) if harness.WORK[name]["stream"] else 1000 * request_cost(run)
                )
                others[number].append(_others(run))
        for name in seen:
            seen[name].append(runs[2][name]["rps"] / runs[1][name]["rps"])
            scaled.append(seen[name][-1] * 2 / (2 - _others(runs[2][name])))
    return {
        "workers": median(scaled),
        "workers-seen": {name: median(its) for name, its in seen.items()},
        "by workers": {name: {str(n): median(its) for n, its in by.items()} for name, by in costs.items()},
        "others": {str(n): median(its) for n, its in others.items()},
    }


def _others(figures: Figures) -> float:
    """Return how many CPUs mock and load generator took."""
    run = figures["runs"][0]
    return float(run["mock_cpu_s"] + run["cpu_s"]) / float(run["seconds"])


# Servers on one database


class Replicas:
    """Servers on one PostgreSQL, all on one CPU, and what both sides take."""

    def __init__(self, servers: list[Server], database: int) -> None:
        self.servers = servers
        self.ports = [server.port for server in servers]
        self._database = database

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far."""
        return {
            "servers": sum(server.cpu() for server in self.servers),
            "database": float(harness.cpu(self._database)),
        }

    def cost(self, name: str, count: int, **extra: object) -> dict[str, float]:
        """Return µs of both per request, or per token of streams, of a load that all servers share."""
        before = self.cpu()
        done = self.servers[0].load(name, count, self.ports, **extra)
        return self.since(before, done["tokens"] if harness.WORK[name]["stream"] else done["requests"])

    def since(self, before: Mapping[str, float], units: int) -> dict[str, float]:
        """Return µs per unit since an earlier `cpu`."""
        pause(0.5)
        return {side: 1e6 * (now - before[side]) / units for side, now in self.cpu().items()}


@contextmanager
def _replicas(lab: Lab, number: int) -> Iterator[Replicas]:
    from tests.stores.postgres_server import running  # it needs packages for development

    with ExitStack() as stack:
        postgres = stack.enter_context(running())
        folder = postgres.psql("SHOW data_directory").splitlines()[2].strip()
        url = postgres.create("replicas")
        servers = [stack.enter_context(lab.server(store=url, port=PORT + place)) for place in range(number)]
        yield Replicas(servers, int((Path(folder) / "postmaster.pid").read_text().split()[0]))


def replicas(lab: Lab) -> Figures:
    """One, two and three servers on one PostgreSQL: stored answers, background streams, and streams resumed on another server."""
    tokens, streams = 100, 200
    paced = work("C, shared", up=f"mock-n{tokens}-d20", conc=streams, n=(streams, streams), tok=tokens, ramp=2000)
    found: dict[str, dict[str, dict[str, float]]] = {"stored": {}, "background": {}, "resumed": {}}
    for number in REPLICAS:
        with _replicas(lab, number) as group:
            group.cost("A64", 2000)
            group.cost(paced, streams, background=True)
            found["stored"][str(number)] = group.cost("A64", 8000)
            found["background"][str(number)] = group.cost(paced, 3 * streams, background=True)
            before = group.cpu()
            done = asyncio.run(load.resumed(harness.WORK[paced]["up"], streams, 2.0, group.ports))
            found["resumed"][str(number)] = group.since(before, done * tokens)
    return {"by replicas": found}
