"""Recall: the thoughts of earlier answers by the ids of their calls, for clients that drop them between two requests.

An owner's own only. The last ones are in memory; those of stored responses are found in the store, also by other processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.context import opaque_of
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import Opaque, OpaqueData
from antiphon.core.request.decoding import decode_items
from antiphon.core.tools.call_thoughts import bare_calls, made, put_back, thoughts_id
from antiphon.core.tools.results import ModelTexts
from antiphon.runtime.offload import by_size
from antiphon.stores.base import ResponseStore
from antiphon.types.items import Item, Reasoning

SECONDS = 3600.0
"""Thoughts that nobody has asked for so long are forgotten."""
OWNERS_SHARE = 4
"""An owner has this part of the memory at most."""
MOST_ASKED = 64
"""Calls of a request for whose thoughts the store is asked: the last ones."""
MOST_TOGETHER = 3
"""Reasoning items of one call that the store finds again."""

_ENTRY = 200  # bytes that an entry takes by itself


class _Entry(msgspec.Struct):
    """The thoughts of one call; none: it is known that there are none."""

    thoughts: Sequence[Reasoning]
    opaque: Mapping[str, tuple[Opaque, ...]]
    size: int
    at: float
    response: str = ""


def _is_of(entry: _Entry, base: str) -> bool:
    """Tell whether thoughts have ids that were made for a response."""
    return any(isinstance(item.id, str) and base in item.id for item in entry.thoughts)


class Recall:
    """Remembers thoughts by call. `limit` are the bytes of all that it has in memory; 0: nothing is recalled at all."""

    def __init__(self, limit: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._owners: dict[str, dict[str, _Entry]] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of what is remembered."""
        return self._size

    def keep(
        self,
        owner: str,
        before: Sequence[Item],
        output: Sequence[bytes],
        texts: ModelTexts,
        response_id: str = "",
        model: str = "",
    ) -> dict[str, int]:
        """Remember the thoughts of an output's calls. Returns the ids by which a store finds them, and their places."""
        if not self._limit:
            return {}
        places: dict[str, int] = {}
        opaque = opaque_of(texts)
        for call in made(before, decode_items([Raw(item) for item in output]), model):
            thoughts = [item for _, item in call.thoughts]
            beside = {str(item.id): tuple(opaque[str(item.id)]) for item in thoughts if item.id in opaque}
            size = (
                _ENTRY + sum(len(output[place]) for place, _ in call.thoughts) + (len(to_json(beside)) if beside else 0)
            )
            self._remember(owner, call.key, _Entry(thoughts, beside, size, self._clock(), response_id))
            for number, (place, _) in enumerate(call.thoughts[:MOST_TOGETHER]):
                places[thoughts_id(call.key, number)] = place
        return places

    def forget(self, owner: str, response_id: str) -> None:
        """Forget the thoughts of a response that was deleted."""
        base = response_id.removeprefix("resp_")
        entries = self._owners.get(owner, {})
        for key in [key for key, entry in entries.items() if entry.response == response_id or _is_of(entry, base)]:
            self._count(owner, -entries.pop(key).size)
        if owner in self._owners and not entries:
            del self._owners[owner], self._sizes[owner]

    async def restored(
        self,
        items: list[Item],
        opaque: OpaqueData,
        owner: str,
        responses: ResponseStore,
        size: int = 0,
        model: str = "",
    ) -> tuple[list[Item], OpaqueData]:
        """Return the items with the thoughts that were dropped before their calls, and what goes with all of them.

        `size` is about how many bytes the items have, `model` the one that is asked.
        """
        if not self._limit:
            return items, opaque

        def has_thoughts(item: Reasoning) -> bool:
            return bool(item.content or item.summary or item.id in opaque or item.encrypted_content)

        bare = await by_size(size, bare_calls, items, has_thoughts, model)
        if not bare:
            return items, opaque
        mine = self._owners.get(owner, {})
        unknown = [key for _, key in bare[-MOST_ASKED:] if key not in mine]
        if unknown:
            await self._ask(owner, unknown, responses)
            mine = self._owners.get(owner, {})
        known = [pair for pair in bare if (one := mine.get(pair[1])) is not None and one.thoughts]
        found = {index: entry for index, key in known if (entry := self._get(owner, key))}
        if not found:
            return items, opaque
        beside = {id: records for entry in found.values() for id, records in entry.opaque.items()}
        return put_back(items, {index: entry.thoughts for index, entry in found.items()}), {**opaque, **beside}

    async def _ask(self, owner: str, keys: Sequence[str], responses: ResponseStore) -> None:
        """Look for calls that are not remembered here; what the store does not know either is remembered as such."""
        wanted = [thoughts_id(key, number) for key in keys for number in range(MOST_TOGETHER)]
        found = await responses.items(wanted, owner)
        for key in keys:
            bodies = [body for number in range(MOST_TOGETHER) if (body := found.get(thoughts_id(key, number)))]
            thoughts = [item for item in decode_items([Raw(body) for body in bodies]) if isinstance(item, Reasoning)]
            size = _ENTRY + sum(map(len, bodies))
            self._remember(owner, key, _Entry(thoughts, {}, size, self._clock()))

    # Memory

    def _get(self, owner: str, key: str) -> _Entry | None:
        """Return an entry, which is then the last to be forgotten."""
        entries = self._owners.get(owner)
        entry = entries.pop(key, None) if entries is not None else None
        if entry is None or entries is None:
            return None
        entries[key] = entry
        entry.at = self._clock()
        return entry

    def _remember(self, owner: str, key: str, entry: _Entry) -> None:
        entries = self._owners.pop(owner, {})
        self._owners[owner] = entries  # the owner who was here last is the last to lose anything
        self._count(owner, entry.size)
        if (old := entries.pop(key, None)) is not None:
            self._count(owner, -old.size)
        entries[key] = entry
        while self._sizes[owner] > self._limit // OWNERS_SHARE and len(entries) > 1:
            self._forget(owner)
        self._forget_old(entry.at - SECONDS)

    def _forget_old(self, since: float) -> None:
        """Forget what is too old, and too much: of those who have not been here for longest first."""
        while self._owners:
            owner = next(iter(self._owners))
            oldest = next(iter(self._owners[owner].values()))
            if oldest.at >= since and self._size <= self._limit:
                return
            self._forget(owner)

    def _forget(self, owner: str) -> None:
        entries = self._owners[owner]
        self._count(owner, -entries.pop(next(iter(entries))).size)
        if not entries:
            del self._owners[owner], self._sizes[owner]

    def _count(self, owner: str, size: int) -> None:
        self._sizes[owner] = self._sizes.get(owner, 0) + size
        self._size += size
