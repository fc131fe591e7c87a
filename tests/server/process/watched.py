"""A server in a process of its own that notes how long its event loop is held: `python -m tests.server.process.watched FOLDER`.

FOLDER holds `config.json`; the process writes `port` and, when `ask` appears, `held`: the most CPU seconds that went by
between two turns of the loop, of the loop's thread and of the whole process. CPU time, so that other processes on the
machine do not count. A call in a helper thread that keeps the interpreter's lock is in the second number only.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

BEAT = 0.005


class Watched:
    """The running process."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self.process = process
        self.url = f"http://127.0.0.1:{(folder / 'port').read_text()}"

    def held(self, *, by_threads: bool = False) -> float:
        """Return the longest CPU time, in seconds, that the loop was held since the last question.

        With `by_threads` that of all threads counts: what runs beside the loop is some milliseconds of it.
        """
        time.sleep(4 * BEAT)
        (self._folder / "ask").touch()
        deadline = time.monotonic() + 10
        while (self._folder / "ask").exists():
            assert time.monotonic() < deadline, "the loop does not turn"
            time.sleep(BEAT)
        return float((self._folder / "held").read_text().split()[by_threads])

    def memory(self) -> int:
        """Return the bytes of memory that it has resident."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched(folder: Path, **settings: Any) -> Iterator[Watched]:
    """Run a server until the block ends."""
    (folder / "config.json").write_text(json.dumps(settings))
    root = Path(__file__).parents[3]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.process.watched", str(folder)], cwd=root, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while not (folder / "port").exists():
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield Watched(folder, process)
    finally:
        process.terminate()
        process.wait(20)


async def _beat(folder: Path) -> None:
    longest = all_longest = 0.0
    last, all_last = time.thread_time(), time.process_time()
    while True:
        await asyncio.sleep(BEAT)
        now, all_now = time.thread_time(), time.process_time()
        longest, last = max(longest, now - last), now
        all_longest, all_last = max(all_longest, all_now - all_last), all_now
        if (folder / "ask").exists():
            (folder / "held").write_text(f"{longest} {all_longest}")
            (folder / "ask").unlink()
            longest = all_longest = 0.0


async def _main(folder: Path) -> None:
    from antiphon.composition import app
    from antiphon.config import Config
    from antiphon.runtime.heap import keep_large_blocks_apart
    from antiphon.server.process.run import make_server
    from antiphon.server.process.sockets import listen
    from antiphon.telemetry.log import set_up

    config = msgspec.convert(json.loads((folder / "config.json").read_text()), Config)
    set_up("info", "text")
    keep_large_blocks_apart()
    sockets = listen("127.0.0.1", 0)
    server = make_server(app.build(config), config)
    beat = asyncio.create_task(_beat(folder))
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn tells no other way
        await asyncio.sleep(0.01)
    (folder / "port.new").write_text(str(sockets[0].getsockname()[1]))
    (folder / "port.new").rename(folder / "port")
    await serving
    beat.cancel()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(Path(sys.argv[1])))
