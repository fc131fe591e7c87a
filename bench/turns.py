"""This checkout against an earlier commit, by turns: what else runs on the machine, and its speed, changes from hour to hour."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.lab import PORT, ROOT, Figures, Lab, Server, median

WORKS = ("A64", "B", "C", "D8", "E")
STORED = "A64, stored"
ALLOWED = 3.0
"""Per cent that a load may cost more than before."""

BURST = 1.0
"""Seconds of one load on one server, before it is the other's turn."""

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
    """Measure both commits' servers while both run: short bursts by turns, `repeats` pairs of each load.

    A pair lies within seconds, in which the machine's speed hardly changes; the median of the pairs' ratios is told, with
    the middle half of them. The server that is first in one pair is second in the next.
    """
    sources = {"before": unpacked(commit, lab.folder / "before"), "now": ROOT / "src"}
    found = _pairs(lab, sources, WORKS, repeats)
    stored = _pairs(lab, sources, ("A64",), repeats, stored=True)
    return {"against": {"commit": commit, "pairs": repeats, "costs": {**found, STORED: stored["A64"]}}}


def _pairs(
    lab: Lab, sources: dict[str, Path], works: Sequence[str], repeats: int, *, stored: bool = False
) -> dict[str, Figures]:
    """Return each load's pairs: µs of CPU per request of loads that are not streamed, per token of the others."""
    costs: dict[str, dict[str, list[float]]] = {work: {name: [] for name in sources} for work in works}
    with ExitStack() as stack:
        servers = {}
        for number, (name, source) in enumerate(sources.items()):
            store = lab.new_store() if stored else None
            servers[name] = stack.enter_context(lab.server(source=source, store=store, port=PORT + number))
        for server in servers.values():
            _settle(server)
        for work in works:
            count = max(server.calibrate(work, BURST) for server in servers.values())
            for number in range(repeats):
                for name in sorted(servers, reverse=number % 2 == 1):
                    costs[work][name].append(servers[name].burst(work, count))
    return {work: _summary(cost["before"], cost["now"]) for work, cost in costs.items()}


def _summary(before: list[float], now: list[float]) -> Figures:
    ratios = sorted(b / a for a, b in zip(before, now, strict=True))
    quarter = len(ratios) // 4
    return {
        "before": median(before),
        "now": median(now),
        "ratio": median(ratios),
        "middle": [ratios[quarter], ratios[-1 - quarter]],
    }


def _settle(server: Server) -> None:
    """Wait until a server does nothing of its own: after its start it tries sandboxes and warms up, in processes that count."""
    before, until = -1.0, time.monotonic() + SETTLING
    while (now := server.cpu()) - before > IDLE and time.monotonic() < until:
        before = now
        time.sleep(1)


def table(found: Figures) -> str:
    """Return each load's cost before and now, in µs of CPU, and the median of the pairs' ratios."""
    rows = ["| load | before, µs | now, µs | difference | middle half |", "|---|---|---|---|---|"]
    for work, cost in found["costs"].items():
        more, (low, high) = 100 * (cost["ratio"] - 1), [100 * (ratio - 1) for ratio in cost["middle"]]
        rows.append(
            f"| {work} | {cost['before']:.2f} | {cost['now']:.2f} | {more:+.1f} %{'' if more <= ALLOWED else ' (too much)'} "
            f"| {low:+.1f} to {high:+.1f} % |"
        )
    return "\n".join(rows)
