"""The engine's process: llama.cpp's own server on a private unix socket. Run as `python -m antiphon.backends.llama.child`.

Reads one line of JSON (`ChildParams`) from stdin, answers with one line of JSON (`ChildReport`) on stdout, and serves
until stdin ends or its parent is gone. A process of its own, because loading holds the GIL and a native crash is final.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from antiphon.backends.llama.gguf import read_gguf

PR_SET_PDEATHSIG = 1
HTTP_THREADS = 64
"""Threads beside those of the slots: each request that waits for a slot holds one."""

STDIN_SECONDS = 0.2
MEAN = 1
"""llama.cpp's number for the mean of the vectors of all tokens."""

RANK = 4
"""Its number for models that give one score: rerankers."""

WARNINGS = 2
"""llama.cpp's verbosity; from 4 on it would log prompts."""


class ChildParams(msgspec.Struct, frozen=True, kw_only=True):
    """What to load and where to listen. `context` is what each of the `parallel` requests may use, in tokens."""

    model: str
    socket: str
    parent: int
    alias: str
    context: int
    mmproj: str = ""
    parallel: int = 4
    threads: int = 0
    gpu_layers: int = -1
    cache_mib: int = 64
    thinks: bool = True
    embeds: bool = False


class ChildReport(msgspec.Struct, frozen=True):
    """Result of loading: `error` is empty when the socket answers."""

    error: str = ""


def main() -> None:
    """Load the model, report, and serve until the parent is gone."""
    report_to = _own_stdout()
    params = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildParams)
    _die_with_parent(params.parent)
    Path(params.socket).unlink(missing_ok=True)
    try:
        server = load(params)
    except ImportError as error:
        _report(report_to, f"xllamacpp cannot be imported ({error}); on slim systems install libgomp1")
        sys.exit(1)
    except Exception as error:
        _report(report_to, str(error))
        sys.exit(1)
    signalled = _sigterm()
    _report(report_to, "")
    select.select([0, signalled], [], [])
    _leave(params)
    del server


def load(params: ChildParams) -> Any:
    """Return a running llama.cpp server. Raises RuntimeError when it refuses the file or the settings."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = params.model
    settings.mmproj.path = params.mmproj
    settings.model_alias = {params.alias}
    settings.hostnames = [params.socket]
    settings.port = 0
    settings.ui = False
    settings.n_parallel = params.parallel
    # Not shared between the slots: a request must never lose its window because of its neighbours.
    settings.n_ctx = params.context * params.parallel
    settings.n_gpu_layers = params.gpu_layers
    settings.n_threads_http = params.parallel + HTTP_THREADS
    threads = params.threads or len(_cores())
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.cache_ram_mib = params.cache_mib
    settings.enable_reasoning = -1 if params.thinks else 0
    if params.embeds:
        settings.embedding = True
        settings.n_batch = settings.n_ubatch = params.context  # a text is embedded in one piece
        pooling = _pooling(params.model)
        if pooling in (0, RANK):  # without one there would be a vector for each token; rerankers have to be told
            settings.pooling_type = pooling or MEAN
    settings.warmup = False
    settings.verbosity = WARNINGS
    return xllamacpp.Server(settings)


def _pooling(path: str) -> int:
    """Return how the vectors of a model's tokens become one, as its file says; 0 where it does not."""
    info = read_gguf(Path(path))
    return info.number(f"{info.text('general.architecture')}.pooling_type") or 0


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set(range(os.cpu_count() or 1))


def _sigterm() -> int:
    """Return what can be read once SIGTERM has come.

    A handler alone would not do: Python calls it after the system call that the signal interrupts, and a signal that comes
    just before a read begins interrupts nothing.
    """
    signalled, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGTERM, lambda *_: None)
    return signalled


def _own_stdout() -> IO[bytes]:
    """Keep stdout for the report: whatever llama.cpp prints goes to stderr."""
    report_to = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return report_to


def _report(file: IO[bytes], error: str) -> None:
    file.write(msgspec.json.encode(ChildReport(error)) + b"\n")
    file.close()


def _die_with_parent(parent: int) -> None:
    """Ask Linux for SIGTERM when the parent dies: while a model loads, nothing here could notice the end of stdin."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def _leave(params: ChildParams) -> None:
    """Exit at once. A parent that was killed cannot remove the socket's folder, so that is done here.

    Its end of stdin may close a moment after the signal that tells of its death; a SIGTERM from elsewhere closes nothing.
    """
    closed, _, _ = select.select([0], [], [], STDIN_SECONDS)
    if closed:
        socket = Path(params.socket)
        with contextlib.suppress(OSError):
            socket.unlink(missing_ok=True)
            socket.parent.rmdir()
    os._exit(0)


if __name__ == "__main__":
    main()
