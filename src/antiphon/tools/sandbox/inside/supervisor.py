"""The first process in a sandbox: starts the interpreter and shell commands, ends them, moves files in and out.

It speaks with the server over one socket. What runs the model's code is a child of its own: one that crashes, or runs for too
long, takes its variables along, but not the files. Between two calls everything but this process is stopped.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import select
import struct
import sys

from antiphon.tools.sandbox.inside import interpreter
from antiphon.tools.sandbox.inside.files import Folder, counted
from antiphon.tools.sandbox.inside.frames import Ignored, Message, Stdio, receive, send
from antiphon.tools.sandbox.inside.stillness import Others

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from typing import Any

    from antiphon.tools.sandbox.inside.frames import Connection
else:
    import _signal as signal
    import _socket as socket

PR_SET_DUMPABLE = 4
PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
PIECE = 1 << 16
OPEN_FILES = 256
MOST_INODES = 50_000
FIRST_PROCESSES = 3


class Child:
    """A process that runs code: its id, the pipes of its output, and for the interpreter the socket that it is spoken to by."""

    def __init__(self, pid: int, pipes: dict[int, int], connection: socket.socket | None = None) -> None:
        self.pid = pid
        self.pipes = pipes  # file descriptor → 1 or 2
        self.connection = connection

    def let_go(self) -> None:
        """Close what is open to it."""
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes = {}
        if self.connection is not None:
            self.connection.close()


class InnerSupervisor:
    """`own_processes`: all processes that it sees are of this sandbox."""

    def __init__(self, connection: Connection, settings: Message) -> None:
        self._server = connection
        self._settings = settings
        self._others = Others(alone(settings))
        self._folder = Folder(settings["folder"])
        self._skills = Folder(settings["skills"])
        self._python: Child | None = None

    def serve(self) -> None:
        """Do what the server asks for, until it goes."""
        self._start_python()
        self._others.stop()
        send(self._server, {"ready": sys.version.split()[0]})
        while True:
            self._others.settle(self._server)
            message, blob = receive(self._server)
            try:
                answer, content = getattr(self, "_do_" + message["do"])(message, blob)
            except (OSError, ValueError) as error:
                answer, content = {"error": type(error).__name__, "says": str(getattr(error, "strerror", error))}, b""
            send(self._server, answer, content)

    # What the server asks for

    def _do_run(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        lost = self._python is None
        python = self._python or self._start_python()
        self._others.go_on()
        assert python.connection is not None
        if "memory" in message:
            self._limit(python.pid, message["memory"])
        with Ignored(OSError):
            send(python.connection, {"code": message["code"]})
        answer, content = self._watch(python, message["most"])
        if "ok" not in answer:
            self._end(python)
            self._python = None
        return self._ended({**answer, "lost": lost}), content

    def _do_shell(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        self._others.go_on()
        shell = self._start_shell(message["command"])
        answer, content = self._watch(shell, message["most"])
        shell.let_go()
        return self._ended(answer), content

    def _do_write(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        self._folder.write(message["path"], blob, message["more"])
        return {}, b""

    def _do_install(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        self._skills.write(message["path"], blob, message["more"], 0o755 if message["executable"] else 0o644)
        return {}, b""

    def _do_read(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        return {}, self._folder.read(message["path"], message["offset"], message["size"])

    def _do_remove(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        self._folder.remove(message["path"])
        return {}, b""

    def _do_stop(self, message: Message, blob: bytes) -> tuple[Message, bytes]:
        """Nothing runs: the call ended while the server asked for its end."""
        return {"idle": True}, b""

    def _ended(self, answer: Message) -> Message:
        self._others.stop()
        changed, gone, odd = self._folder.changes()
        return {**answer, "changed": changed, "gone": gone, "odd": odd}

    # Children

    def _start_python(self) -> Child:
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        gc.collect()
        give_back()
        gc.freeze()  # what both processes have in common stays common: a collection would write to all of it
        pid = os.fork()
        if pid == 0:
            self._become(writing, writing, [ours, self._server])
            if self._settings["filter"]:
                interpreter.replace_system()
            try:
                interpreter.serve(theirs)
            finally:
                os._exit(0)
        theirs.close()
        os.close(writing)
        self._others.groups.add(pid)
        self._python = Child(pid, {reading: 1}, ours)
        return self._python

    def _start_shell(self, command: str) -> Child:
        out, out_writing = os.pipe()
        err, err_writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(out_writing, err_writing, [self._server])
            try:
                os.execve("/bin/sh", ["sh", "-c", command], dict(os.environ))  # noqa: S606 (it is what this is for)
            finally:
                os._exit(127)
        os.close(out_writing)
        os.close(err_writing)
        self._others.groups.add(pid)
        return Child(pid, {out: 1, err: 2})

    def _become(self, out: int, err: int, close: list[Connection]) -> None:
        """Be a child: a session of its own, output into pipes, nothing of the supervisor's open."""
        os.setsid()
        _set_readable(True)
        os.dup2(out, 1)
        os.dup2(err, 2)
        for one in close:
            one.close()
        if self._python is not None:
            self._python.let_go()

    @staticmethod
    def _limit(pid: int, memory: int) -> None:
        if hasattr(resource, "prlimit"):
            resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))

    def _watch(self, child: Child, most: int) -> tuple[Message, bytes]:
        """Pass output on until a child has an answer, ends, or is to be stopped; `most` bytes of output."""
        left = most
        dropped = 0
        while True:
            answer: Message = {}
            content, ended = b"", False
            waiting: list[Any] = [self._server, *child.pipes]
            waiting += [child.connection] if child.connection is not None else []
            ready, _, _ = select.select(waiting, [], [], 0.2 if child.connection is not None else 0.02)
            if self._server in ready:
                receive(self._server)  # raises where the server has gone; else it is the wish to stop
                self._end_all()
                answer, ended = {"stopped": True}, True
            elif not ready and self._crowded():
                self._end_all()
                answer, ended = {"died": self._too_much()}, True
            elif child.connection is not None and child.connection in ready:
                answer, content = self._answer(child)
                ended = True
            elif child.connection is None:
                done, status = os.waitpid(child.pid, os.WNOHANG)
                if done:
                    answer, ended = {"exit": os.waitstatus_to_exitcode(status)}, True
            for pipe, number in list(child.pipes.items()):
                if pipe in ready or ended:
                    left, lost = self._pass_on(child, pipe, number, left, ended)
                    dropped += lost
            if ended:
                return {**answer, "dropped": dropped}, content

    def _crowded(self) -> bool:
        """Tell whether there are more files than there may be: they take memory even where they are empty.

        Where folders have no size of their own, what is in them is counted, too.
        """
        if self._settings["filter"]:
            return counted(self._settings["folders"], MOST_INODES, 2 * self._settings["disk"])
        for folder in self._settings["folders"]:
            try:
                here = os.statvfs(folder)
            except OSError:
                continue
            if here.f_files - here.f_ffree > MOST_INODES:
                return True
        return False

    def _too_much(self) -> str:
        return f"more than {MOST_INODES} files" + (", or files that are too large" if self._settings["filter"] else "")

    def _answer(self, python: Child) -> tuple[Message, bytes]:
        assert python.connection is not None
        try:
            return receive(python.connection)
        except (EOFError, OSError):
            _, status = os.waitpid(python.pid, 0) if self._kill(python.pid) else (0, 0)
            return {"died": os.waitstatus_to_exitcode(status)}, b""

    def _pass_on(self, child: Child, pipe: int, number: int, left: int, to_end: bool) -> tuple[int, int]:
        """Send what a pipe holds to the server; return how many bytes may still come, and how many were too many."""
        dropped = 0
        rounds = 64 if to_end else 1
        while rounds and (not to_end or select.select([pipe], [], [], 0)[0]):
            rounds -= 1
            piece = os.read(pipe, PIECE)
            if not piece:
                del child.pipes[pipe]
                os.close(pipe)
                break
            if piece[:left]:
                send(self._server, {"output": number}, piece[:left])
            dropped += max(0, len(piece) - left)
            left -= min(left, len(piece))
        return left, dropped

    # Ending

    def _end(self, child: Child) -> None:
        self._kill(child.pid)
        with Ignored(ChildProcessError):
            os.waitpid(child.pid, 0)
        child.let_go()

    def _end_all(self) -> None:
        self._others.signal(signal.SIGKILL)
        if self._python is not None:
            self._end(self._python)
        self._python = None
        self._others.groups.clear()
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass

    @staticmethod
    def _kill(pid: int) -> bool:
        """End a process; tells whether it is still to be waited for."""
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            return False
        return True


def alone(settings: Message) -> bool:
    """Tell whether all processes that this one reaches are of its sandbox: it is one of the first of a name space, or `close_in`
    has seen that no signal leaves."""
    return bool(settings["own_processes"]) and (bool(settings["filter"]) or os.getpid() <= FIRST_PROCESSES)


def confine(settings: Message) -> None:
    """Set this process's limits, which all further ones inherit and none can raise."""
    memory, processes, size = settings["memory"], settings["processes"], settings["disk"]
    limits = {
        "RLIMIT_AS": memory,
        "RLIMIT_NPROC": processes,
        "RLIMIT_FSIZE": size,
        "RLIMIT_CORE": 1,  # 0 still starts a program of the machine, where that is given the core
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_MEMLOCK": 64 << 10,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_SIGPENDING": 1024,
    }
    for name, limit in limits.items():
        number = getattr(resource, name, None)
        if number is not None and limit is not None:
            hard = resource.getrlimit(number)[1]
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(number, (limit, limit))
    if sys.platform == "linux":
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("1000")
        except OSError:
            pass
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _set_readable(bool(settings["filter"]))  # what encloses it there reads the paths that it opens


def close_in(settings: Message) -> None:
    """Refuse system calls, where nothing else has done so yet. Raises OSError where signals reach the processes outside."""
    if not settings["filter"]:
        return
    try:
        os.kill(os.getppid(), 0)
    except PermissionError:
        pass
    else:
        raise OSError("signals leave the sandbox")
    import base64

    steps = base64.b64decode(settings["filter"])
    kept = ctypes.create_string_buffer(steps, len(steps))
    given = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(kept)))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, given, 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "system calls cannot be refused")


def give_back() -> None:
    """Give the system back what is free of the memory: reading the sources took more than it keeps."""
    with Ignored(AttributeError):  # of another C library
        ctypes.CDLL(None).malloc_trim(0)


def _set_readable(readable: bool) -> None:
    """Say whether other processes of the sandbox may read this one's memory and files."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(readable))


def main(settings: Message) -> None:
    """Serve the server that started this sandbox, over the socket whose number the settings give."""
    os.nice(5)
    os.umask(0o022)
    try:
        confine(settings)
        close_in(settings)
        if settings["filter"]:
            os.chdir(settings["folder"])
        connection = Stdio() if settings["socket"] is None else socket.socket(fileno=settings["socket"])
        InnerSupervisor(connection, settings).serve()
    except EOFError:
        pass
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        if alone(settings):  # a stopped child would outlive this process, and keep the name space
            with Ignored(OSError):
                os.kill(-1, signal.SIGKILL)
        os._exit(0)
