"""This checkout against an earlier commit, or on another Python, by turns: a machine's speed changes from hour to hour."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.instructions import SETUPS, Load
from bench.lab import PORT, PYTHON, ROOT, Figures, Lab, Server, median

LOADS = "A64,B,C,D8,D8d,E,L,A64:stored,A64:passed,B:passed,C:passed"
"""What is measured by default; names and ways are those of `bench.instructions`."""
PYTHON_HEADING = "## On another Python"
ALLOWED = 3.0
"""Per cent that a load may cost more than before."""

BURST = 1.0
"""Seconds of one load on one server, before it is the other's turn."""

SETTLING = 60.0
"""Seconds that a server may take for what it does after its start."""

IDLE = 0.02
"""Seconds of CPU in a second, of a server that does nothing."""


class Version(NamedTuple):
    """What is measured: a `src`, the Python that runs it, and a folder of packages where that has none of its own."""

    source: Path
    python: str = PYTHON
    packages: Path | None = None


def unpacked(commit: str, folder: Path) -> Path:
    """Return the sources of a commit, unpacked into a folder."""
    folder.mkdir()
    pack, unpack = ["git", "archive", commit, "src"], ["tar", "-x", "-C", str(folder)]
    packed = subprocess.run(pack, cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(unpack, input=packed, check=True)
    return folder / "src"


def against(lab: Lab, commit: str, repeats: int, names: str = LOADS) -> Figures:
    """Measure this checkout against a commit, `repeats` pairs of each load."""
    before = Version(unpacked(commit, lab.folder / "before"))
    costs = _by_turns(lab, {"before": before, "now": Version(ROOT / "src")}, repeats, names)
    return {"against": {"commit": commit, "pairs": repeats, "costs": costs}}


def on_python(lab: Lab, python: str, repeats: int, names: str = LOADS) -> Figures:
    """Measure this checkout on the Python of .venv ("before") and on another one ("now"), `repeats` pairs of each load.

    Raises CalledProcessError where its packages cannot be installed.
    """
    versions = {"before": Version(ROOT / "src"), "now": version_on(lab, python)}
    costs = _by_turns(lab, versions, repeats, names)
    return {"python": {"python": interpreter(python), "pairs": repeats, "costs": costs}}


def version_on(lab: Lab, python: str) -> Version:
    """Return this checkout on another Python, whose packages are installed first. Raises CalledProcessError."""
    packages = lab.folder / "packages"
    if not packages.exists():
        install = [PYTHON, "-m", "pip", "-qq", "--disable-pip-version-check", "--python", python, "install"]
        lock = ["--require-hashes", "-r", str(ROOT / "requirements.lock")]
        subprocess.run([*install, "--target", str(packages), *lock], check=True)
    return Version(ROOT / "src", python, packages)


def interpreter(python: str) -> str:
    """Return the version of a Python, and where it stands."""
    ask = "import platform; print(platform.python_version())"
    return f"Python {subprocess.check_output([python, '-c', ask], text=True).strip()} ({python})"


def _by_turns(lab: Lab, versions: dict[str, Version], repeats: int, names: str) -> Figures:
    """Measure both versions' servers while both run: short bursts by turns.

    A pair lies within seconds, in which the machine's speed hardly changes; the median of the pairs' ratios is told, with
    the middle half of them. The server that is first in one pair is second in the next.
    """
    loads = [Load.read(name) for name in names.split(",")]
    if any(SETUPS[load.way].api != "responses" for load in loads):
        raise ValueError("By turns, loads reach the servers by the Responses API alone.")
    found: dict[str, Figures] = {}
    for way in dict.fromkeys(load.way for load in loads):
        found |= _pairs(lab, versions, [load for load in loads if load.way == way], repeats)
    return found


def _pairs(lab: Lab, versions: dict[str, Version], loads: Sequence[Load], repeats: int) -> dict[str, Figures]:
    """Return pairs of loads that come by one way: µs of CPU per request, of streams per token."""
    costs: dict[str, dict[str, list[float]]] = {load.name: {name: [] for name in versions} for load in loads}
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for number, (name, version) in enumerate(versions.items()):
            way = SETUPS[loads[0].way]
            store = None if "store" in way.fields or way.api == "messages" else lab.new_store()
            started = lab.server(**version._asdict(), store=store, port=PORT + number, options=way.options)
            servers[name] = stack.enter_context(started)
        for server in servers.values():
            _settle(server)
        for load in loads:
            count = max(server.calibrate(load.work, BURST) for server in servers.values())
            for number in range(repeats):
                for name in sorted(servers, reverse=number % 2 == 1):
                    costs[load.name][name].append(servers[name].burst(load.work, count))
            print(load.name, *(f"{median(cost):.2f}" for cost in costs[load.name].values()), flush=True)
    return {load: _summary(cost["before"], cost["now"]) for load, cost in costs.items()}


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
    """Return each load's cost before and now (on the Python of .venv, and on another), and the median of the pairs' ratios."""
    first, second = ("here", "there") if "python" in found else ("before", "now")
    rows = [f"| load | {first}, µs | {second}, µs | difference | middle half |", "|---|---|---|---|---|"]
    for work, cost in found["costs"].items():
        more, (low, high) = 100 * (cost["ratio"] - 1), [100 * (ratio - 1) for ratio in cost["middle"]]
        rows.append(
            f"| {work} | {cost['before']:.2f} | {cost['now']:.2f} | {more:+.1f} %{'' if more <= ALLOWED else ' (too much)'} "
            f"| {low:+.1f} to {high:+.1f} % |"
        )
    return "\n".join(rows)


def python_section(found: Figures) -> str:
    """Return the section of `docs/performance.md` on another Python; nothing where none was measured."""
    if "python" not in found:
        return ""
    it = found["python"]
    about = ABOUT_PYTHON.format(pairs=it["pairs"], here=platform.python_version(), there=it["python"])
    return "\n\n".join((PYTHON_HEADING, about, table(it)))


ABOUT_PYTHON = """`scripts/bench --python PROGRAM --repeats {pairs}`: this checkout twice, by turns, on Python {here} as pyenv
builds it ("here", as in all other tables), and on {there}, which Debian builds with profile-guided and
link-time optimisation, as Docker's official images are ("there"). CPU per request, of streams per token:"""
