"""Records of batches: requests of a file that are answered one by one, while nobody waits."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class BatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests of a batch there are, how many have an answer, and the tokens of all answers."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class StoredBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch without its lines. `front`: which API it was made by.

    `details` is what it was made with, `progress` what has become of it since, both JSON objects. From `expires_at` on no request
    is begun. It is deleted at `keep_until` (None: never), which is set when it ends.
    """

    id: str
    owner: str
    front: str
    created_at: int
    expires_at: int
    details: bytes
    status: str = "validating"
    progress: bytes = b"{}"
    cancelling_at: int | None = None
    keep_until: int | None = None
    counts: BatchCounts = BatchCounts()


class BatchLease(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that a worker holds. `fence` grows with every claim; `crashes` counts holders that died."""

    batch: StoredBatch
    fence: int
    crashes: int = 0


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a batch: where it stands in the file, in bytes. `asked`: how often it was begun."""

    line: int
    custom_id: str
    start: int
    size: int
    asked: int = 0


class LineResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a request has come to: `body` is its line of the output file, or with `failed` of the error file."""

    line: int
    failed: bool
    body: bytes
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


def fitting(sizes: Sequence[int], most: int) -> int:
    """Return how many of the first pieces have `most` bytes in all; one at least, where there are any."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if total > most and number:
            return number
    return len(sizes)


class LineOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a batch as it ends: `answered` False where it was never asked, or its answer was not waited for."""

    line: int
    custom_id: str
    answered: bool
    failed: bool = False
    body: bytes = b""
