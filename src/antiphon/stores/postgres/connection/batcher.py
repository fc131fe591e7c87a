"""Batcher: group commit. Waiting calls are written in one transaction and one round trip."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from antiphon.errors import APIError
from antiphon.stores.postgres.database import HeldError

Call = TypeVar("Call")
Outcome = TypeVar("Outcome")

GROUP = 200


class BatchedCall(NamedTuple, Generic[Call, Outcome]):
    """A call and the future of its caller."""

    call: Call
    future: Future[Outcome]


class Batcher(Generic[Call, Outcome]):
    """Hands calls to `commit`, as many at once as came while the last ones were written."""

    def __init__(
        self,
        commit: Callable[[Sequence[Call]], Awaitable[Sequence[Outcome]]],
        order: Callable[[Call], tuple[str, ...]] | None = None,
    ) -> None:
        """`commit` writes all of its calls or none, and returns an outcome for each.

        `order` tells in which order rows are locked, so that no two groups wait for each other.
        """
        self._commit = commit
        self._order = order
        self._waiting: list[BatchedCall[Call, Outcome]] = []
        self._runner: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()
        self._closing = False

    def submit(self, call: Call) -> Future[Outcome]:
        """Enqueue; the future is done after the commit, whether or not somebody still waits for it."""
        if self._closing:
            raise RuntimeError("The store is closed.")
        loop = asyncio.get_running_loop()
        future: Future[Outcome] = loop.create_future()
        self._waiting.append(BatchedCall(call, future))
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return future

    async def close(self) -> None:
        """Write the waiting calls, then stop."""
        self._closing = True
        if self._runner is not None:
            await self._runner
        while self._alone:
            await asyncio.wait(self._alone)

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            if self._order is not None:
                order = self._order
                group.sort(key=lambda task: order(task.call))
            await self._write(group)
        self._runner = None

    async def _write(self, group: Sequence[BatchedCall[Call, Outcome]]) -> None:
        """Write together; where that fails because of one of them, write each for itself."""
        try:
            outcomes = await self._commit([task.call for task in group])
        except HeldError as error:
            if len(group) == 1:
                _fail(group[0].future, error)
                return
            for task in group:  # one of them waits for a lock: the others, and those behind them, do not
                alone = asyncio.create_task(self._write([task]))
                self._alone.add(alone)
                alone.add_done_callback(self._alone.discard)
        except APIError as error:
            for task in group:
                _fail(task.future, APIError(error.status, error.message, code=error.code, headers=error.headers))
        except Exception as error:
            if len(group) == 1:
                _fail(group[0].future, error)
                return
            for task in group:
                await self._write([task])
        else:
            for task, outcome in zip(group, outcomes, strict=True):
                if not task.future.done():  # its caller was cancelled
                    task.future.set_result(outcome)


def _fail(future: Future[Outcome], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
