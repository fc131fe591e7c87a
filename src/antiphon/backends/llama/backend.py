"""LlamaCppBackend: the embedded engine. Keeps llama.cpp running in a process of its own and talks to its socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Raw

from antiphon.backends.base import Backend, BackendModel, ByteStream, JsonEndpoints, Relays, TurnStream
from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.llama.child import ChildParams
from antiphon.backends.llama.demo_answers import bounded_body, bounded_turn
from antiphon.backends.llama.model import EngineModel
from antiphon.backends.llama.process import EngineFailure, EngineProcess
from antiphon.backends.relaying import not_offered
from antiphon.config import BackendConfig, EngineConfig
from antiphon.core.model_types import RERANK
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.turn import Hints, Turn
from antiphon.errors import BackendError, ConfigError

log = logging.getLogger("antiphon.backends.llama")

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a request waits for the engine to load."""

SETTLED_SECONDS = 60.0
"""A process that served this long counts as sound: its crash is answered by a restart at once."""

NOTICE_SECONDS = 0.5
"""How soon after a broken call its process is known to be dead."""

REFUSALS = 3
"""Failures to load in a row after which calls hardly wait any more."""

LONGEST_PAUSE = 30.0
SOCKET_PATH_LIMIT = 90
"""macOS allows 104 bytes, Linux 108."""


class LlamaCppBackend:
    """The embedded engine as a Backend; `connect` makes the backend that speaks to its unix socket.

    A crash breaks the calls in flight (BackendError); the process is restarted, and calls that come meanwhile wait.
    """

    def __init__(
        self,
        config: EngineConfig,
        model: EngineModel,
        *,
        name: str = "engine",
        patience: float = PATIENCE,
        connect: Callable[[str], Backend] | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._config = config
        self._connect = connect or partial(_chat_backend, name)
        self._patience = patience
        self._up = asyncio.Event()
        self._first = asyncio.Event()
        self._ended = asyncio.Event()
        self._failure = ""
        self._failures = 0
        self._refusals = 0
        self._folder: Path | None = None
        self._inner: Backend | None = None
        self._task: asyncio.Task[None] | None = None
        self._process: EngineProcess | None = None
        self._closed = False

    # The process

    def start(self) -> None:
        """Begin to load the model, in the background. Without this, the first call does it."""
        if self._task is None and not self._closed:
            self._folder = _private_folder()
            self._inner = self._connect(str(self._folder / "engine.sock"))
            self._task = asyncio.create_task(self._supervise())

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises ConfigError when the first attempt failed."""
        self.start()
        await self._first.wait()
        if self.failure:
            raise ConfigError(f"The embedded engine cannot load {self.model.path}: {self.failure}")

    @property
    def healthy(self) -> bool:
        """Tell whether calls would be answered at once."""
        return self._up.is_set()

    @property
    def failure(self) -> str:
        """Why the engine is not up, in words for the operator; "" when it is, or still loads for the first time."""
        return "" if self.healthy else self._failure

    @property
    def pid(self) -> int | None:
        """The process that serves, None while there is none."""
        return self._process.pid if self._process else None

    async def close(self) -> None:
        """End the process, within a second, and remove its socket."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._inner is not None:
            await self._inner.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._run()
            except (EngineFailure, OSError) as error:
                self._failure = str(error)
            self._first.set()
            if self._closed:
                return
            self._failures = 1 if loop.time() - began > SETTLED_SECONDS else self._failures + 1
            pause = _pause(self._failures)
            log.error("embedded engine stopped: %s; restarting in %.1f s", self._failure, pause)
            await asyncio.sleep(pause)

    async def _run(self) -> None:
        """Run one process from its start to its end. Raises EngineFailure, always."""
        ended = self._ended = asyncio.Event()
        self._refusals += 1  # until it has loaded
        process = self._process = EngineProcess(self._params())
        try:
            await process.loaded()
            log.info("embedded engine loaded %s", self.model.card.id)
            self._refusals = 0
            self._up.set()
            self._first.set()
            raise EngineFailure(await process.died())
        finally:
            self._up.clear()
            self._process = None
            ended.set()
            await process.stop()

    def _params(self) -> ChildParams:
        assert self._folder is not None
        return ChildParams(
            model=str(self.model.path.absolute()),
            mmproj=str(self.model.mmproj.absolute()) if self.model.mmproj else "",
            socket=str(self._folder / "engine.sock"),
            parent=os.getpid(),
            alias=self.model.card.id,
            context=self.model.context,
            parallel=self._config.parallel,
            threads=self._config.threads,
            gpu_layers=self._config.gpu_layers,
            thinks=not self.model.demo,
            embeds=self.model.embeds,
        )

    # The calls

    async def open(self, turn: Turn) -> TurnStream:
        """Start a model call, waiting for the engine if it loads or restarts. Raises BackendError."""
        turn = bounded_turn(turn) if self.model.demo else turn
        return await self._call(lambda inner: inner.open(turn))

    async def models(self) -> Sequence[BackendModel]:
        """Return the one model; the file is known before it is loaded."""
        return [self.model.card]

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count a Turn's input tokens with the model's own tokenizer. Raises BackendError."""
        return await self._call(lambda inner: inner.count_tokens(turn))

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Relay a chat completions request. Raises BackendError."""
        body = bounded_body(body) if self.model.demo else body
        return await self._call(lambda inner: inner.chat_completions(body))

    async def relay(self, request: RelayedRequest, model: str, extra: Mapping[str, Raw], hints: Hints) -> ByteStream:
        """Pass a request on to another route of the engine, such as `/embeddings`. Raises BackendError."""
        if self.model.card.type == RERANK and request.operation == "embeddings":
            raise not_offered(request.route)  # llama.cpp would give numbers that mean nothing

        async def work(inner: Backend) -> ByteStream:
            assert isinstance(inner, Relays)
            return await inner.relay(request, model, extra, hints)

        return await self._call(work)

    async def post(self, endpoint: str, body: bytes) -> bytes:
        """Send JSON to another endpoint of the engine, such as `/embeddings`. Raises BackendError."""

        async def work(inner: Backend) -> bytes:
            assert isinstance(inner, JsonEndpoints)
            return await inner.post(endpoint, body)

        return await self._call(work)

    async def _call(self, work: Callable[[Backend], Awaitable[T]]) -> T:
        """Do a call when the engine is up; once more if the process died before it answered a byte.

        Not more often: the call itself may be what kills it.
        """
        inner, ended = await self._wait()
        try:
            return await work(inner)
        except BackendError as error:
            if not error.retriable or not await _within(ended.wait(), NOTICE_SECONDS):
                raise
        inner, _ = await self._wait()
        return await work(inner)

    async def _wait(self) -> tuple[Backend, asyncio.Event]:
        """Wait for the engine; less patiently when it fails to load again and again. Raises BackendError, 503."""
        self.start()
        patience = self._patience if self._refusals <= REFUSALS else 1.0
        if self._closed or not await _within(self._up.wait(), patience):
            raise BackendError(
                503,
                "The embedded engine is not ready.",
                code="backend_unavailable",
                headers={"Retry-After": "5"},
                retriable=True,
            )
        assert self._inner is not None
        return self._inner, self._ended


def _chat_backend(name: str, socket: str) -> Backend:
    return ChatBackend(name, BackendConfig(url="http://engine/v1", profile="llama_cpp"), socket=socket)


async def _within(wait: Awaitable[object], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError:
        return False
    return True


def _pause(failures: int) -> float:
    """Return the seconds before a restart: none after the first failure, then more and more."""
    return 0.0 if failures <= 1 else min(LONGEST_PAUSE, 0.5 * 2.0 ** min(failures - 2, 10))


def _private_folder() -> Path:
    """Make a folder that only we can enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="antiphon-"))
    if len(os.fsencode(folder)) <= SOCKET_PATH_LIMIT:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="antiphon-", dir="/tmp"))
