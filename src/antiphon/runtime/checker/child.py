"""A checking process: reads CheckTasks from the socket that is its stdin, answers each with a Verdict.

It ends with its socket, with its parent, after a CheckTask's time, and where it would take more memory than it may. It opens no
file and no connection once it is ready: the limit of file descriptors stands at those that it has.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys

import msgspec

from antiphon.runtime.checker.protocol import LENGTH, CheckTask, Ready, Verdict
from antiphon.runtime.checker.schemas import perform
from antiphon.runtime.isolated_child import end_with_parent, exactly, limit, step_back

RETIRE_SHARE = 0.5  # of the memory; a process that has held more is replaced

_decode = msgspec.msgpack.Decoder(CheckTask).decode
_encode = msgspec.msgpack.Encoder().encode


def main(parent: int, memory: int) -> None:
    """Serve until the socket ends. `memory` is the address space that the process may have, in bytes."""
    end_with_parent(parent)
    _warm_up()
    connection = socket.socket(fileno=0)
    step_back()
    statm = _open_statm()
    limit(memory, 3 if statm is None else statm + 1)
    _send(connection, Ready(pid=os.getpid()))
    while frame := _receive(connection):
        task = _decode(frame)
        signal.setitimer(signal.ITIMER_REAL, task.seconds)  # SIGALRM ends the process: nothing here handles it
        verdict = perform(task)
        signal.setitimer(signal.ITIMER_REAL, 0)
        worn = _held(statm) > memory * RETIRE_SHARE
        _send(connection, msgspec.structs.replace(verdict, last=worn))
        if worn:
            return


def _open_statm() -> int | None:
    try:
        return os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return None


def _held(statm: int | None) -> int:
    """Return how much memory the process holds, in bytes; where the system does not tell, the most that it ever held."""
    if statm is not None:
        return int(os.pread(statm, 256, 0).split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _warm_up() -> None:
    """Load all that a CheckTask may need while files can still be opened."""
    schema = b'{"type":"object","properties":{"a":{"type":"string","pattern":"^a$"}},"required":["a"]}'
    for text in ('{"a":"a"}', '{"a":"b"}', "{"):
        perform(CheckTask(kind="check", schema=schema, text=text, seconds=1.0))
    perform(CheckTask(kind="compile", schema=b'{"$ref":"urn:x"}', seconds=1.0))


def _send(connection: socket.socket, message: Ready | Verdict) -> None:
    body = _encode(message)
    connection.sendall(LENGTH.pack(len(body)) + body)


def _receive(connection: socket.socket) -> bytes:
    """Return the next frame, b"" where the parent is gone."""
    head = exactly(connection, LENGTH.size)
    return exactly(connection, LENGTH.unpack(head)[0]) if head else b""
