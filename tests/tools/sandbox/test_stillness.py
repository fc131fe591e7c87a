"""Between two calls nothing in a sandbox runs, whatever code has prepared: to the nanosecond of processor time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable

from msgspec.structs import replace

from antiphon.tools.sandbox import watch
from antiphon.tools.sandbox.base import SandboxKind
from antiphon.tools.sandbox.process import SandboxProcess

from .conftest import LIMITS, ask, started

SETTLES = 5.0  # seconds, at most, until everything has stopped; each test is done long before on a quiet machine

CODE = """
import ctypes, fcntl, glob, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
def call(x86_64, aarch64, *arguments):
    number = {"x86_64": x86_64, "aarch64": aarch64}[os.uname().machine]
    return libc.syscall(number, *arguments)
def work():
    while True: time.sleep(0.002)
def wait(path):
    while not os.path.exists(path): time.sleep(0.001)
def end_slowly():  # the memory is given back only once the call has ended, and everything is stopped
    held = b"x" * (80 << 20)
    open(f"/tmp/large-{os.getpid()}", "w").close()
    wait("/tmp/go")
    os._exit(0)
def forked(child):
    pid = os.fork()
    if pid == 0:
        try: child()
        finally: os._exit(0)
    return pid
"""
LEFT_OVER = """
def child():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    forked(work)
for _ in range(3): forked(child)
"""
TIMER = """
def child():
    os.setsid()
    signal.signal(signal.SIGCONT, lambda *_: None)
    event = (ctypes.c_int * 16)(0, 0, signal.SIGCONT, 0)
    timer, times = ctypes.c_int(), (ctypes.c_long * 4)(0, 50_000_000, 0, 50_000_000)
    call(222, 107, 1, event, ctypes.byref(timer))
    call(223, 110, timer, 0, times, 0)
    work()
forked(child)
time.sleep(0.1)
"""
SIGNAL_OF_THE_END = """
def child():
    os.setsid()
    if call(56, 220, signal.SIGCONT, 0, 0, 0, 0) == 0: end_slowly()
    work()
forked(child)
"""
DEATH_OF_THE_PARENT = """
def child():
    os.setsid()
    def grandchild():
        libc.prctl(1, signal.SIGCONT)
        work()
    forked(grandchild)
    end_slowly()
forked(child)
"""
ORPHANED_GROUP = """
def child():
    os.setsid()
    def father():
        def son():
            os.setpgid(0, 0)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            work()
        forked(son)
        end_slowly()
    forked(father)
    time.sleep(600)
forked(child)
"""
TERMINAL = """
def child():
    os.setsid()
    ours, theirs = os.openpty()
    def grandchild():
        os.close(ours)
        os.setsid()
        fcntl.ioctl(theirs, 0x540E, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.close(theirs)
        work()
    forked(grandchild)
    os.close(theirs)
    end_slowly()
forked(child)
"""
FILE_SIGNAL = """
import socket
one, other = socket.socketpair()
def child():
    os.setsid()
    other.close()
    fcntl.fcntl(one, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(one, 10, signal.SIGCONT)
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    work()
def sender():
    os.setsid()
    end_slowly()  # its end of the pair is closed late
forked(child)
forked(sender)
one.close(); other.close()
"""
VFORK = """
def child():
    os.setsid()
    import subprocess
    subprocess.run(["/bin/sh", "-c", "while sleep 0.02; do :; done"])
for _ in range(3): forked(child)
time.sleep(0.05)
"""
THREADS = """
def child():
    os.setsid()
    import threading
    for _ in range(3): threading.Thread(target=work).start()
    libc.pthread_exit(0)
forked(child)
"""
WAYS = {
    "left over": LEFT_OVER,
    "timer": TIMER,
    "signal of a child's end": SIGNAL_OF_THE_END,
    "death of a parent": DEATH_OF_THE_PARENT,
    "orphaned group": ORPHANED_GROUP,
    "terminal": TERMINAL,
    "signal of a file": FILE_SIGNAL,
    "vfork": VFORK,
    "threads without their first": THREADS,
}
AT_ONCE = f"""
for _ in range(5000):
    if len(glob.glob("/tmp/large-*")) >= {sum("end_slowly" in way for way in WAYS.values())} - CANNOT: break
    time.sleep(0.001)
open("/tmp/go", "w").close()
"""


def own(sandbox: SandboxProcess) -> list[int]:
    """Return the processes that serve a sandbox: what is around it, and the first ones inside."""
    found = [sandbox.pid]
    for _ in range(2 if sandbox.kind == "bwrap" else 1):
        found.append(min(watch._children(found[-1])))
    return found


def used(sandbox: SandboxProcess) -> dict[int, int]:
    """Return the nanoseconds that each thread of a sandbox has run, of those that run code."""
    return spent(set(watch.processes(sandbox.pid)) - set(own(sandbox)))


def spent(pids: Iterable[int]) -> dict[int, int]:
    """Return the nanoseconds that each thread of some processes has run."""
    found = {}
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    found[int(thread)] = int(file.read().split()[0])
        except OSError:
            continue
    return found


def woken(pid: int) -> str:
    """Return how often a process's first thread has waited."""
    with open(f"/proc/{pid}/status") as file:
        return next(line for line in file if line.startswith("voluntary_ctxt_switches"))


async def until_still(sandbox: SandboxProcess) -> dict[int, int]:
    """Wait until nothing has run for a while."""
    deadline = time.monotonic() + SETTLES
    before = used(sandbox)
    while True:
        await asyncio.sleep(0.1)
        after = used(sandbox)
        if after == before:
            return after
        before = after
        assert time.monotonic() < deadline, "something runs on"


async def test_nothing_runs_between_two_calls(kind: SandboxKind) -> None:
    """All ways at once; twice, as some are a matter of chance."""
    cannot = 2 if kind.name == "sandlock" else 0  # it has no terminals, and no signals of children's ends but SIGCHLD
    for _ in range(2):
        sandbox = await started(kind, replace(LIMITS, processes=80))
        asked = await ask(sandbox, CODE + f"CANNOT = {cannot}\n" + "".join(WAYS.values()) + AT_ONCE)
        assert asked.ended.ok
        still = await until_still(sandbox)
        assert len(still) > 15
        await asyncio.sleep(0.5)
        assert used(sandbox) == still, asked.text
        await sandbox.close()


async def test_waiting_costs_nothing(sandbox: SandboxProcess) -> None:
    await ask(sandbox, CODE + LEFT_OVER)
    await until_still(sandbox)
    await asyncio.sleep(0.2)
    before = list(map(woken, own(sandbox)))
    await asyncio.sleep(1.2)
    assert list(map(woken, own(sandbox))) == before


async def test_what_was_stopped_goes_on_with_the_next_call(sandbox: SandboxProcess) -> None:
    code = "import threading\nn = [0]\ndef count():\n    while True: n[0] += 1\n"
    await ask(sandbox, code + "threading.Thread(target=count, daemon=True).start()")
    await until_still(sandbox)
    assert (await ask(sandbox, "import time\nbefore = n[0]\ntime.sleep(0.3)\nn[0] > before")).text == "True\n"
    await until_still(sandbox)
