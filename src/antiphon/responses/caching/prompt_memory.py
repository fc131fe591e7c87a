"""PromptMemory: the last prompts of each conversation, to tell why less of a later one was read from a backend's cache.

The prompts themselves, and not digests of them: nothing is computed until two are to be compared. An owner's own only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from antiphon.core.prompt_cache import Prompt

SECONDS = 3600.0
"""Prompts that were made so long ago are forgotten: caches of backends are, too."""
SMALLEST = 4096
"""Bytes of a prompt that is remembered: caches hardly keep shorter ones, OpenAI's none below 1,024 tokens."""
OWNERS_SHARE = 4
"""An owner has this part of the memory at most."""
MOST_MODELS = 1000
"""Models of which is remembered that their backends tell what they read from their caches."""

_ENTRY = 4096  # bytes that an entry takes by itself
_DECODED = 2  # times its bytes, about, a prompt takes once it is decoded


class PastPrompt(msgspec.Struct, eq=False):
    """A prompt, and where it was answered. `names` are those of its conversation; `stored`: the store has it, too."""

    prompt: Prompt
    backend_id: str
    names: Sequence[str]
    size: int
    at: float
    stored: bool


class PromptMemory:
    """Remembers prompts by response. `limit` are the bytes of all that it has in memory; 0: it remembers none."""

    def __init__(self, limit: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._owners: dict[str, dict[str, PastPrompt]] = {}
        self._latest: dict[tuple[str, str], str] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._reporting: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of what is remembered."""
        return self._size

    def keep(
        self,
        owner: str,
        response_id: str,
        prompt: Prompt,
        size: int,
        *,
        names: Sequence[str] = (),
        backend_id: str = "",
        stored: bool = False,
    ) -> None:
        """Remember the prompt of a response, `size` bytes; with `stored` it replaces those of the same names."""
        size = size * _DECODED + _ENTRY
        if size > self._limit // OWNERS_SHARE:
            return
        now = self._clock()
        for name in names:
            before = self._latest.get((owner, name))
            if before is not None and before != response_id and self._owners[owner][before].stored:
                self._drop(owner, before)
            self._latest[owner, name] = response_id
        if response_id in self._owners.get(owner, ()):
            self._drop(owner, response_id, keep_names=True)
        entries = self._owners.pop(owner, {})
        self._owners[owner] = entries  # the owner who was here last is the last to lose anything
        entries[response_id] = PastPrompt(prompt, backend_id, names, size, now, stored)
        self._count(owner, size)
        while self._sizes[owner] > self._limit // OWNERS_SHARE:
            self._drop(owner, next(iter(entries)))
        self._forget_old(now - SECONDS)

    def find(self, owner: str, response_id: str) -> PastPrompt | None:
        """Return the prompt of a response, None where it is not remembered."""
        found = self._owners.get(owner, {}).get(response_id)
        return found if found is not None and found.at >= self._clock() - SECONDS else None

    def latest(self, owner: str, names: Sequence[str]) -> PastPrompt | None:
        """Return the last prompt that has one of the names."""
        known = (self._latest.get((owner, name)) for name in names)
        return next((found for id in known if id is not None and (found := self.find(owner, id))), None)

    def note_reporting(self, model: str) -> None:
        """Take note that a model's backend tells how much it has read from its cache."""
        if len(self._reporting) < MOST_MODELS:
            self._reporting.add(model)

    def reports(self, model: str) -> bool:
        """Tell whether it ever did."""
        return model in self._reporting

    def forget(self, owner: str, response_id: str) -> None:
        """Forget the prompt of a response that was deleted."""
        if response_id in self._owners.get(owner, ()):
            self._drop(owner, response_id)

    def _forget_old(self, since: float) -> None:
        """Forget what is too old, and too much: of those who have not been here for longest first."""
        while self._owners:
            owner = next(iter(self._owners))
            id, oldest = next(iter(self._owners[owner].items()))
            if oldest.at >= since and self._size <= self._limit:
                return
            self._drop(owner, id)

    def _drop(self, owner: str, id: str, *, keep_names: bool = False) -> None:
        entries = self._owners[owner]
        entry = entries.pop(id)
        self._count(owner, -entry.size)
        for name in () if keep_names else entry.names:
            if self._latest.get((owner, name)) == id:
                del self._latest[owner, name]
        if not entries:
            del self._owners[owner], self._sizes[owner]

    def _count(self, owner: str, size: int) -> None:
        self._sizes[owner] = self._sizes.get(owner, 0) + size
        self._size += size
