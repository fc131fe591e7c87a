"""A sandbox as the server has it: what a REPL shows, state, shell commands, time-outs, deaths, and what is left."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from antiphon.tools.sandbox import starting, watch
from antiphon.tools.sandbox.base import Interior, SandboxError, SandboxKind, SandboxLimits
from antiphon.tools.sandbox.inside.frames import HEAD
from antiphon.tools.sandbox.process import MOST_BYTES, MOST_JSON, MOST_OUTPUT, SandboxProcess
from antiphon.tools.sandbox.starting import Spawned, start

from .conftest import alive, ask, none_of, started

CELLS = {
    "the value of the last expression": ("1 + 1", "2\n"),
    "a text as its repr": ("'a\\nb'", "'a\\nb'\n"),
    "no value": ("None", ""),
    "an assignment": ("x = 5", ""),
    "print and value": ("print('a')\n(1, 2)", "a\n(1, 2)\n"),
    "several lines": ("for i in range(2):\n    print(i)\ni", "0\n1\n1\n"),
    "nothing": ("", ""),
    "the standard error": ("import sys; print('e', file=sys.stderr); 3", "e\n3\n"),
    "output of a program": ("import subprocess; subprocess.run(['echo', 'hi']).returncode", "hi\n0\n"),
    "await": ("import asyncio\nawait asyncio.sleep(0, 7)", "7\n"),
    "exit": ("print('a')\nexit()\nprint('b')", "a\n"),
    "other characters": ("print('ÄΩ😀')", "ÄΩ😀\n"),
    "half a character": ("print('\\ud800')", "\\ud800\n"),
    "display": ("display(1, 'a')", "1\n'a'\n"),
    "a fork that goes on": ("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint(pid > 0)", "False\nTrue\n"),
}


async def test_a_cell_shows_what_a_repl_shows(sandbox: SandboxProcess) -> None:
    for case, (code, text) in CELLS.items():
        asked = await ask(sandbox, code)
        assert (asked.text, asked.ended.ok) == (text, True), case


ERRORS = {
    "1/0": "ZeroDivisionError: division by zero",
    "def f():\n    raise KeyError('k')\nf()": "KeyError: 'k'",
    "x = (": "SyntaxError: '(' was never closed",
    "class E(Exception):\n    def __str__(self): raise E\nraise E": "E",
    "b'x' * (2 << 30)": "MemoryError",
    "input()": "EOFError",
    "import sys; sys.stdout.close(); print(1)": "",
}


async def test_an_exception_is_shown_from_the_cell_on(sandbox: SandboxProcess) -> None:
    for code, text in ERRORS.items():
        asked = await ask(sandbox, code)
        assert not asked.ended.ok, code
        assert text in asked.text
        assert "supervisor" not in asked.text and "antiphon" not in asked.text
    assert sandbox.alive


async def test_variables_stay_between_calls(sandbox: SandboxProcess) -> None:
    await ask(sandbox, "x = 41\ndef f(): return x + 1")
    assert (await ask(sandbox, "f()")).text == "42\n"
    assert (await ask(sandbox, "_ + 1")).text == "43\n"


PICTURE = "class P:\n    def _repr_png_(self): return b'\\x89PNG' + b'x' * %d\n"


async def test_pictures_are_given_apart(sandbox: SandboxProcess) -> None:
    asked = await ask(sandbox, PICTURE % 10 + "display(P())\nP()")
    assert (asked.text, list(asked.ended.images)) == ("", [b"\x89PNG" + b"x" * 10] * 2)
    asked = await ask(sandbox, "for _ in range(12): display(P())")
    assert len(asked.ended.images) == 10
    assert "2 pictures are left out" in asked.text
    asked = await ask(sandbox, PICTURE % (6 << 20) + "P()")
    assert not asked.ended.images and "1 pictures are left out" in asked.text


async def test_output_beyond_the_bound_is_dropped(sandbox: SandboxProcess) -> None:
    asked = await ask(sandbox, "print('x' * 3_000_000)")
    assert asked.text == "x" * MOST_OUTPUT
    assert asked.ended.dropped == 3_000_001 - MOST_OUTPUT


async def test_hashes_are_the_same_in_each_sandbox_and_files_are_no_modules(kind: SandboxKind) -> None:
    said = []
    for _ in range(2):
        sandbox = await started(kind)
        await sandbox.write("traceback.py", b"raise SystemExit('mine')")
        said.append((await ask(sandbox, "hash('a'), list({str(n) for n in range(9)}), __import__('sys').path")).text)
        assert "ZeroDivisionError" in (await ask(sandbox, "1/0")).text
        await sandbox.close()
    assert said[0] == said[1] and "''" not in said[0]


async def test_any_bytes_may_come_out(sandbox: SandboxProcess) -> None:
    """Half characters, control characters, a line of 100 MB: as they came, within the bound, and the sandbox goes on."""
    raw = b"\xff\xfe\x00\x1b[31m\x1b]0;title\x07\xc3"
    pieces: list[bytes] = []
    await sandbox.run(f"import os; _ = os.write(1, {raw!r})", 20, lambda _, piece: pieces.append(piece))
    assert b"".join(pieces) == raw
    asked = await ask(sandbox, "import sys\nfor _ in range(100): _ = sys.stdout.write('x' * (1 << 20))", 60)
    assert asked.text == "x" * MOST_OUTPUT and asked.ended.dropped == (100 << 20) - MOST_OUTPUT
    said = 0

    def count(stream: int, piece: bytes) -> None:
        nonlocal said
        said += len(piece)

    ended = await sandbox.shell("head -c 50000000 /dev/zero", 60, count)
    assert (said, ended.dropped, ended.status) == (MOST_OUTPUT, 50_000_000 - MOST_OUTPUT, 0)
    assert (await ask(sandbox, "1")).text == "1\n"


async def test_output_comes_while_code_runs(sandbox: SandboxProcess) -> None:
    came = asyncio.Event()
    call = asyncio.create_task(sandbox.run("import time\nprint('now')\ntime.sleep(30)", 60, lambda *_: came.set()))
    await asyncio.wait_for(came.wait(), 20)
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not sandbox.alive


# Shell


async def test_a_command_gives_both_streams_and_its_status(sandbox: SandboxProcess) -> None:
    pieces: list[tuple[int, bytes]] = []
    ended = await sandbox.shell("echo a; echo b >&2; echo x > f; exit 3", 20, lambda *piece: pieces.append(piece))
    assert sorted(pieces) == [(1, b"a\n"), (2, b"b\n")]
    assert (ended.status, ended.ok, list(ended.changed)) == (3, False, [("f", 2)])
    assert (await ask(sandbox, "open('f').read()")).text == "'x\\n'\n"


async def test_a_command_that_takes_too_long_is_ended(sandbox: SandboxProcess) -> None:
    ended = await sandbox.shell("echo a; sleep 600", 0.5, lambda *_: None)
    assert ended.timed_out and ended.status is None
    assert (await sandbox.shell("exit 0", 20, lambda *_: None)).ok


# Ends


ENDLESS = (
    "while True: pass",
    "import time; time.sleep(600)",
    "try:\n  while True: pass\nexcept BaseException:\n  while True: pass",
)


async def test_code_that_takes_too_long_is_ended_and_files_stay(sandbox: SandboxProcess) -> None:
    kept: list[str] = []
    for number, code in enumerate(ENDLESS):
        await ask(sandbox, f"x = 1; open('a{number}', 'w').write('a')")
        asked = await ask(sandbox, f"open('b{number}', 'w').write('b')\n" + code, 0.5)
        assert asked.ended.timed_out and not asked.ended.ok
        assert list(asked.ended.changed) == [(f"b{number}", 1)]
        kept += [f"a{number}", f"b{number}"]
        asked = await ask(sandbox, "import os; sorted(os.listdir('.')), 'x' in globals()")
        assert (asked.text, asked.ended.fresh) == (f"({sorted(kept)}, False)\n", True)


DEATHS = {
    "import os; os._exit(3)": "status 3",
    "import os; os.kill(os.getpid(), 11)": "SIGSEGV",
    "import os\nfor n in range(3, 100):\n  try: os.close(n)\n  except OSError: pass": "status 0|SIGKILL",
}


async def test_an_interpreter_that_dies_is_told_and_replaced(sandbox: SandboxProcess) -> None:
    for code, died in DEATHS.items():
        asked = await ask(sandbox, code)
        assert asked.ended.died in died.split("|") and not asked.ended.ok
        asked = await ask(sandbox, "1")
        assert (asked.text, asked.ended.fresh) == ("1\n", True)


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
        "import os, signal; os.kill(-1, signal.SIGKILL)",
    ],
)
async def test_a_sandbox_that_is_killed_from_inside_is_an_error(sandbox: SandboxProcess, code: str) -> None:
    with pytest.raises(SandboxError):
        await ask(sandbox, code)
    assert not sandbox.alive


LEFT_OVER = """
import os, signal, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            while True: pass
        os._exit(0)
"""


async def test_the_end_of_a_sandbox_leaves_nothing(sandbox: SandboxProcess) -> None:
    await ask(sandbox, LEFT_OVER)
    pids = watch.processes(sandbox.pid)
    await sandbox.close()
    await none_of(pids)


async def test_a_sandbox_that_is_closed_ends_its_calls_at_once(sandbox: SandboxProcess) -> None:
    calls = [asyncio.create_task(ask(sandbox, LEFT_OVER + "\ntime.sleep(600)", 600)) for _ in range(2)]
    await asyncio.sleep(0.5)
    pids = watch.processes(sandbox.pid)
    await sandbox.close()
    async with asyncio.timeout(20):
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, SandboxError) for one in ended)
    assert not sandbox.alive and sandbox._connection.fileno() == -1
    await none_of(pids)


async def test_a_time_out_ends_all_processes_of_a_call(sandbox: SandboxProcess) -> None:
    await ask(sandbox, LEFT_OVER + "\nwhile True: pass", 1)
    deadline = time.monotonic() + 20
    while len(watch.processes(sandbox.pid)) > 4:  # those killed are still to be reaped
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_server_that_goes_while_a_sandbox_starts_leaves_nothing(kind: SandboxKind) -> None:
    """bwrap ends with its parent from a certain point on; before that the first process inside ends all others."""
    sandbox = await started(kind)
    pids = watch.processes(sandbox.pid)
    sandbox._connection.close()
    await none_of(pids[1:])
    await sandbox.close()


SERVER = """
import asyncio, sys
sys.path[:] = sys.argv[1:]
from tests.tools.sandbox.conftest import KINDS, ask, started
from antiphon.tools.sandbox import watch
async def main():
    sandbox = await started(KINDS["bwrap"]())
    await ask(sandbox, "import os, time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(600)")
    print(*watch.processes(sandbox.pid), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.needs("bwrap")
async def test_a_server_that_is_killed_leaves_nothing() -> None:
    command = [sys.executable, "-c", SERVER, *sys.path]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert server.stdout is not None
    pids = list(map(int, (await asyncio.to_thread(server.stdout.readline)).split()))
    assert len(pids) > 3
    server.send_signal(signal.SIGKILL)
    await asyncio.to_thread(server.wait)
    server.stdout.close()
    await none_of(pids)


@pytest.mark.parametrize(
    "frame",
    [
        HEAD.pack(MOST_JSON + 1, 0),
        HEAD.pack(2, MOST_BYTES + 1) + b"{}",
        HEAD.pack(2, 0) + b"[]",
        HEAD.pack(2, 0) + b"{[",
        HEAD.pack(13, 0) + b'{"exit": "a"}',
        HEAD.pack(15, 0) + b'{"changed": [1]}'[:15],
        b"",
    ],
)
async def test_nonsense_of_a_sandbox_ends_it(frame: bytes) -> None:
    """What runs inside could take the supervisor's place: then it can say what it likes."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    popen = subprocess.Popen(["sleep", "600"], start_new_session=True)  # noqa: ASYNC220
    sandbox = SandboxProcess("fake", popen, ours, SandboxLimits())
    theirs.sendall(frame)
    theirs.shutdown(socket.SHUT_WR)
    with theirs, pytest.raises(SandboxError, match="The sandbox ended"):
        await ask(sandbox, "1")
    assert popen.poll() is not None


async def test_what_cannot_start_says_why(kind: SandboxKind) -> None:
    with pytest.raises(SandboxError, match=r"/nowhere/python"):
        await start(kind, Interior(python="/nowhere/python"), SandboxLimits())


async def test_a_start_that_is_cancelled_leaves_no_process(kind: SandboxKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made in a thread, and may come to be when nobody waits for it any more."""
    made: list[subprocess.Popen[bytes]] = []
    spawned = starting._spawned

    def slowly(*given: Any) -> Spawned:
        time.sleep(0.1)
        found = spawned(*given)
        made.append(found[0])
        return found

    monkeypatch.setattr(starting, "_spawned", slowly)
    task = asyncio.create_task(started(kind))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(400):
        if made and not alive([made[0].pid]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it is still there")


async def test_the_loop_turns_while_a_process_is_made(kind: SandboxKind, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = threading.Event()
    spawned = starting._spawned

    def waiting(*given: Any) -> Spawned:
        assert turns.wait(10), "the event loop waits for the fork"
        return spawned(*given)

    monkeypatch.setattr(starting, "_spawned", waiting)
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_later, 0.01, turns.set)
    await (await started(kind)).close()
