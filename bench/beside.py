"""This checkout beside other servers that are installed, by turns: what else runs on the machine comes to all of them alike.

Each server that `bench.harness.peers` knows is looked for in a folder, `$BENCH_HOME` or `~/.cache/antiphon-bench`:

    python3 -m venv $BENCH_HOME/agentic && $BENCH_HOME/agentic/bin/pip install agentic-api
    python3 -m venv $BENCH_HOME/sgl && $BENCH_HOME/sgl/bin/pip install sglang-router
    python3 -m venv $BENCH_HOME/smg && $BENCH_HOME/smg/bin/pip install smg
    apt-get install nginx-light
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from bench.harness import bench as harness
from bench.harness.peers import PEERS
from bench.lab import PORT, Figures, Lab, Server, median
from bench.turns import BURST, interpreter, version_on

HEADING = "## Beside others, by turns"
SERVERS = "agentic,sglang-router,nginx"
LOADS = "A64,C,D8d"
"""Loads that are measured by default, as in `bench.harness.workloads`; streams count by token."""

OURS = "Antiphon"
TITLES = {"agentic": "agentic-api", "nginx": "nginx, relaying"}


def beside(lab: Lab, names: str, loads: str, repeats: int, python: str = "") -> Figures:
    """Measure servers while all of them run, `repeats` rounds of each load; each begins a round in its turn.

    `python`: another Python on which this checkout runs as one more server. Servers that are not installed are left out, and
    loads that a server refuses. Costs are medians, in µs of CPU.
    """
    with ExitStack() as stack:
        servers = {OURS: stack.enter_context(lab.server())}
        if python:
            other = lab.server(**version_on(lab, python)._asdict(), port=PORT + 1)
            servers[f"{OURS}, {interpreter(python)}"] = stack.enter_context(other)
        for name in names.split(","):
            peer = _peer(name)
            if peer is None:
                print(f"{name} is not installed", flush=True)
            elif name == "nginx":
                servers[name] = stack.enter_context(lab.nginx())
            else:
                servers[name] = stack.enter_context(lab.peer(peer))
        costs = {load: _rounds(servers, load, repeats) for load in loads.split(",")}
    versions = {name: str((_peer(name) or {}).get("version", "")) for name in servers}
    return {"beside": {"rounds": repeats, "load": f"{os.getloadavg()[0]:.0f}", "versions": versions, "costs": costs}}


def _peer(name: str) -> dict[str, Any] | None:
    """Return how a server is started, if it is installed."""
    if name == "nginx":
        return {} if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") else None
    known: list[dict[str, Any]] = PEERS
    found = next((peer for peer in known if peer["name"] == name), None)
    return found if found is not None and shutil.which(found["cmd"][0]) else None


def _rounds(servers: Mapping[str, Server], load: str, repeats: int) -> dict[str, float]:
    counts: dict[str, int] = {}
    for name, server in servers.items():
        try:
            counts[name] = server.calibrate(load, BURST)
        except RuntimeError as error:
            print(f"{name} refuses {load}: {error}", flush=True)
    costs: dict[str, list[float]] = {name: [] for name in counts}
    order = list(counts)
    for number in range(repeats):
        for place in range(len(order)):
            name = order[(number + place) % len(order)]
            costs[name].append(servers[name].burst(load, counts[name]))
    print(load, {name: [round(cost, 1) for cost in its] for name, its in costs.items()}, flush=True)
    return {name: median(its) for name, its in costs.items()}


def section(found: Figures) -> str:
    """Return the section of `docs/performance.md`; nothing where these were not measured."""
    if "beside" not in found:
        return ""
    it = found["beside"]
    about = ABOUT.format(rounds=it["rounds"], load=it["load"])
    return "\n\n".join((HEADING, about, _table(it["costs"], it["versions"])))


def _table(costs: Mapping[str, Mapping[str, float]], versions: Mapping[str, str]) -> str:
    names = list(versions)
    head = ["load", *(f"{TITLES.get(name, name)} {versions[name]}".strip() for name in names)]
    rows = [head, ["---"] * len(head)]
    for load, by in costs.items():
        unit = "µs/token" if harness.WORK[load]["stream"] else "µs/request"
        rows.append([f"{load}, {unit}", *(_cell(by, name) for name in names)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(by: Mapping[str, float], name: str) -> str:
    return f"{by[name]:.1f} ({by[name] / by[OURS]:.2f} ×)" if name in by else "refuses it"


ABOUT = """`scripts/bench --beside`: all servers run at once and are measured one after the other, {rounds} rounds, each begun by
another one; load average {load} at the end. CPU of each server, and how many times Antiphon's that is. Antiphon translates; the
others relay what a Responses backend says. Access lines are on in Antiphon, off in nginx, and the others log errors alone."""
