"""Behind: what is derived from rows after their commit: at once where nothing else is written, else a little at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from math import inf
from sqlite3 import Connection
from time import monotonic

GROUP = 32
"""Ids of one transaction: about a millisecond."""
PAUSE = 0.25
"""Seconds between two groups while others write: groups take half a per cent of the time, then."""
IDLE_PAUSE = 0.02
"""The same while nobody writes."""
MOST = 16_384
"""Ids that may wait, at 110 bytes each. Where so many do, what comes is written with its row: to read it again costs more."""


class Behind:
    """Ids of rows that wait, the oldest first. All but `waiting` and `is_full` belongs to the writer's thread.

    An id counts as waiting until what it stands for is committed: who finds none waiting finds everything in the file.
    """

    def __init__(self, write: Callable[[Connection, Sequence[str]], object]) -> None:
        """`write` writes what some ids stand for, in a transaction of its caller. It may be called twice with the same."""
        self._write = write
        self._ids: dict[str, None] = {}
        self.due_at = inf

    @property
    def is_full(self) -> bool:
        """Tell whether no more may wait."""
        return len(self._ids) >= MOST

    @property
    def waiting(self) -> int:
        """How many wait; it may be asked for in any thread."""
        return len(self._ids)

    def add(self, id: str) -> None:
        """Have what an id stands for written, in a moment."""
        if not self._ids:
            self.due_at = monotonic() + PAUSE
        self._ids[id] = None

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
            self.due_at = monotonic() + (IDLE_PAUSE if idle else PAUSE) if self._ids else inf

    def _operation(self, ids: Sequence[str]) -> Callable[[Connection], object]:
        return lambda connection: self._write(connection, ids)
