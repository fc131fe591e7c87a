"""This checkout against an earlier commit, by turns: what else runs on the machine, and its speed, changes from hour to hour."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.lab import ROOT, Figures, Lab, Server, median, request_cost, token_cost

WORKS = ("A64", "B", "C", "D8", "E")
STORED = "A64, stored"
ALLOWED = 3.0
"""Per cent that a load may cost more than before."""

SETTLING = 60.0
"""Seconds that a server may take for what it does after its start."""

IDLE = 0.02
"""Seconds of CPU in a second, of a server that does nothing."""


def unpacked(commit: str, folder: Path) -> Path:
    """Return the sources of a commit, unpacked into a folder."""
    folder.mkdir()
    pack, unpack = ["git", "archive", commit, "src"], ["tar", "-x", "-C", str(folder)]
    packed = subprocess.run(pack, cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(unpack, input=packed, check=True)
    return folder / "src"


def against(lab: Lab, commit: str, repeats: int) -> Figures:
    """Measure both, one after the other, `repeats` times; the first is the one that is second the next time."""
    sources = {"before": unpacked(commit, lab.folder / "before"), "now": ROOT / "src"}
    costs: dict[str, dict[str, list[float]]] = {name: {} for name in sources}
    for number in range(repeats):
        for name in sorted(sources, reverse=number % 2 == 1):
            for work, cost in _costs(lab, sources[name]).items():
                costs[name].setdefault(work, []).append(cost)
    found = {work: {name: median(costs[name][work]) for name in ("before", "now")} for work in costs["now"]}
    return {"against": {"commit": commit, "costs": found}}


def _costs(lab: Lab, source: Path) -> dict[str, float]:
    """Return µs of CPU per request of loads that are not streamed, per token of the others."""
    with lab.server(source=source) as server:
        _settle(server)
        found = {work: server.measure(work, 1) for work in WORKS}
    with lab.server(source=source, store=lab.new_store()) as server:
        _settle(server)
        found[STORED] = server.measure("A64", 1)
    return {
        work: request_cost(one) * 1000 if one["cpu_us_tok"] is None else token_cost(one) for work, one in found.items()
    }


def _settle(server: Server) -> None:
    """Wait until a server does nothing of its own: after its start it tries sandboxes and warms up, in processes that count."""
    before, until = -1.0, time.monotonic() + SETTLING
    while (now := server.cpu()) - before > IDLE and time.monotonic() < until:
        before = now
        time.sleep(1)


def table(found: Figures) -> str:
    """Return each load's cost before and now, in µs of CPU."""
    rows = ["| load | before, µs | now, µs | difference |", "|---|---|---|---|"]
    for work, cost in found["costs"].items():
        more = 100 * (cost["now"] / cost["before"] - 1)
        rows.append(
            f"| {work} | {cost['before']:.2f} | {cost['now']:.2f} | {more:+.1f} %{'' if more <= ALLOWED else ' (too much)'} |"
        )
    return "\n".join(rows)
