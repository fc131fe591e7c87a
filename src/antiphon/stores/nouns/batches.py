"""BatchStore: the operations on batches and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.batch_records import BatchLease, BatchLine, LineOutcome, LineResult, StoredBatch
from antiphon.stores.records import ListPage


class BatchStore(Protocol):
    """Batches, their leases and their lines.

    What takes a lease raises FenceError where it was lost to another worker, and then nothing was written.
    """

    async def create(self, batch: StoredBatch, most: int) -> bool:
        """Insert a batch; False where its owner has `most` that have not ended. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str) -> StoredBatch | None:
        """Return a batch, or None."""
        ...

    async def list(self, owner: str, front: str, page: ListPage) -> Sequence[StoredBatch] | None:
        """Return a page of the batches of one front; None if where it begins or ends is unknown."""
        ...

    async def cancel(self, id: str, owner: str, now: int) -> StoredBatch | None:
        """Set a batch whose requests are checked or answered to `cancelling`; return it as it is then, None for none."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a batch that has ended, with its lines; tell whether it was there."""
        ...

    async def claim(self, worker: str, now: float, lease: float, without: Sequence[str] = ()) -> BatchLease | None:
        """Claim the oldest batch that is to be worked on and that no worker holds, or return None.

        `crashes` are raised where its lease ran out; its lines whose answer did not come are to be asked again.
        Owners in `without` are passed over.
        """
        ...

    async def heartbeat(self, lease: BatchLease, now: float, seconds: float) -> str:
        """Extend a lease; return the batch's status, which a client may have changed."""
        ...

    async def release(self, lease: BatchLease) -> None:
        """Release a batch, so that any worker can claim it; lines without an answer count as not asked."""
        ...

    async def clear_lines(self, lease: BatchLease) -> None:
        """Delete all lines: the file is read from its beginning."""
        ...

    async def add_lines(self, lease: BatchLease, lines: Sequence[BatchLine]) -> Sequence[tuple[int, int]]:
        """Insert lines. Return those whose `custom_id` is taken, each with the line that has it; these are not inserted."""
        ...

    async def advance(
        self,
        lease: BatchLease,
        expected: str,
        status: str,
        progress: bytes,
        *,
        total: int | None = None,
        keep_until: int | None = None,
    ) -> bool:
        """Set status and progress of a batch whose status is the `expected` one; False where it is another."""
        ...

    async def begin_line(self, lease: BatchLease) -> BatchLine | None:
        """Return the next line that was not asked, which counts as asked from now on; None where there is none."""
        ...

    async def finish_line(self, lease: BatchLease, result: LineResult) -> None:
        """Keep what a line has come to, once; the counts of the batch grow with it."""
        ...

    async def outcomes(self, lease: BatchLease, after: int, limit: int, most: int) -> Sequence[LineOutcome]:
        """Return what has become of lines behind line `after`, in their order: up to `limit`, of `most` bytes in all.

        One that is larger comes alone.
        """
        ...

    async def settle(self, lease: BatchLease) -> None:
        """Delete the lines of a batch that has ended: nobody claims it any more."""
        ...
