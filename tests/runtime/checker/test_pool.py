"""The processes: bounds in time and memory, turns of owners, nothing of the server's in them, their end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.errors import APIError
from antiphon.runtime.checker import pool
from antiphon.runtime.checker import worker as processes
from antiphon.runtime.checker.pool import MIB, MOST_WAITING_OF_OWNER, Bounds, Checker
from antiphon.runtime.checker.protocol import LENGTH, CheckTask, Verdict
from antiphon.runtime.checker.worker import WorkerDied, start
from tests.bounds import bound
from tests.runtime.checker import bombs

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PLAIN = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}).encode()
SLOW = json.dumps({"pattern": "(?=a)(a*)*b"}).encode()  # compiles at once; long texts take for ever
LONG = '"' + "a" * 400_000 + '"'
RECURSIVE = json.dumps(bombs.RECURSIVE).encode()


@pytest_asyncio.fixture
async def checker() -> AsyncIterator[Checker]:
    checker = Checker(Bounds(seconds=1.0))
    yield checker
    await checker.close()


class Watch:
    """Measures how long the loop's thread works without a pause, and how late the loop is: seconds.

    On a busy machine the loop is late because others have the CPU: the second number has a wide bound, which a loop that
    waits for a process still misses.
    """

    def __init__(self) -> None:
        self.work = self.delay = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.002)
            self.work = max(self.work, time.thread_time() - worked)
            self.delay = max(self.delay, time.perf_counter() - before - 0.002)

    def check(self) -> None:
        self._task.cancel()
        assert self.work < bound(0.05) and self.delay < bound(2.0)


async def test_schemas_and_answers(checker: Checker) -> None:
    assert await checker.schema(PLAIN, "ann", compile=True) == Verdict()
    assert await checker.answer('{"n": 1}', PLAIN, "ann") == Verdict()
    wrong = await checker.answer('{"n": "1"}', PLAIN, "ann")
    assert wrong.outcome == "fault" and "At '/n'" in wrong.reason
    assert len(checker.processes) == 1, "one after the other needs one process"


async def test_a_verdict_on_a_schema_is_remembered(checker: Checker) -> None:
    bad = b'{"type": 12}'
    first = await checker.schema(bad, "ann", compile=True)
    os.kill(checker.processes[0], signal.SIGSTOP)  # a process that would be asked again would not answer
    assert await checker.schema(bad, "bob", compile=True) == first
    os.kill(checker.processes[0], signal.SIGCONT)
    assert await checker.schema(bad, "bob", compile=False) == Verdict(), "looked at, and not compiled"


@pytest.mark.parametrize(("kind", "size"), bombs.sized())
async def test_every_kind_of_schema_ends_in_bounds(checker: Checker, kind: str, size: int) -> None:
    schema = bombs.dumped(kind, size)
    watch, began = Watch(), time.perf_counter()
    first = await checker.schema(schema, "ann", compile=True)
    if first.outcome == "fits":
        for text in ('{"a":1}', "[[[]]]", f'"{"a" * 2000}"', "1", bombs.family(100)):
            await checker.answer(text, schema, "ann")
    assert time.perf_counter() - began < 1.0 + 5 * 2.0 + bound(5.0)
    watch.check()
    assert await checker.schema(PLAIN, "ann", compile=True) == Verdict()


async def test_an_answer_that_takes_too_long_is_given_up(checker: Checker) -> None:
    watch, began = Watch(), time.perf_counter()
    verdict = await checker.answer(LONG, SLOW, "ann")
    assert verdict.outcome == "unchecked" and "more than 2 seconds" in verdict.reason
    assert time.perf_counter() - began < 5.0
    watch.check()
    assert checker.processes == []


async def test_an_answer_that_takes_too_much_memory_is_given_up(checker: Checker) -> None:
    verdict = await checker.answer(bombs.family(60), RECURSIVE, "ann")
    assert verdict.outcome == "unchecked", verdict
    assert await checker.answer('{"n": 1}', PLAIN, "ann") == Verdict(), "the next process does its work"


async def test_a_process_that_holds_much_memory_is_replaced() -> None:
    checker = Checker(Bounds(memory=128 * MIB, seconds=10.0))
    pids = set()
    try:
        for n in range(20):
            schema = json.dumps({"enum": [f"{n} {m}" for m in range(40_000)]}).encode()
            assert await checker.schema(schema, "ann", compile=True) == Verdict()
            pids.update(checker.processes)
        assert len(pids) > 1
    finally:
        await checker.close()


async def test_what_is_too_large_is_not_even_sent() -> None:
    checker = Checker(Bounds(schema=100, answer=100))
    assert "101 bytes; at most 100" in (await checker.schema(b" " * 101, "ann", compile=True)).reason
    assert "101 characters; at most 100" in (await checker.answer(" " * 101, PLAIN, "ann")).reason
    assert checker.processes == []


async def test_one_owners_heavy_work_does_not_hold_up_another(checker: Checker) -> None:
    for owner in ("ann", "bob"):
        await checker.schema(PLAIN, owner, compile=True)
    heavy = [asyncio.create_task(checker.answer(LONG, SLOW, "eve")) for _ in range(3)]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    for _ in range(20):
        assert await checker.answer('{"n": 1}', PLAIN, "bob") == Verdict()
    assert time.perf_counter() - began < 4.0, "the heavy work takes 6 seconds"
    assert sum(task.done() for task in heavy) < len(heavy)
    assert {verdict.outcome for verdict in await asyncio.gather(*heavy)} == {"unchecked"}


async def test_owners_take_turns(checker: Checker) -> None:
    """With more heavy owners than processes each waits for its turn, not for all that others have queued."""
    order: list[str] = []

    async def ask(owner: str) -> None:
        await checker.answer(LONG, SLOW, owner)
        order.append(owner)

    tasks = [asyncio.create_task(ask(owner)) for owner in ("eve", "eve", "eve", "mallory", "mallory", "mallory")]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    assert await checker.answer('{"n": 1}', PLAIN, "bob") == Verdict()
    assert time.perf_counter() - began < bound(8.0)
    assert len(order) <= 2, "it waits for one turn of each, not for all that they have queued"
    for task in tasks:
        task.cancel()


async def test_the_queue_is_bounded(checker: Checker) -> None:
    tasks = [asyncio.create_task(checker.answer(LONG, SLOW, "eve")) for _ in range(MOST_WAITING_OF_OWNER + 5)]
    await asyncio.sleep(0.1)
    refused = [task.exception() for task in tasks if task.done()]
    assert refused and all(isinstance(error, APIError) and error.status == 503 for error in refused)
    assert await checker.answer('{"n": 1}', PLAIN, "bob") == Verdict()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_nobody_waits_for_long(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LONGEST_WAIT", 0.5)
    running = asyncio.create_task(checker.answer(LONG, SLOW, "eve"))
    await asyncio.sleep(0)
    began = time.perf_counter()
    with pytest.raises(APIError, match="waiting to be checked"):
        await checker.answer('{"n": 1}', PLAIN, "eve")
    assert 0.4 < time.perf_counter() - began < 5.0
    assert (await running).outcome == "unchecked", "what has begun goes on"


async def test_what_nobody_waits_for_any_more_is_not_done(checker: Checker) -> None:
    tasks = [asyncio.create_task(checker.answer(LONG, SLOW, "eve")) for _ in range(20)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    began = time.perf_counter()
    assert await checker.answer('{"n": 1}', PLAIN, "eve") == Verdict()
    assert time.perf_counter() - began < bound(8.0)  # one CheckTask's time, and a process's start on a busy machine


async def test_a_process_that_was_killed_while_idle_is_replaced(checker: Checker) -> None:
    await checker.schema(PLAIN, "ann", compile=True)
    os.kill(checker.processes[0], signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert await checker.answer('{"n": 1}', PLAIN, "ann") == Verdict()


async def test_a_process_that_has_worked_before_is_not_held_against_who_comes_next(checker: Checker) -> None:
    await checker.schema(PLAIN, "ann", compile=True)
    task = asyncio.create_task(checker.answer(LONG, SLOW, "ann"))
    pid = checker.processes[0]
    await asyncio.sleep(0.2)
    assert checker.processes == []
    os.kill(pid, signal.SIGKILL)
    assert "more than 2 seconds" in (await task).reason, "it was tried again in a process of its own"


async def test_a_process_that_dies_at_work_is_told_as_such() -> None:
    worker = await start(256 * MIB)
    asyncio.get_running_loop().call_later(0.1, os.kill, worker.pid, signal.SIGSEGV)
    with pytest.raises(WorkerDied, match="SIGSEGV"):
        await worker.ask(CheckTask(kind="check", schema=SLOW, text=LONG, seconds=0.0), 5.0)


async def test_a_process_that_does_not_start_is_a_503(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROGRAM", "raise SystemExit(3)")
    with pytest.raises(APIError, match="at present") as failed:
        await checker.schema(PLAIN, "ann", compile=True)
    assert (failed.value.status, failed.value.code) == (503, "checker_unavailable")


@pytest.mark.needs("linux")  # it reads /proc
async def test_nothing_of_the_server_is_in_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANTIPHON_SECRET", "very-secret")
    with open(tmp_path / "open", "w") as file:  # noqa: ASYNC230
        os.set_inheritable(file.fileno(), True)
        worker = await start(256 * MIB)
    place = Path(f"/proc/{worker.pid}")
    try:
        assert b"very-secret" not in (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        files = {os.readlink(link) for link in (place / "fd").iterdir()}
        assert files - {name for name in files if name.startswith("socket:")} == {"/dev/null", f"{place}/statm"}
        assert len(list((place / "fd").iterdir())) == 4
        limits = (place / "limits").read_text()
        assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")] == ["4"]
        assert os.readlink(place / "cwd") == "/"
    finally:
        await worker.kill()


_PARENT = """
import asyncio, json, sys
from antiphon.runtime.checker.pool import Checker

async def main():
    checker = Checker()
    await checker.schema(b"{}", "ann", compile=True)
    print(checker.processes[0], flush=True)
    await checker.answer('"' + "a" * 400_000 + '"', b'{"pattern": "(?=a)(a*)*b"}', "ann")

asyncio.run(main())
"""


@pytest.mark.needs("linux")  # elsewhere it ends with its CheckTask's time
def test_it_dies_with_its_parent_also_at_work() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        assert _runs(pid)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + bound(5)
    while _runs(pid):
        assert time.monotonic() < deadline, "it goes on without its parent"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def test_a_process_ends_itself_when_nobody_ends_it() -> None:
    worker = await start(256 * MIB)
    body = processes._encode(CheckTask(kind="check", schema=SLOW, text=LONG, seconds=0.3))
    with pytest.raises(EOFError):
        await worker._exchange(LENGTH.pack(len(body)) + body)
    assert await worker.kill() == "it died of SIGALRM"


async def test_closing_ends_what_runs_and_what_waits() -> None:
    checker = Checker()
    await checker.schema(PLAIN, "ann", compile=True)
    idle = checker.processes[0]
    tasks = [asyncio.create_task(checker.answer(LONG, SLOW, owner)) for owner in ("ann", "ann", "bob")]
    await asyncio.sleep(0.5)
    await checker.close()
    done, pending = await asyncio.wait(tasks, timeout=1)
    assert len(done) == 3 and not pending
    assert not _runs(idle)
    with pytest.raises(APIError, match="waiting to be checked"):
        await checker.answer("{}", PLAIN, "ann")
