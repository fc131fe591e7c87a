"""The measurements themselves: each returns what it found, by the names of `recorded.GOALS` where there is a goal."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from bench import load
from bench.instructions import PASSED
from bench.lab import Figures, Lab, median, pause, request_cost, token_cost, work

CHAIN = 1000


def ordinary(lab: Lab, repeats: int) -> Figures:
    """The workloads of the harness, without a store, beside nginx."""
    found: Figures = {}
    with contextlib.suppress(FileNotFoundError), lab.nginx() as nginx:
        for name in ("A64", "B", "C", "D8", "E"):
            found[f"nginx {name}"] = nginx.measure(name, repeats)
    starts = []
    for _ in range(3):
        with lab.server() as server:
            starts.append(server.start["seconds"])
    with lab.server() as server:
        for name in ("A64", "B", "C", "D8", "E"):
            found[name] = server.measure(name, repeats)
        found["rss"] = server.rss_kb() / 1024
        found["d8d"], found["l"] = (request_cost(server.measure(name, repeats)) for name in ("D8d", "L"))
    paced = found["C"]
    found |= {
        "start": median(starts),
        "a64": request_cost(found["A64"]),
        "b": token_cost(found["B"]),
        "c": token_cost(paced),
        "d8": request_cost(found["D8"]),
        "e": token_cost(found["E"]),
        "transit-p50": paced["transit_p50"] / 1000,
        "transit-p99": paced["transit_p99"] / 1000,
    }
    if "nginx C" in found:
        found["c-nginx"] = token_cost(paced) / token_cost(found["nginx C"])
    return found


def messages(lab: Lab, repeats: int) -> Figures:
    """Tokens of the Messages API beside those of the Responses API, by turns."""
    found: dict[str, dict[str, float]] = {}
    with lab.server() as server:
        for name in ("B", "C"):
            pairs = [
                [token_cost(server.measure(name, 1, messages=other)) for other in (False, True)] for _ in range(repeats)
            ]
            ours, theirs = (median([pair[place] for pair in pairs]) for place in (0, 1))
            found[name] = {"Responses": ours, "Messages": theirs}
    more = {f"messages-{name.lower()}": 100 * (one["Messages"] / one["Responses"] - 1) for name, one in found.items()}
    return {"by API": found, **more}


def passed(lab: Lab, repeats: int) -> Figures:
    """Answers of a Responses backend, which are passed on."""
    with lab.server(options=PASSED) as server:
        a64, c = server.measure("A64", repeats), server.measure("C", repeats)
    return {"a64-passed": request_cost(a64), "c-passed": token_cost(c)}


def stored(lab: Lab, repeats: int) -> Figures:
    """Answers that are stored, and what short ones and turns of an agent loop take on disk."""
    path = lab.new_store()
    with lab.server(store=path) as server:
        figures = server.measure("A64", repeats)
        short = _size(path) / sum(run["requests"] for run in figures["runs"])
    path = lab.new_store()
    with lab.server(store=path) as server:
        loop = server.measure("L", repeats)
        turn = _size(path) / sum(run["requests"] for run in loop["runs"])
        large = server.measure("D8d", repeats)
    costs = {"a64-store": request_cost(figures), "l-store": request_cost(loop), "d8d-store": request_cost(large)}
    return costs | {"bytes per response": short, "bytes per turn of a loop": turn}


def _size(store: Path) -> int:
    """Bytes of a store's files."""
    return sum(file.stat().st_size for file in store.parent.glob(store.name + "*"))


def background(lab: Lab, repeats: int) -> Figures:
    """The paced workload in the background: followed from the start, and resumed."""
    tokens = 300
    paced = work("C, long", up=f"mock-n{tokens}-d20", conc=200, n=(200, 200), tok=tokens, ramp=2000)
    with lab.server(store=lab.new_store()) as server:
        foreground = token_cost(server.measure(paced, repeats))
    with lab.server(store=lab.new_store()) as server:
        followed = token_cost(server.measure(paced, repeats, background=True))
    with lab.server(store=lab.new_store()) as server:
        costs = []
        for _ in range(repeats):
            before = server.cpu()
            streams = asyncio.run(load.resumed(f"mock-n{tokens}-d20", 200, 2.0))
            pause(0.2)
            costs.append((server.cpu() - before) * 1e6 / (streams * tokens))
    resumed = median(costs)
    return {
        "foreground, stored": foreground,
        "background": 100 * (followed / foreground - 1),
        "resumed": 100 * (resumed / foreground - 1),
    }


def memory(lab: Lab) -> Figures:
    """Memory at the start, and after one load and another."""
    with lab.server() as server:
        pause(3)  # until the sandbox has been tried
        found = {"none: it has just started": server.rss_kb() / 1024}
        for loads in (("A64", "C"), ("B", "D8", "E"), ("L", "D8d")):
            for name in loads:
                server.measure(name, 1)
            found[f"{'then ' if len(found) > 1 else ''}{', '.join(loads)}"] = server.rss_kb() / 1024
    return {"memory": found}


def growth(lab: Lab) -> Figures:
    """CPU per token by number of streams and by length of the answer."""
    by_streams, by_tokens = {}, {}
    with lab.server() as server:
        for name in _by_streams():
            by_streams[name] = token_cost(server.measure(name, 1))
        for name in _by_tokens():
            by_tokens[name] = token_cost(server.measure(name, 2))
    return {"by streams": by_streams, "by tokens": by_tokens}


def _by_streams() -> Iterator[str]:
    for streams in (20, 200):
        yield work(
            f"{streams} × 50 tokens per second",
            up="mock-n100-d20",
            conc=streams,
            n=(3 * streams, 3 * streams),
            tok=100,
            ramp=2000,
        )
    yield work("2000 × 5 tokens per second", up="mock-n100-d200", conc=2000, n=(2000, 2000), tok=100, ramp=4000)


def _by_tokens() -> Iterator[str]:
    for tokens, requests in ((10, 6400), (100, 3200), (1000, 640), (10_000, 64), (100_000, 8)):
        streams = min(64, requests)
        yield work(
            f"{tokens:,} tokens", up=f"mock-n{tokens}-d0", conc=streams, n=(requests, requests), tok=tokens, ramp=0
        )


def chain(lab: Lab) -> Figures:
    """CPU per turn of one long conversation, by hundreds of turns."""
    path = lab.new_store()
    marks: dict[int, float] = {}
    with lab.server(store=path) as server:

        def mark(turn: int) -> None:
            if turn % 100 == 0 or turn == 1:
                marks[turn] = server.cpu()

        asyncio.run(load.conversation("mock-n100-d0", CHAIN, mark))
    turns = sorted(marks)
    costs = {b: (marks[b] - marks[a]) * 1000 / (b - a) for a, b in itertools.pairwise(turns)}
    return {"by turns": costs, "bytes per turn": _size(path) / CHAIN}
