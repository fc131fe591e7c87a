"""Scheduler: which models of the embedded engine are loaded, within the memory that they may take together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.gpus import Gpus
from antiphon.backends.llama.hub.progress import size
from antiphon.backends.llama.memory import SHARE, Bound
from antiphon.backends.llama.runner import Runner
from antiphon.config import EngineConfig
from antiphon.core.loaded_models import LoadedModel, LoadedModels
from antiphon.errors import BackendError, ConfigError, ModelUnavailable

log = logging.getLogger("antiphon.backends.llama")

LOAD_PATIENCE = 300.0
"""Seconds that a call waits for its model: for memory that others hold, and then for the model to load."""


class Use:
    """A call in a loaded model. It ends once, however the call ends; what is in use is not unloaded."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def end(self) -> None:
        """Let go of the model. Idempotent."""
        if self._end is not None:
            end, self._end = self._end, None
            end()

    def broke(self, error: Exception) -> None:
        """Let go of it after the call has failed."""
        self.end()


class Scheduler:
    """Loads models on demand; unloads them after `keep_alive` seconds without a call, or for another that needs their memory.

    The least recently used idle model goes first, a model that answers never does. Calls for models that have to be loaded
    stand in one line, and so do calls that come after one that waits for memory: nobody is overtaken for ever.
    """

    def __init__(
        self, config: EngineConfig, bound: Bound, *, gpus: Gpus | None = None, patience: float = LOAD_PATIENCE
    ) -> None:
        """`gpus`: whose memory models may take beside the machine's, where no setting bounds it."""
        self._config = config
        self._bound = bound
        self._gpus = gpus if gpus is not None and bound.free is not None else Gpus(0)
        self._keep_alive = config.keep_alive
        self._patience = patience
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()
        self._loaded: list[Runner] = []
        self._leaving: dict[asyncio.Task[None], int] = {}
        self._closed = False

    async def use(self, runner: Runner) -> tuple[LlamaCppBackend, Use]:
        """Return a model's engine, loaded, and the Use that holds it. Raises BackendError."""
        if runner.backend is None or self._line.locked():
            await self._stand_in_line(runner)
        else:
            self._take(runner)
        backend = runner.backend
        assert backend is not None
        use = Use(lambda: self._done(runner))
        try:
            if not runner.has_loaded:
                await self._until_loaded(runner, backend)
        except BaseException:
            use.end()
            raise
        return backend, use

    def report(self) -> LoadedModels:
        """Tell which models are loaded, the most recently used first."""
        models = sorted(self._loaded, key=lambda one: (-one.uses, -one.used_at))
        data = [self._report(one) for one in models]
        return LoadedModels(
            data=data,
            memory_total=self.total,
            memory_taken=self.taken,
            gpu_total=self._gpus.seen.total,
            gpu_free=self._gpus.seen.free,
        )

    def find(self, id: str) -> Runner | None:
        """Return the loaded model of this name, or None."""
        return next((one for one in self._loaded if one.id == id), None)

    def stop(self, runner: Runner) -> None:
        """Unload a model now, or when the calls that hold it have ended. It is loaded again when it is called."""
        if runner.backend is not None and runner.uses:
            runner.stops = True
        elif runner.backend is not None:
            self._unload(runner, "it was stopped")

    @property
    def total(self) -> int:
        """The bytes that loaded models may take together: of the machine and of its GPUs, once these were looked at."""
        return self._bound.total + int(self._gpus.seen.total * SHARE)

    @property
    def taken(self) -> int:
        """The bytes that are set aside for models that are loaded, or are being unloaded."""
        return sum(one.model.memory for one in self._loaded) + sum(self._leaving.values())

    async def close(self) -> None:
        """Unload all. Idempotent."""
        self._closed = True
        for runner in list(self._loaded):
            self._unload(runner, "the server stops")
        await asyncio.gather(*self._leaving)

    # Loading

    async def _stand_in_line(self, runner: Runner) -> None:
        """Wait for the call's turn and for memory, begin to load, and take the model."""
        try:
            async with asyncio.timeout(self._patience), self._line:
                if runner.backend is None:
                    await self._make_room(runner)
                    self._load(runner)
                self._take(runner)
        except TimeoutError:
            raise self._no_room(runner) from None

    def _load(self, runner: Runner) -> None:
        if self._closed:
            raise _unavailable("The server is stopping.")
        log.info("embedded engine: loading model %s (%s)", runner.id, size(runner.model.memory))
        runner.backend, runner.has_loaded = runner.make(runner.model), False
        runner.backend.start()
        self._loaded.append(runner)

    async def _until_loaded(self, runner: Runner, backend: LlamaCppBackend) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await backend.ready()
        except TimeoutError:
            raise _unavailable(f"The model '{runner.id}' is still loading. Try again later.") from None
        except ConfigError as error:
            if runner.backend is backend:
                log.error("%s", error)
                self._unload(runner, "it cannot be loaded")
            raise _unavailable(f"The model '{runner.id}' cannot be loaded; the server's log has the reason.") from error
        runner.has_loaded = True

    async def _make_room(self, runner: Runner) -> None:
        """Unload idle models until a model has room, waiting for those that answer. Raises BackendError."""
        need = runner.model.memory
        if not self._loaded and need <= self._room():
            return  # nothing to choose: GPUs need not be looked at, which takes a process
        await self._gpus.memory()
        if need > self.total and not runner.pinned:
            raise BackendError(
                400,
                f"The model '{runner.id}' needs {size(need)} of memory, more than the {size(self.total)} that models may "
                "take here (setting engine.memory).",
                code="unsupported_model",
                param="model",
            )
        while not self._closed:
            self._changed.clear()
            room, on_gpu = self._room(), (await self._gpus.memory()).free
            fits_gpu = need <= self._gpus.seen.total * SHARE
            if need <= room and (not fits_gpu or need <= on_gpu):
                return
            idle = sorted((one for one in self._loaded if not one.uses), key=lambda one: one.used_at)
            busy = len(idle) < len(self._loaded) or bool(self._leaving)
            enough = need <= room + sum(one.model.memory for one in idle)
            if need <= room and not idle and not busy:
                return  # it fits, if not into the GPUs alone: others than this server use these
            if idle and (enough or (runner.pinned and not busy)):
                self._unload(idle[0], f"its memory is needed for {runner.id}")
            elif not busy and runner.pinned:
                return  # the operator's own choice: llama.cpp may find a way, such as weights that stay on disk
            elif not busy:
                raise self._no_room(runner)
            await self._changed.wait()

    def _room(self) -> int:
        """Return the bytes that are left beside the models that are loaded; what a GPU has free counts as free."""
        left = self.total - self.taken
        free = self._bound.free
        return left if free is None else min(left, free() + self._gpus.seen.free)

    # In use, idle, unloaded

    def _take(self, runner: Runner) -> None:
        if self._closed:
            raise _unavailable("The server is stopping.")
        runner.uses += 1
        runner.expires_at = None
        runner.stops = False
        if runner.timer is not None:
            runner.timer.cancel()
            runner.timer = None

    def _done(self, runner: Runner) -> None:
        runner.uses -= 1
        runner.used_at = time.monotonic()
        if not runner.uses:
            self._changed.set()
            if runner.stops and runner.backend is not None:
                self._unload(runner, "it was stopped")
            elif runner.backend is not None and not runner.pinned and self._keep_alive >= 0:
                runner.expires_at = time.time() + self._keep_alive
                loop = asyncio.get_running_loop()
                runner.timer = loop.call_later(self._keep_alive, self._expire, runner)

    def _expire(self, runner: Runner) -> None:
        if not runner.uses and runner.backend is not None:
            self._unload(runner, "nobody has called it for a while")

    def _unload(self, runner: Runner, why: str) -> None:
        """End a model's process; its memory counts until that is gone."""
        backend, runner.backend = runner.backend, None
        assert backend is not None
        if runner.timer is not None:
            runner.timer.cancel()
        runner.timer = runner.expires_at = None
        runner.stops = False
        self._loaded.remove(runner)
        log.info("embedded engine: unloading model %s: %s", runner.id, why)
        task = asyncio.ensure_future(backend.close())
        self._leaving[task] = runner.model.memory
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        del self._leaving[task]
        self._changed.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("embedded engine: a process could not be stopped", exc_info=task.exception())

    # Told

    def _no_room(self, runner: Runner) -> BackendError:
        taken, need = self.taken, runner.model.memory
        free = max(self._room(), 0)
        return _unavailable(
            f"The model '{runner.id}' needs {size(need)} of memory; {size(free)} are free. Other models hold {size(taken)} "
            f"of the {size(self.total)} for models. Try again later.",
            code="backend_busy",
        )

    def _report(self, runner: Runner) -> LoadedModel:
        return LoadedModel(
            id=runner.id,
            state=runner.state.value,
            size=runner.model.memory,
            weights=runner.model.weights,
            context_length=runner.model.context,
            parallel=self._config.parallel,
            running=runner.uses,
            expires_at=runner.expires_at,
            pinned=runner.pinned,
        )


def _unavailable(message: str, code: str = "backend_unavailable") -> ModelUnavailable:
    return ModelUnavailable(503, message, code=code, headers={"Retry-After": "5"}, retriable=True)
