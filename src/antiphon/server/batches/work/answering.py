"""LineRuns: the requests of one batch, asked and asked again, within its time and its process's bounds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from antiphon.errors import AntiphonError, APIError
from antiphon.runtime.fair_turns import FairTurns
from antiphon.runtime.offload import by_size
from antiphon.server.batches.work.base import Ask, BatchBounds, BatchDetails, BatchFront, BatchRequest, LineAnswer
from antiphon.server.batches.work.usage import tokens_of
from antiphon.stores.base import Store
from antiphon.stores.batch_records import BatchLease, BatchLine, LineResult

MOST_ASKED = 2
"""Times that a request is begun whose process dies: it may be what kills it."""

DELAYS = (2.0, 10.0, 60.0, 300.0)
"""Seconds between an answer that may be another one next time, and the next attempt; a limit's own time counts instead."""

AGAIN = frozenset((408, 429, 500, 502, 503, 504, 529))
MOST_ANSWER = 32 << 20
"""Bytes of an answer that is kept."""

LAST_SECONDS = 10.0  # for answers that are on their way when a batch is cancelled, or expires


class LineTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines of a batch are run with. `turns` are shared by all batches of the process."""

    store: Store
    front: BatchFront
    bounds: BatchBounds
    ask: Ask
    clock: Callable[[], float]
    turns: FairTurns
    delays: Sequence[float]
    last_seconds: float


class LineLeft(AntiphonError):
    """A line is left without an answer: its batch ends."""


class LineTurn:
    """A turn that is had, and given back once."""

    def __init__(self, turns: FairTurns, owner: str) -> None:
        self._turns = turns
        self._owner = owner
        self._held = True

    async def begin(self) -> None:
        """Wait for it anew."""
        await self._turns.begin(self._owner)
        self._held = True

    def end(self) -> None:
        """Give it back."""
        if self._held:
            self._held = False
            self._turns.end(self._owner)


class LineRuns:
    """Runs lines until there are no more, or the batch is to end. `caller` asks; it may be renewed meanwhile."""

    def __init__(self, terms: LineTerms, lease: BatchLease, details: BatchDetails) -> None:
        self._terms = terms
        self._lease = lease
        self._details = details
        self._room = asyncio.Semaphore(terms.bounds.running)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._error: BaseException | None = None
        self.caller = details.caller
        self.refused: APIError | None = None
        """Why nothing is asked any more: the key was revoked."""

    @property
    def over(self) -> bool:
        """Tell whether nothing is begun any more."""
        return self._stopped.is_set() or self._left() <= 0

    def stop(self) -> None:
        """Begin nothing any more; answers that are on their way have `last_seconds`."""
        self._stopped.set()

    async def run(self) -> None:
        """Run lines. Raises FenceError, and APIError where the store is away."""
        try:
            while await self._may_begin():
                turn = LineTurn(self._terms.turns, self._lease.batch.owner)
                try:
                    if not await self._begin_next(turn):
                        break
                except BaseException:
                    turn.end()
                    self._room.release()
                    raise
            await self._until_done()
        finally:
            await self.abort()
        if self._error is not None:
            raise self._error

    async def _begin_next(self, turn: LineTurn) -> bool:
        """Begin the next line; False where there is none."""
        line = await self._terms.store.batches.begin_line(self._lease)
        if line is None:
            turn.end()
            self._room.release()
            return False
        alone = line.asked > 1  # it may be what killed a process
        if alone:
            await self._until_done()
        task = asyncio.create_task(self._work(line, turn))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, turn))
        if alone:
            await asyncio.wait((task,))
        return True

    async def abort(self) -> None:
        """Leave what is not answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _left(self) -> float:
        return self._lease.batch.expires_at - self._terms.clock()

    async def _may_begin(self) -> bool:
        """Wait for a turn; False, and none is had, where nothing is to be begun any more."""
        waiting, stop = asyncio.create_task(self._turn()), asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait((waiting, stop), timeout=max(0.0, self._left()), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() and not self.over:
                return True
        except BaseException:
            await self._no_turn(waiting)
            raise
        finally:
            stop.cancel()
        await self._no_turn(waiting)
        return False

    async def _turn(self) -> None:
        await self._room.acquire()
        try:
            await self._terms.turns.begin(self._lease.batch.owner)
        except BaseException:
            self._room.release()
            raise

    async def _no_turn(self, waiting: asyncio.Task[None]) -> None:
        """Give up a turn, whether it is waited for or there already."""
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if not waiting.cancelled() and waiting.exception() is None:
            self._terms.turns.end(self._lease.batch.owner)
            self._room.release()

    def _done(self, task: asyncio.Task[None], turn: LineTurn) -> None:
        turn.end()
        self._room.release()
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self._error is None:
            self._error = task.exception()
            self.stop()

    async def _until_done(self) -> None:
        """Wait for what runs: as long as it takes, but where the batch is over no more than `last_seconds`."""
        while self._tasks and not self.over:
            stop = asyncio.create_task(self._stopped.wait())
            timeout = max(0.0, self._left())
            await asyncio.wait((stop, *self._tasks), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
        if self._tasks and self._error is None:
            await asyncio.wait(self._tasks, timeout=self._terms.last_seconds)

    # One line

    async def _work(self, line: BatchLine, turn: LineTurn) -> None:
        with contextlib.suppress(LineLeft):
            result = await self._result(line, turn)
            await self._terms.store.batches.finish_line(self._lease, result)

    async def _result(self, line: BatchLine, turn: LineTurn) -> LineResult:
        """Return what a line comes to. While it waits to be asked again, others have its turn."""
        attempt = 0
        while True:
            if line.asked > MOST_ASKED:
                return self._refused(line, "server_error", f"To ask this ended the server {MOST_ASKED} times.")
            if self.refused is not None:
                return self._refused(line, self.refused.code, self.refused.message)
            request = await self._read(line)
            if request is None:
                return self._refused(line, "file_not_found", "The input file was deleted, or has expired.")
            answer = await self._terms.ask(self._details.endpoint, request.body, self.caller)
            pause = self._pause(answer, attempt)
            if pause is None:
                return await by_size(len(answer.body), self._answered, line, answer)
            attempt += 1
            turn.end()
            await self._sleep(pause)
            await turn.begin()

    def _answered(self, line: BatchLine, answer: LineAnswer) -> LineResult:
        if len(answer.body) > MOST_ANSWER:
            return self._refused(line, "answer_too_large", f"The answer has more than {MOST_ANSWER} bytes.")
        body = self._terms.front.answered(line.custom_id, answer)
        tokens = {} if answer.failed else tokens_of(answer.body)
        return LineResult(line=line.line, failed=answer.failed, body=body, **tokens)

    def _pause(self, answer: LineAnswer, attempt: int) -> float | None:
        """Return after how many seconds to ask again, None for never. Limits of the caller pass; other troubles may."""
        if answer.status not in AGAIN or (answer.status != 429 and attempt >= len(self._terms.delays)):
            return None
        delay = self._terms.delays[min(attempt, len(self._terms.delays) - 1)]
        return max(answer.wait, 0.01) if answer.wait is not None else delay

    async def _sleep(self, seconds: float) -> None:
        """Wait. Raises LineLeft where the batch is over before."""
        try:
            async with asyncio.timeout(max(0.0, min(seconds, self._left()))):
                await self._stopped.wait()
        except TimeoutError:
            pass
        if self.over:
            raise LineLeft

    def _refused(self, line: BatchLine, code: str, message: str) -> LineResult:
        return LineResult(line=line.line, failed=True, body=self._terms.front.refused(line.custom_id, code, message))

    async def _read(self, line: BatchLine) -> BatchRequest | None:
        """Return a request from the input file; None where that is gone."""
        rows: list[bytes] = []
        size = 0
        id, owner = self._details.input_file_id, self._lease.batch.owner
        while size < line.size:
            row = await self._terms.store.files.content(id, owner, self._terms.clock(), line.start + size)
            if not row:
                return None
            rows.append(row[: line.size - size])
            size += len(rows[-1])
        return await by_size(size, self._terms.front.read, b"".join(rows), self._details.endpoint)
