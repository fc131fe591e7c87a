"""Start the server and the mock on CPUs of their own, run work, read what it cost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.harness import bench as harness

ROOT = Path(__file__).parents[1]
HARNESS = ROOT / "bench" / "harness"
PORT = int(os.environ.get("BENCH_PORT", "19490"))
PATH = "/v1/responses"
MESSAGES_PATH = "/v1/messages"
COMMAND = os.environ.get("ANTIPHON", str(ROOT / ".venv/bin/antiphon"))
PYTHON = os.environ.get("BENCH_PYTHON", str(ROOT / ".venv/bin/python"))
"""What runs another `src`, and is counted by callgrind."""

Figures = dict[str, Any]


class Lab:
    """A folder for stores and request bodies, and the mock while it runs."""

    def __init__(self, folder: Path, mock: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.mock = mock
        self._stores = 0

    def new_store(self) -> Path:
        """Return a path at which there is no store yet."""
        self._stores += 1
        return self.folder / f"store-{self._stores}.db"

    @contextmanager
    def server(
        self,
        *,
        store: Path | str | None = None,
        workers: int = 1,
        source: Path | None = None,
        packages: Path | None = None,
        python: str = PYTHON,
        port: int = PORT,
        options: Sequence[str] = (),
    ) -> Iterator[Server]:
        """Run the command. `store`: a path or URL; without one, requests say `store: false`.

        `source`: another `src`, which `python` runs. `packages`: a folder of packages for it, where it has none of its own.
        """
        command = [COMMAND] if source is None else [python, "-m", "antiphon"]
        command += [
            "serve",
            "--port",
            str(port),
            "--backend",
            f"http://127.0.0.1:{harness.MOCK_PORT}/v1",
        ]
        place = store or ("memory" if workers == 1 else self.new_store())  # several processes do not share memory
        command += ["--store", str(place), "--workers", str(workers), *options]
        peer = {"name": "antiphon", "api": "responses", "path": PATH, "port": port, "model": "{m}"}
        peer |= {"cmd": command, "extra": {} if store else {"store": False}}
        if source is not None:
            # They come before what is installed.
            peer["env"] = {"PYTHONPATH": ":".join(str(path) for path in (source, packages) if path is not None)}
        process = harness.Server(peer)
        cpu, harness.CPU_SUT = harness.CPU_SUT, "0,1" if workers > 1 else harness.CPU_SUT
        try:
            start = process.start(str(self.folder))
            raise_priority(harness.tree(process.pid)[1:])
            yield Server(self, process, peer, start)
        finally:
            harness.CPU_SUT = cpu
            process.stop()

    @contextmanager
    def nginx(self) -> Iterator[Server]:
        """Run nginx as a relay, the physical limit. Raises FileNotFoundError where it is not installed."""
        folder = self.folder / "nginx"
        folder.mkdir(exist_ok=True)
        text = (HARNESS / "conf/nginx.conf").read_text()
        text = text.replace("19470", str(harness.MOCK_PORT)).replace("19471", str(harness.MOCK_PORT + 1))
        (folder / "nginx.conf").write_text(text)
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise FileNotFoundError("nginx")
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        peer = {
            "name": "nginx",
            "api": "responses",
            "path": PATH,
            "port": harness.MOCK_PORT + 1,
            "model": "{m}",
            "cmd": command,
        }
        with self.peer(peer) as server:
            yield server

    @contextmanager
    def peer(self, peer: Figures) -> Iterator[Server]:
        """Run a server that the harness knows how to start."""
        process = harness.Server(peer)
        try:
            yield Server(self, process, peer, process.start(str(self.folder)))
        finally:
            process.stop()


class Server:
    """A server that runs; `start` tells how it began: seconds, cpu_s, rss_mb."""

    def __init__(self, lab: Lab, process: Any, peer: Figures, start: Figures) -> None:
        self._lab = lab
        self._process = process
        self._peer = peer
        self.start = start
        self.port = int(peer["port"])

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    def measure(self, work: str, repeats: int, *, messages: bool = False, **extra: object) -> Figures:
        """Run one of the harness's workloads, with `extra` in each request, or by the `messages` API.

        Raises RuntimeError when requests fail.
        """
        peer = self._peer | {"extra": self._peer.get("extra", {}) | extra}
        if messages:
            peer |= {"api": "messages", "path": MESSAGES_PATH, "extra": extra}
        figures: Figures = harness.measure(peer, self.pid, self._lab.mock.pid, work, repeats, str(self._lab.folder))
        if figures.get("errors") or figures.get("error"):
            raise RuntimeError(f"{work}: {figures.get('errors')} errors: {figures.get('error')}")
        return figures

    def calibrate(self, work: str, seconds: float) -> int:
        """Warm the server up with a load; return the number of its requests that take about so many seconds."""
        fewest, most = harness.WORK[work]["n"]
        count = min(int(self._load(work, fewest)["rps"] * seconds), most)
        if count <= fewest:
            return int(fewest)
        return int(min(self._load(work, count)["rps"] * seconds, most)) or 1

    def burst(self, work: str, count: int) -> float:
        """Return µs of CPU per request of a load that is not streamed, per token of another, over so many requests."""
        done = self.run(work, count)
        return 1e6 * float(done["spent"]) / float(done["tokens"] if harness.WORK[work]["stream"] else done["requests"])

    def run(self, work: str, count: int) -> Figures:
        """Return the load generator's figures of so many requests, with `spent` and `mock_spent`: seconds of CPU."""
        with harness.lock():
            before, mock = self.cpu(), harness.cpu(self._lab.mock.pid)
            done = self._load(work, count)
            time.sleep(0.05)
            return done | {"spent": self.cpu() - before, "mock_spent": harness.cpu(self._lab.mock.pid) - mock}

    def _load(self, work: str, count: int) -> Figures:
        return self.load(work, count, [self.port])

    def load(self, work: str, count: int, ports: Sequence[int], **extra: object) -> Figures:
        """Send so many requests of one of the harness's workloads to servers at these ports by turns, with `extra` in each.

        Raises RuntimeError when some fail.
        """
        model = harness.WORK[work]["up"]
        fields = self._peer.get("extra", {}) | extra
        file = self._lab.folder / f"{work}-{'-'.join(fields)}.json"
        file.write_bytes(harness.body(work, self._peer["api"], self._peer["model"].format(m=model), fields))
        peer = self._peer | {"port": ",".join(map(str, ports))}
        done: Figures = harness.load(peer, work, count, 60, str(file))
        if done["errors"] or not done["complete"]:
            raise RuntimeError(f"{work}: {done['errors']} errors: {done['first_error']}")
        return done

    def metrics(self) -> dict[str, float]:
        """Return what `/metrics` tells, by names with their labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines if name}

    def cpu(self) -> float:
        """CPU seconds of the whole process tree so far."""
        return float(harness.cpu(self.pid))

    def rss_kb(self) -> float:
        """Resident memory of the whole process tree."""
        return float(harness.mem(self.pid)["rss_mb"]) * 1024


def work(name: str, **fields: object) -> str:
    """Add a workload to the harness's own."""
    harness.WORK[name] = {"stream": True, "secs": 0, "what": name, **fields}
    return name


def token_cost(figures: Figures) -> float:
    """µs of CPU per token."""
    return float(figures["cpu_us_tok"])


def request_cost(figures: Figures) -> float:
    """ms of CPU per request."""
    return float(figures["cpu_ms_req"])


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


@contextmanager
def laboratory() -> Iterator[Lab]:
    """Build the tools and run the mock; each process may open as many files as the system lets it."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    harness.build()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        mock = harness.start_mock()
        try:
            yield Lab(Path(folder), mock)
        finally:
            mock.terminate()
            mock.wait()
            harness.Lease.drop()


def raise_priority(pids: list[int]) -> None:
    """Put workers ahead of other work too: each has a session, and so a scheduling group, of its own."""
    for pid in pids:
        with suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(harness.NICE)


def request_body(**fields: object) -> bytes:
    """Return the JSON of a request."""
    return json.dumps(fields, separators=(",", ":")).encode()


def pause(seconds: float) -> None:
    """Wait for things to settle."""
    time.sleep(seconds)
