"""Behind: what is derived from rows after their commit: at once where nothing else is written, else a little at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from math import inf
from sqlite3 import Connection
from time import monotonic

GROUP = 32
"""Ids of one transaction: about a millisecond."""
PAUSE = 0.1
"""Seconds between two groups while others write: groups take one per cent of the time, then."""
IDLE_PAUSE = 0.005
"""The same while nobody writes."""
MOST = 16_384
"""Ids that may wait, at 110 bytes each; while there are more, each group of others' writes is followed by one of these."""


class Behind:
    """Ids of rows that wait, the oldest first. All but `waiting` belongs to the writer's thread.

    An id counts as waiting until what it stands for is committed: who finds none waiting finds everything in the file.
    """

    def __init__(self, write: Callable[[Connection, Sequence[str]], object]) -> None:
        """`write` writes what some ids stand for, in a transaction of its caller. It may be called twice with the same."""
        self._write = write
        self._ids: dict[str, None] = {}
        self.due_at = inf

    @property
    def waiting(self) -> int:
        """How many wait; it may be asked for in any thread."""
        return len(self._ids)

    def add(self, id: str) -> None:
        """Have what an id stands for written, in a moment."""
        if not self._ids:
            self.due_at = monotonic() + PAUSE
        self._ids[id] = None
        if len(self._ids) > MOST:
            self.due_at = -inf

    def step(self, run: Callable[[Callable[[Connection], object]], bool], *, idle: bool = False) -> None:
        """Write a group. `run` commits an operation, and tells whether it could. `idle`: nothing else is written.

        Where the group fails, its ids are tried one by one; those that fail again are left out.
        """
        group = list(islice(self._ids, GROUP))
        try:
            if group and not run(self._operation(group)) and len(group) > 1:
                for id in group:
                    run(self._operation([id]))
        finally:
            for id in group:
                del self._ids[id]
            self._next(idle)

    def _next(self, idle: bool) -> None:
        if not self._ids:
            self.due_at = inf
        elif len(self._ids) > MOST:
            self.due_at = -inf
        else:
            self.due_at = monotonic() + (IDLE_PAUSE if idle else PAUSE)

    def _operation(self, ids: Sequence[str]) -> Callable[[Connection], object]:
        return lambda connection: self._write(connection, ids)
