"""Faults of the store: a full disk, no permission, a lock, a damaged page, a deleted file. 503, then as if nothing had been."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.attack.report import Report
from tests.attack.target import Target, make_target
from tests.attack.verdict import fault_of
from tests.attack.wire import Answer

SETTINGS = """
metrics = "open"
[backends.scripted]
url = "http://127.0.0.1:9"
api = "scripted"
"""

RECOVERS = 25.0
"""Seconds after the fault within which the server works again by itself."""

Undo = Callable[[], None]
Fault = Callable[[Path, ExitStack], Awaitable[None] | None]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Any:
    """Mount a small tmpfs; raises PermissionError where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        raise PermissionError(done.stderr.decode())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def full_disk(folder: Path, undo: ExitStack) -> None:
    """Fill the disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    undo.callback(filler.unlink)


def locked(folder: Path, undo: ExitStack) -> None:
    """Hold the lock for writing."""
    connection = sqlite3.connect(folder / "antiphon.db", isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    undo.callback(connection.close)


def deleted(folder: Path, undo: ExitStack) -> None:
    """Move the file away, as if it were deleted."""
    names = ("antiphon.db", "antiphon.db-wal", "antiphon.db-shm")
    for name in names:
        if (folder / name).exists():
            os.rename(folder / name, folder / f"{name}.away")
            undo.callback(_back, folder / name)


def _back(path: Path) -> None:
    away = path.with_name(path.name + ".away")
    if away.exists():
        path.unlink(missing_ok=True)
        os.rename(away, path)


def damaged(folder: Path, undo: ExitStack) -> None:
    """Overwrite what stands behind the first page, in the file and in the log before it."""
    with closing(sqlite3.connect(folder / "antiphon.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / "antiphon.db"
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (len(whole) - 4096))
    undo.callback(path.write_bytes, whole)


FAULTS: dict[str, Fault] = {"full disk": full_disk, "lock": locked, "deleted": deleted, "damaged": damaged}
FOR_GOOD = ("deleted", "damaged")
"""Faults after which a restart may be needed: it is enough that nothing is acknowledged that is not kept."""


async def make(target: Target, text: str, **more: Any) -> Answer:
    """Make a response that is stored."""
    return await target.ask("POST", "/v1/responses", {"model": "scripted", "input": text, **more}, seconds=40)


async def check_fault(folder: Path, report: Report, name: str) -> None:
    """Break the store under a running server, mend it, and look at each step."""
    with ExitStack() as outside:
        outside.enter_context(small_disk(folder, 24))
        target = make_target(folder, SETTINGS)
        target.log = folder.with_suffix(".log")
        await target.start()
        try:
            first = json.loads((await make(target, "first")).body)["id"]
            with ExitStack() as undo:
                FAULTS[name](folder, undo)
                await _while_broken(target, report, name)
            await _afterwards(target, report, name, first)
        finally:
            target.kill()


async def _while_broken(target: Target, report: Report, name: str) -> None:
    statuses, kept = [], []
    for number, more in enumerate(({}, {"stream": True}, {"background": True}, {}, {})):
        began = time.monotonic()
        answer = await make(target, f"/repeat 40000 broken{number}" if name == "full disk" else "broken", **more)
        seconds = time.monotonic() - began
        statuses.append(answer.status)
        fault = fault_of(answer)
        if fault:
            report.found("storage", f"{name}: {fault}", str(more), b"", answer.body[-500:].decode(errors="replace"))
        elif answer.status == 503 and (b"store_unavailable" not in answer.body or b"retry-after" not in answer.headers):
            report.found("storage", f"{name}: 503 of another kind", str(more), b"", answer.body[-500:].decode())
        elif answer.status == 200 and not more:
            kept.append(json.loads(answer.body)["id"])
        if seconds > 30:
            report.found("storage", f"{name}: an answer took {seconds:.0f} s", str(more))
    ready = (await target.ask("GET", "/ready", seconds=30)).status
    for _ in range(50 if name == "deleted" else 0):
        if ready == 503:
            break
        await asyncio.sleep(0.3)
        ready = (await target.ask("GET", "/ready", seconds=30)).status
    if name == "deleted" and ready != 503:
        report.found("storage", "deleted: /ready does not say that the file is gone", str(statuses))
    lost = [id for id in kept if (await target.ask("GET", f"/v1/responses/{id}")).status != 200]
    if lost or (name == "lock" and 503 not in statuses):
        report.found("storage", f"{name}: answers are acknowledged and not kept", f"{statuses} {lost}")
    if 503 in statuses and ready != 503:
        report.found("storage", f"{name}: /ready says {ready} while the store fails", str(statuses))
    report.say(f"{name}: {statuses}, /ready {ready}")


async def _afterwards(target: Target, report: Report, name: str, first: str) -> None:
    end = time.monotonic() + RECOVERS
    status = 0
    while time.monotonic() < end and target.alive:
        status = (await make(target, "again")).status
        if status == 200 and (await target.ask("GET", "/ready")).status == 200:
            break
        await asyncio.sleep(0.3)
    if status != 200 and name not in FOR_GOOD:
        report.found("storage", f"{name}: the server does not recover: {status}", "")
    if not target.alive:
        report.found("storage", f"{name}: the server died", "", b"", target.log.read_text(errors="replace")[-2000:])
    if status != 200:
        target.kill()
        await target.start()
    answer = await target.ask("GET", f"/v1/responses/{first}")
    if answer.status != 200:
        report.found("storage", f"{name}: what was kept before is gone: {answer.status}", "")
    for what, text in target.crashes():
        report.found("storage", f"{name}: logged: {what}", "", b"", text)


async def check_read_only(folder: Path, report: Report) -> None:
    """Start on a disk that is read-only: the server must say so and end, or answer 503 to what it cannot keep."""
    with small_disk(folder, 24):
        target = make_target(folder, SETTINGS)
        target.log = folder.with_suffix(".log")
        await target.start()
        target.kill()
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(folder)], check=True)
        try:
            await target.start(10)
            answer = await make(target, "read only")
            if answer.status != 503:
                report.found("storage", f"read only: status {answer.status}", "", b"", answer.body[-500:].decode())
            target.kill()
        except AssertionError as error:
            if "Traceback" in str(error):
                report.found("storage", "read only: a traceback at the start", "", b"", str(error))


async def run_storage(folder: Path, report: Report, only: str = "") -> None:
    """Try all faults."""
    if only in "read only":
        with suppress(PermissionError):
            await check_read_only(folder / "read-only", report)
    for name in FAULTS:
        if only in name:
            try:
                await check_fault(folder / name.replace(" ", "-"), report, name)
            except PermissionError as error:
                report.say(f"{name}: not tried, a disk cannot be mounted here: {error}")
                return
