"""What would cost each test time for nothing, done once in a process of tests, or sooner.

- uvicorn's server looks each 100 ms whether to stop, and then waits 100 ms more: a fifth of a second for each server.
- httpx reads all certificates of the system for each client, those of the `openai` and `anthropic` packages too: 24 ms of CPU.
- http.server sends head and body apart, and the kernel keeps the body back until the head is acknowledged: 40 ms for each answer.
- The collector of garbage looks after each 700 new objects: 5 % of the CPU.
"""

from __future__ import annotations

import asyncio
import gc
import socketserver
import ssl
from functools import cache
from types import ModuleType
from typing import Any

import httpcore2
import uvicorn.server

from antiphon.server.process.run import COLLECT_AFTER

LOOK_AGAIN = 0.005


class _Asyncio(ModuleType):
    """asyncio as uvicorn's server sees it: where it would look again after 100 ms, it looks after 5."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, LOOK_AGAIN))


def _servers_stop_at_once() -> None:
    """Let all servers of this process that uvicorn runs look often whether to stop."""
    vars(uvicorn.server)["asyncio"] = _Asyncio("asyncio")


def _clients_share_a_tls_context() -> None:
    """Let all clients of httpx in this process trust the same certificates, which are read once."""
    read = httpcore2.default_ssl_context

    @cache
    def shared(*, _trust_env: bool = True) -> ssl.SSLContext:
        return read(_trust_env=_trust_env)

    vars(httpcore2)["default_ssl_context"] = shared


def be_quick() -> None:
    """Do all of it, for this process."""
    _servers_stop_at_once()
    _clients_share_a_tls_context()
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    gc.set_threshold(*COLLECT_AFTER)
