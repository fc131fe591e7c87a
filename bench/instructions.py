"""Instructions per request or token, counted by callgrind: a figure that does not depend on what else the machine does.

What it leaves out: the kernel, and what a cache that others fill costs. Where two versions differ by less than their caches
do, this is the only way to see it. Misses of a simulated cache can be counted in their place: where the code and the data of a
request are more than a cache holds, two versions of as many instructions differ in time.
"""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.harness import bench as harness
from bench.lab import MESSAGES_PATH, PATH, PORT, PYTHON, ROOT, Figures

START_LIMIT = 240.0
"""Seconds that a server may take to start."""

SETTLING = 3.0
"""Seconds after a load in which the server writes what it has gathered."""

IDLE = 0.15
"""Seconds of CPU in such a time, of a server that does nothing: callgrind makes its timers dear."""

CACHES = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,8,64")
"""A processor core's own caches: 32 KiB, and 1 MiB as the last level."""

MISSES = ("ILmr", "DLmr", "DLmw")
"""What callgrind calls the misses of the last level: of instructions, of reads, of writes."""

CONCURRENCY = 4
"""Requests at a time: so few that a server this slow does not gather more of them than it would."""


CROWD = 32
"""Requests at a time where caches are simulated: what the one leaves in them, the next drives out."""


class Setup(NamedTuple):
    """How a load reaches the mock: options of the server, fields of each request, and whose API it speaks."""

    options: tuple[str, ...] = ()
    fields: Mapping[str, object] = {}
    api: str = "responses"


PASSED = ("--backend-api", "responses")
SETUPS: Mapping[str, Setup] = {
    "": Setup(fields={"store": False}),
    "passed": Setup(PASSED, {"store": False}),
    "stored": Setup(),
    "passed, stored": Setup(PASSED),
    "messages": Setup(api="messages"),
}
SHORTER_LOOP = (5, 30)
"""Conversations and turns of the agent loop: fewer than elsewhere, and as long."""

REQUESTS = {"A64": 150, "D8": 40, "D8d": 40, "D8x": 40, "L": 150, "B": 32, "C": 16, "E": 48}
LOADS = "A64,B,C,E,D8d,D8x,L,A64:passed,B:passed,C:passed,D8d:passed,D8d:stored,L:stored"


class Load(NamedTuple):
    """`NAME` or `NAME:WAY`: a load of the harness, and how it reaches the mock."""

    work: str
    way: str

    @classmethod
    def read(cls, text: str) -> Load:
        """Raises ValueError for a load or a way that does not exist."""
        work, _, way = text.partition(":")
        if work not in harness.WORK or way not in SETUPS:
            raise ValueError(
                f"'{text}' is no load: LOAD or LOAD:WAY of {', '.join(harness.WORK)} and {', '.join(SETUPS)}"
            )
        return cls(work, way)

    @property
    def name(self) -> str:
        return f"{self.work}, {self.way}" if self.way else self.work


def counted(names: str, sources: Mapping[str, Path], profiles: Path | None = None, *, caches: bool = False) -> Figures:
    """Return thousands of instructions per request, per token of streams, of each load with each source, by turns.

    `profiles`: a folder for callgrind's files. `caches`: thousands of misses of the last level in their place.
    """
    found: dict[str, dict[str, float]] = {}
    loads = [Load.read(name) for name in names.split(",")]
    mock = harness.start_mock()
    try:
        for way in dict.fromkeys(load.way for load in loads):
            for label, source in sources.items():
                for load in [load for load in loads if load.way == way]:
                    keep = profiles / f"{label}-{load.name.replace(', ', '-')}" if profiles is not None else None
                    found.setdefault(load.name, {})[label] = _count(load, source, keep, caches=caches)
                    print(load.name, label, f"{found[load.name][label]:.2f}", flush=True)
    finally:
        mock.terminate()
        mock.wait()
    return {"instructions": found}


def _count(load: Load, source: Path, keep: Path | None, *, caches: bool) -> float:
    work: Figures = harness.WORK[load.work]
    way = SETUPS[load.way]
    with (
        tempfile.TemporaryDirectory(prefix="instructions-") as name,
        _server(way, source, Path(name), CACHES if caches else ()) as pid,
    ):
        folder = Path(name)
        body = folder / "body.json"
        body.write_bytes(_bodies(load, way))
        many = REQUESTS.get(load.work, 40) * (4 if caches else 1)
        together = CROWD if caches else CONCURRENCY
        path = MESSAGES_PATH if way.api == "messages" else PATH
        peer = {"name": "antiphon", "api": way.api, "path": path, "port": PORT, "model": "{m}"}
        _run(peer, load, many, body, together)  # what is made once is made
        _settle(pid)
        _control(pid, "-i", "on")
        _run(peer, load, many, body, together)
        time.sleep(SETTLING)
        _control(pid, "-i", "off")
        _control(pid, "-d")
        time.sleep(1)
        profile = max(folder.glob("callgrind*"), key=lambda path: path.stat().st_mtime)
        text = profile.read_text()
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            keep.write_text(text)
        return _total(text, MISSES if caches else ("Ir",)) / many / (work["tok"] if work["stream"] else 1) / 1000


def _total(profile: str, events: Sequence[str]) -> int:
    """Return how often some events came, by a profile's text."""
    names = re.search(r"^events: (.+)", profile, re.MULTILINE)
    counts = re.search(r"^totals: (.+)", profile, re.MULTILINE)
    if names is None or counts is None:
        raise RuntimeError("callgrind has counted nothing.")
    found = dict(zip(names[1].split(), map(int, counts[1].split()), strict=False))
    return sum(found.get(event, 0) for event in events)


def _bodies(load: Load, way: Setup) -> bytes:
    work: Figures = harness.WORK[load.work]
    before = dict(work)
    if work.get("loop"):
        work["loop"] = SHORTER_LOOP
    try:
        bodies: bytes = harness.body(load.work, way.api, work["up"], dict(way.fields))
    finally:
        work |= before
    return bodies


def _run(peer: Figures, load: Load, many: int, body: Path, together: int) -> None:
    work: Figures = harness.WORK[load.work]
    before = dict(work)
    work["conc"] = min(together, work["conc"])
    try:
        found = harness.load(peer, load.work, many, 600, str(body))
    finally:
        work |= before
    if found["errors"] or not found["complete"]:
        raise RuntimeError(f"{load.name}: {found['errors']} errors: {found['first_error']}")


@contextmanager
def _server(way: Setup, source: Path, folder: Path, simulated: Sequence[str] = ()) -> Iterator[int]:
    """Run the command under callgrind, which counts nothing yet. Raises RuntimeError."""
    store = str(folder / "store.db") if "store" not in way.fields and way.api != "messages" else "memory"
    callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/callgrind"]
    callgrind += simulated
    options = ["--port", str(PORT), "--backend", f"http://127.0.0.1:{harness.MOCK_PORT}/v1", "--store", store]
    command = [
        *callgrind,
        PYTHON,
        "-m",
        "bench.counted_server",
        "serve",
        *options,
        *way.options,
    ]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{source}:{ROOT}",
        "HOME": str(folder),
    }
    _check_free()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait(process, folder / "log")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _check_free() -> None:
    """Raises RuntimeError where another server would be measured."""
    try:
        socket.create_connection(("127.0.0.1", PORT), 0.3).close()
    except OSError:
        return
    raise RuntimeError(f"Something listens on port {PORT} already: set BENCH_PORT.")


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_LIMIT
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2)
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"The server did not start: {log.read_text()[-500:]}")


def _settle(pid: int) -> None:
    """Wait until the server does nothing of its own: after its start it tries sandboxes and imports what is rarely needed."""
    before, until = -1.0, time.monotonic() + START_LIMIT
    while (now := harness.cpu(pid)) - before > IDLE and time.monotonic() < until:
        before = now
        time.sleep(SETTLING)


def _control(pid: int, *options: str) -> None:
    command = ["callgrind_control", *options, str(pid)]
    subprocess.run(command, check=True, capture_output=True)


def table(found: Figures) -> str:
    """Return the counts, and what has changed where there are two."""
    rows = []
    for load, counts in found["instructions"].items():
        numbers = list(counts.values())
        change = f"{100 * (numbers[-1] / numbers[0] - 1):+.1f} %" if len(numbers) > 1 else "–"
        rows.append(f"| {load} | " + " | ".join(f"{number:.2f}" for number in numbers) + f" | {change} |")
    names = " | ".join(next(iter(found["instructions"].values())))
    return "\n".join(
        (f"| load, 1,000 instructions | {names} | change |", "|---|" + "---|" * (len(names.split("|")) + 1), *rows)
    )
