"""LocalModels: the embedded engine's models as one Backend. Each is loaded when it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from antiphon.backends.base import BackendModel, ByteStream, TurnStream
from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.model import EngineModel
from antiphon.backends.llama.runner import Make, Runner, RunnerState
from antiphon.backends.llama.scheduler import Scheduler, Use
from antiphon.backends.routing.leases import LeasedBytes, LeasedStream
from antiphon.core.loaded_models import NOT_LOADED, LoadedModels
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.turn import Hints, Turn
from antiphon.errors import BackendError, ConfigError

Find = Callable[[], Sequence[EngineModel]]
"""Looks for further models on this machine; it blocks."""

T = TypeVar("T")


class _RelayedModel(msgspec.Struct):
    model: str = ""


class LocalModels:
    """The models of an engine: `main`, which is called where a name is none of theirs, and those that `find` finds.

    `first`: `main` is loaded at the start, and stays loaded unless another model needs its memory.
    """

    def __init__(
        self,
        name: str,
        main: EngineModel,
        scheduler: Scheduler,
        make: Make,
        find: Find | None = None,
        *,
        first: bool = True,
    ) -> None:
        self.name = name
        self.scheduler = scheduler
        self._make = make
        self._find = find
        self._main = Runner(main, make, pinned=first)
        self._runners = {main.card.id: self._main}
        self._loading: asyncio.Task[None] | None = None
        self._first = first

    # Loading

    def start(self) -> None:
        """Begin to load the main model, in the background."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load_main())

    async def ready(self) -> None:
        """Wait until the main model is loaded. Raises ConfigError when the first attempt failed."""
        self.start()
        assert self._loading is not None
        await self._loading

    async def _load_main(self) -> None:
        try:
            _, use = await self.scheduler.use(self._main)
        except BackendError as error:
            if isinstance(error.__cause__, ConfigError):
                raise error.__cause__ from None
            raise ConfigError(error.message) from None
        use.end()

    @property
    def healthy(self) -> bool:
        """Tell whether the main model can be called: it is loaded, or was and would be again."""
        state = self._main.state
        if state is not RunnerState.UNLOADED or not self._first:
            return state is not RunnerState.LOADING
        task = self._loading
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    @property
    def failure(self) -> str:
        """Why the main model's process is not up, in words for the operator; "" when it is."""
        return self._main.backend.failure if self._main.backend is not None else ""

    def loaded_models(self) -> LoadedModels:
        """Tell which models are loaded, those of other backends that share the memory included."""
        return self.scheduler.report()

    def state_of(self, model: str) -> str | None:
        """Tell whether a model is loaded: one of this engine, or one that shares its memory now."""
        runner = self._find_runner(model)
        return runner.state.value if runner is not None else None

    def stop_model(self, model: str) -> str:
        """Unload a model once no call holds it."""
        runner = self._find_runner(model)
        if runner is None:
            return NOT_LOADED
        self.scheduler.stop(runner)
        return runner.state.value

    def _find_runner(self, model: str) -> Runner | None:
        return self._runners.get(model) or self.scheduler.find(model)

    async def close(self) -> None:
        """Unload all models."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        await self.scheduler.close()

    # The list

    async def models(self) -> Sequence[BackendModel]:
        """Return the models that are there now; the demo model, which nobody wants once there is another, is the last."""
        if self._find is not None:
            self._take_over(await asyncio.to_thread(self._find))
        return [runner.model.card for runner in self._runners.values()]

    def _take_over(self, found: Sequence[EngineModel]) -> None:
        """Serve what was found from now on. A model that is as before keeps its Runner; one that is gone is unloaded in time."""
        main = self._main.model
        others = {
            model.card.id: self._same(model) or Runner(model, self._make)
            for model in found
            if model.card.id != main.card.id and model.path != main.path
        }
        own = {main.card.id: self._main}
        self._runners = {**others, **own} if main.demo else {**own, **others}

    def _same(self, model: EngineModel) -> Runner | None:
        before = self._runners.get(model.card.id)
        return before if before is not None and before.model == model else None

    # The calls

    async def open(self, turn: Turn) -> TurnStream:
        """Start a model call, loading its model where that is needed. Raises BackendError."""
        engine, use = await self._use(turn.model)
        try:
            stream = await engine.open(turn)
            return LeasedStream(stream, use, "", getattr(stream, "ignored", ()))
        except BaseException:
            use.end()
            raise

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Relay a chat completions request. Raises BackendError."""
        return await self._relayed(_model_of(body), lambda engine: engine.chat_completions(body))

    async def relay(self, request: RelayedRequest, model: str, extra: Mapping[str, Raw], hints: Hints) -> ByteStream:
        """Pass a request on to another route of the engine, such as `/embeddings`. Raises BackendError."""
        return await self._relayed(model, lambda engine: engine.relay(request, model, extra, hints))

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count a Turn's input tokens with the model's own tokenizer. Raises BackendError."""
        return await self._called(turn.model, lambda engine: engine.count_tokens(turn))

    async def post(self, endpoint: str, body: bytes) -> bytes:
        """Send JSON to another endpoint of the engine, such as `/embeddings`. Raises BackendError."""
        return await self._called(_model_of(body), lambda engine: engine.post(endpoint, body))

    async def _relayed(self, model: str, work: Callable[[LlamaCppBackend], Awaitable[ByteStream]]) -> ByteStream:
        engine, use = await self._use(model)
        try:
            return LeasedBytes(await work(engine), use)
        except BaseException:
            use.end()
            raise

    async def _called(self, model: str, work: Callable[[LlamaCppBackend], Awaitable[T]]) -> T:
        engine, use = await self._use(model)
        try:
            return await work(engine)
        finally:
            use.end()

    async def _use(self, model: str) -> tuple[LlamaCppBackend, Use]:
        return await self.scheduler.use(self._runners.get(model, self._main))


def _model_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_RelayedModel).model
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
