"""Which models are loaded: memory, order, time; with engines that do nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.backends.base import BackendModel
from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.gpus import GpuMemory, Gpus
from antiphon.backends.llama.memory import Bound
from antiphon.backends.llama.model import EngineModel
from antiphon.backends.llama.runner import Runner, RunnerState
from antiphon.backends.llama.scheduler import Scheduler, Use
from antiphon.config import EngineConfig
from antiphon.errors import BackendError, ConfigError, ModelUnavailable

GB = 10**9


class Engine:
    """An engine that takes no time and no memory, unless it is told to."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self.healthy = False
        self.closed = False

    def start(self) -> None:
        self._engines.running += 1

    async def ready(self) -> None:
        await self._engines.may_load.wait()
        if self._engines.broken:
            raise ConfigError("The embedded engine cannot load it: no.")
        self.healthy = True

    async def close(self) -> None:
        self.healthy, self.closed = False, True
        await asyncio.sleep(0)
        self._engines.running -= 1


class Engines:
    """Makes them, and counts those that run."""

    def __init__(self) -> None:
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.broken = False
        self.running = 0

    def runner(self, id: str, memory: int, *, pinned: bool = False) -> Runner:
        model = EngineModel(path=Path(id), card=BackendModel(id=id), context=10, memory=memory)
        return Runner(model, lambda _: cast(LlamaCppBackend, Engine(self)), pinned=pinned)


@asynccontextmanager
async def scheduling(
    total: int = 10 * GB, *, free: Callable[[], int] | None = None, keep_alive: float = -1, patience: float = 5.0
) -> AsyncIterator[tuple[Scheduler, Engines]]:
    scheduler = Scheduler(EngineConfig(keep_alive=keep_alive), Bound(total=total, free=free), patience=patience)
    try:
        yield scheduler, Engines()
    finally:
        await scheduler.close()


async def take(scheduler: Scheduler, runner: Runner) -> Use:
    return (await scheduler.use(runner))[1]


async def call(scheduler: Scheduler, runner: Runner) -> None:
    (await take(scheduler, runner)).end()


def loaded(scheduler: Scheduler) -> list[str]:
    return [one.id for one in scheduler.report().data]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_was_used_least_recently_goes_first() -> None:
    async with scheduling() as (scheduler, engines):
        a, b, c = (engines.runner(id, 4 * GB) for id in "abc")
        for runner in (a, b, a):
            await call(scheduler, runner)
        await call(scheduler, c)
        assert loaded(scheduler) == ["c", "a"] and b.state is RunnerState.UNLOADED
        assert engines.running == 2 and scheduler.taken == 8 * GB


async def test_no_more_goes_than_has_to() -> None:
    async with scheduling() as (scheduler, engines):
        small, other, large = engines.runner("s", 2 * GB), engines.runner("o", 2 * GB), engines.runner("l", 7 * GB)
        for runner in (small, other, large):
            await call(scheduler, runner)
        assert loaded(scheduler) == ["l", "o"]


async def test_a_model_that_answers_is_never_unloaded() -> None:
    async with scheduling() as (scheduler, engines):
        a, b = engines.runner("a", 6 * GB), engines.runner("b", 6 * GB)
        first, second = await take(scheduler, a), await take(scheduler, a)
        waiting = asyncio.create_task(take(scheduler, b))
        first.end()
        first.end()
        await settle()
        assert not waiting.done() and loaded(scheduler) == ["a"]
        second.end()
        (await waiting).end()
        assert loaded(scheduler) == ["b"] and engines.running == 1


async def test_nobody_is_overtaken_for_ever() -> None:
    """While a model waits for memory, calls for the one that holds it stand in line behind."""
    async with scheduling() as (scheduler, engines):
        a, b = engines.runner("a", 6 * GB), engines.runner("b", 6 * GB)
        held = await take(scheduler, a)
        order: list[str] = []

        async def one(runner: Runner) -> None:
            use = await take(scheduler, runner)
            order.append(runner.id)
            await settle()
            use.end()

        waiting = [asyncio.create_task(one(runner)) for runner in (b, a, a, b)]
        await settle()
        held.end()
        await asyncio.gather(*waiting)
        assert order[0] == "b" and sorted(order) == ["a", "a", "b", "b"]


async def test_a_model_that_never_fits_is_refused_with_figures() -> None:
    async with scheduling() as (scheduler, engines):
        kept = engines.runner("a", 4 * GB)
        await call(scheduler, kept)
        with pytest.raises(
            BackendError, match=r"'b' needs 11 GB of memory, more than the 10 GB .*engine\.memory"
        ) as error:
            await scheduler.use(engines.runner("b", 11 * GB))
        assert (error.value.status, error.value.code, error.value.param) == (400, "unsupported_model", "model")
        assert loaded(scheduler) == ["a"], "nothing goes for what cannot come"


async def test_waiting_ends_with_figures() -> None:
    async with scheduling(patience=0.05) as (scheduler, engines):
        held = await take(scheduler, engines.runner("a", 6 * GB))
        with pytest.raises(
            ModelUnavailable, match=r"'b' needs 5.0 GB of memory; 4.0 GB are free. Other models hold 6.0 GB of"
        ) as error:
            await scheduler.use(engines.runner("b", 5 * GB))
        assert (error.value.status, error.value.code, error.value.headers["Retry-After"]) == (503, "backend_busy", "5")
        held.end()


async def test_memory_that_other_programs_hold_is_not_waited_for() -> None:
    async with scheduling(free=lambda: 1 * GB) as (scheduler, engines):
        with pytest.raises(ModelUnavailable, match=r"needs 2\.0 GB of memory; 1\.0 GB are free"):
            await scheduler.use(engines.runner("a", 2 * GB))
        own = engines.runner("main", 20 * GB, pinned=True)
        await call(scheduler, own)
        assert loaded(scheduler) == ["main"], "the operator's own model is tried"


@pytest.mark.parametrize(("keep_alive", "stays"), [(-1, True), (0, False), (0.02, False), (3600, True)])
async def test_time_unloads(keep_alive: float, stays: bool) -> None:
    async with scheduling(keep_alive=keep_alive) as (scheduler, engines):
        runner, main = engines.runner("a", GB), engines.runner("main", GB, pinned=True)
        await call(scheduler, main)
        use = await take(scheduler, runner)
        await asyncio.sleep(0.05)
        assert runner.state is RunnerState.LOADED, "it answers"
        assert scheduler.report().data[0].expires_at is None
        use.end()
        assert (scheduler.report().data[0].expires_at is not None) is (keep_alive >= 0)
        if not stays:
            while runner.backend is not None:  # noqa: ASYNC110 (its timer tells nobody)
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)
        assert sorted(loaded(scheduler)) == (["a", "main"] if stays else ["main"])


async def test_a_call_before_its_time_keeps_a_model() -> None:
    async with scheduling(keep_alive=3600) as (scheduler, engines):
        runner = engines.runner("a", GB)
        await call(scheduler, runner)
        timer = runner.timer
        await call(scheduler, runner)
        assert timer is not None and timer.cancelled() and runner.timer is not timer


async def test_a_model_that_cannot_be_loaded_lets_go_of_its_memory() -> None:
    async with scheduling() as (scheduler, engines):
        runner = engines.runner("a", 6 * GB)
        engines.broken = True
        results = await asyncio.gather(*(scheduler.use(runner) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in results] == [ModelUnavailable] * 3
        assert "/" not in str(results[0]), "no path of this machine"
        await settle()
        assert scheduler.taken == 0 and engines.running == 0 and loaded(scheduler) == []
        engines.broken = False
        await call(scheduler, runner)
        assert loaded(scheduler) == ["a"]


async def test_who_leaves_while_a_model_loads_holds_nothing() -> None:
    async with scheduling(keep_alive=0) as (scheduler, engines):
        runner = engines.runner("a", 6 * GB)
        engines.may_load.clear()
        task = asyncio.create_task(scheduler.use(runner))
        await settle()
        assert scheduler.report().data[0].state == "loading"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert runner.uses == 0
        while loaded(scheduler):  # noqa: ASYNC110 (its timer tells nobody)
            await asyncio.sleep(0.01)


async def test_who_leaves_the_line_holds_nobody_up() -> None:
    async with scheduling() as (scheduler, engines):
        a, b, c = (engines.runner(id, 6 * GB) for id in "abc")
        held = await take(scheduler, a)
        leaving, staying = asyncio.create_task(take(scheduler, b)), asyncio.create_task(take(scheduler, c))
        await settle()
        leaving.cancel()
        held.end()
        (await staying).end()
        assert loaded(scheduler) == ["c"] and b.uses == 0


async def test_the_end_of_the_server_ends_waiting() -> None:
    async with scheduling() as (scheduler, engines):
        a, b = engines.runner("a", 6 * GB), engines.runner("b", 6 * GB)
        await take(scheduler, a)
        waiting = asyncio.create_task(scheduler.use(b))
        await settle()
        await scheduler.close()
        with pytest.raises(ModelUnavailable, match="stopping"):
            await waiting
        assert engines.running == 0


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_calls_stays_within_the_memory(seed: int) -> None:
    chance = random.Random(seed)
    async with scheduling(10 * GB, keep_alive=chance.choice([-1, 0, 0.001])) as (scheduler, engines):
        runners = [engines.runner(str(at), chance.randint(1, 9) * GB) for at in range(5)]
        answered = 0

        async def client() -> None:
            nonlocal answered
            for _ in range(10):
                runner = chance.choice(runners)
                if chance.random() < 0.1:
                    task = asyncio.create_task(take(scheduler, runner))
                    await asyncio.sleep(0)
                    task.cancel()
                    left: Any = (await asyncio.gather(task, return_exceptions=True))[0]
                    if isinstance(left, Use):
                        left.end()
                    continue
                engine, use = await scheduler.use(runner)
                for _ in range(chance.randint(0, 5)):
                    await asyncio.sleep(0)
                    assert runner.backend is engine and engine.healthy, "unloaded while it answers"
                    assert scheduler.taken <= 10 * GB
                answered += 1
                use.end()

        await asyncio.gather(*(client() for _ in range(8)))
        assert answered > 40 and not any(runner.uses for runner in runners)
    assert engines.running == 0


class Graphics:
    """GPUs with so much memory, of which the models that are loaded take theirs."""

    def __init__(self, total: int, others: int = 0) -> None:
        self.total = total
        self.others = others
        self.looks = 0
        self.scheduler: Scheduler | None = None

    async def look(self) -> GpuMemory:
        self.looks += 1
        taken = self.scheduler.taken if self.scheduler is not None else 0
        return GpuMemory(self.total, max(self.total - self.others - taken, 0))


@asynccontextmanager
async def with_gpus(machine: int, graphics: Graphics, layers: int = -1) -> AsyncIterator[tuple[Scheduler, Engines]]:
    bound = Bound(total=machine, free=lambda: machine)
    scheduler = Scheduler(EngineConfig(keep_alive=-1), bound, gpus=Gpus(layers, graphics.look), patience=5.0)
    graphics.scheduler = scheduler
    try:
        yield scheduler, Engines()
    finally:
        await scheduler.close()


async def test_a_model_that_only_a_gpu_has_room_for_is_loaded() -> None:
    async with with_gpus(10 * GB, Graphics(20 * GB)) as (scheduler, engines):
        await call(scheduler, engines.runner("large", 18 * GB))
        told = scheduler.report()
        assert (told.gpu_total, told.memory_total) == (20 * GB, 28 * GB)
        with pytest.raises(BackendError, match="needs 40 GB of memory, more than the 28 GB"):
            await call(scheduler, engines.runner("larger", 40 * GB))
    async with with_gpus(10 * GB, Graphics(20 * GB), layers=0) as (scheduler, engines):
        with pytest.raises(BackendError, match="more than the 10 GB"):
            await call(scheduler, engines.runner("large", 18 * GB))


async def test_a_gpu_is_freed_for_a_model_that_fits_into_it() -> None:
    """Though the machine's own memory would do: there it would be slow."""
    async with with_gpus(100 * GB, Graphics(20 * GB)) as (scheduler, engines):
        a, b, c = engines.runner("a", 12 * GB), engines.runner("b", 12 * GB), engines.runner("c", 60 * GB)
        await call(scheduler, a)
        await call(scheduler, b)
        assert loaded(scheduler) == ["b"]
        await call(scheduler, c)
        assert sorted(loaded(scheduler)) == ["b", "c"], "what fits into no GPU frees none"


async def test_other_programs_on_the_gpu_do_not_stop_a_model() -> None:
    async with with_gpus(100 * GB, Graphics(20 * GB, others=20 * GB)) as (scheduler, engines):
        await call(scheduler, engines.runner("a", 1 * GB))
        await call(scheduler, engines.runner("b", 12 * GB))
        assert loaded(scheduler) == ["b"]


async def test_a_machine_without_gpus_is_looked_at_once() -> None:
    graphics = Graphics(0)
    async with with_gpus(10 * GB, graphics) as (scheduler, engines):
        for id in "abcd":
            await call(scheduler, engines.runner(id, 4 * GB))
        assert graphics.looks == 1 and len(loaded(scheduler)) == 2


async def test_llama_cpp_tells_of_its_gpus() -> None:
    told = await Gpus(-1).memory()
    assert 0 <= told.free <= told.total
