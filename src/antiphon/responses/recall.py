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

_FURTHER = range(1, MOST_TOGETHER)  # their indexes: most calls have no thoughts, and those are asked for the first only

_CALL_ID = b'"call_id"'  # what calls have
_REASONING = b'"type":"reasoning"'  # what items with thoughts have

_ENTRY = 200  # bytes that an entry takes by itself
_INDEXED = 300  # bytes that it takes to find it by its response
_INDEX_DIGITS = 4  # at the end of an item's id, behind what it has in common with its response's


class _Entry(msgspec.Struct):
    """The thoughts of one call; none: it is known that there are none."""

    thoughts: Sequence[Reasoning]
    opaque: Mapping[str, tuple[Opaque, ...]]
    size: int
    at: float
    made_for: frozenset[str] = frozenset()


def _made_for(thoughts: Sequence[Reasoning], response_id: str = "") -> frozenset[str]:
    """Return the ids, without their prefixes, of the responses that thoughts were made for."""
    bases = {item.id.partition("_")[2][:-_INDEX_DIGITS] for item in thoughts if item.id}
    return frozenset(filter(None, {*bases, _base(response_id)}))


def _base(response_id: str) -> str:
    return response_id.removeprefix("resp_")


def _holds(output: Sequence[bytes], what: bytes) -> bool:
    return any(item.find(what) >= 0 for item in output)  # `in` would raise and catch an error first


class Recall:
    """Remembers thoughts by call. `limit` are the bytes of all that it has in memory; 0: nothing is recalled at all."""

    def __init__(self, limit: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._owners: dict[str, dict[str, _Entry]] = {}
        self._of_responses: dict[tuple[str, str], set[str]] = {}
        self._sizes: dict[str, int] = {}
        self._thinkers: dict[str, int] = {}  # entries that have thoughts, by owner
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
        """Remember the thoughts of an output's calls. Returns the ids by which a store finds them, and their indexes."""
        if not self._limit or not _holds(output, _CALL_ID):
            return {}
        if owner not in self._thinkers and not _holds(output, _REASONING):
            return {}  # what nobody thinks about costs nothing
        indexes: dict[str, int] = {}
        opaque = opaque_of(texts)
        for call in made(before, decode_items([Raw(item) for item in output]), model):
            thoughts = [item for _, item in call.thoughts]
            beside = {str(item.id): tuple(opaque[str(item.id)]) for item in thoughts if item.id in opaque}
            size = _ENTRY + _INDEXED + sum(len(output[index]) for index, _ in call.thoughts)
            size += len(to_json(beside)) if beside else 0
            entry = _Entry(thoughts, beside, size, self._clock(), _made_for(thoughts, response_id))
            self._remember(owner, call.key, entry)
            for number, (index, _) in enumerate(call.thoughts[:MOST_TOGETHER]):
                indexes[thoughts_id(call.key, number)] = index
        return indexes

    def forget(self, owner: str, response_id: str) -> None:
        """Forget the thoughts of a response that was deleted."""
        for key in tuple(self._of_responses.get((owner, _base(response_id)), ())):
            self._drop(owner, key)

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
        if not self._limit or not (owner in self._thinkers or await responses.may_have_thoughts(owner)):
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
        firsts = {key: thoughts_id(key, 0) for key in keys}
        found = dict(await responses.items(list(firsts.values()), owner))
        further = [thoughts_id(key, index) for key, first in firsts.items() if first in found for index in _FURTHER]
        if further:
            found |= await responses.items(further, owner)
        for key in keys:
            bodies = [body for index in range(MOST_TOGETHER) if (body := found.get(thoughts_id(key, index)))]
            thoughts = [item for item in decode_items([Raw(body) for body in bodies]) if isinstance(item, Reasoning)]
            size = _ENTRY + (_INDEXED if thoughts else 0) + sum(map(len, bodies))
            self._remember(owner, key, _Entry(thoughts, {}, size, self._clock(), _made_for(thoughts)))

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
        if key in self._owners.get(owner, ()):
            self._drop(owner, key)
        entries = self._owners.pop(owner, {})
        self._owners[owner] = entries  # the owner who was here last is the last to lose anything
        self._count(owner, entry.size)
        entries[key] = entry
        if entry.thoughts:
            self._thinkers[owner] = self._thinkers.get(owner, 0) + 1
        for base in entry.made_for:
            self._of_responses.setdefault((owner, base), set()).add(key)
        while self._sizes[owner] > self._limit // OWNERS_SHARE and len(entries) > 1:
            self._drop(owner, next(iter(entries)))
        self._forget_old(entry.at - SECONDS)

    def _forget_old(self, since: float) -> None:
        """Forget what is too old, and too much: of those who have not been here for longest first."""
        while self._owners:
            owner = next(iter(self._owners))
            key, oldest = next(iter(self._owners[owner].items()))
            if oldest.at >= since and self._size <= self._limit:
                return
            self._drop(owner, key)

    def _drop(self, owner: str, key: str) -> None:
        entries = self._owners[owner]
        entry = entries.pop(key)
        self._count(owner, -entry.size)
        if entry.thoughts:
            self._thinkers[owner] -= 1
            if not self._thinkers[owner]:
                del self._thinkers[owner]
        for base in entry.made_for:
            keys = self._of_responses[owner, base]
            keys.discard(key)
            if not keys:
                del self._of_responses[owner, base]
        if not entries:
            del self._owners[owner], self._sizes[owner]

    def _count(self, owner: str, size: int) -> None:
        self._sizes[owner] = self._sizes.get(owner, 0) + size
        self._size += size
