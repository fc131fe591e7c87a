"""Memory of a WebSocket connection: its own responses, including those with `store: false`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from antiphon.core.context import item_id, split_array
from antiphon.core.json_encoding import to_json
from antiphon.responses.plan import Plan
from antiphon.responses.run import Run
from antiphon.runtime.offload import by_size
from antiphon.server.ws.budget import Budget
from antiphon.stores.base import ResponseStore


class Remembered:
    """A response's own input and output as JSON arrays, its model texts, and the id of the response before it."""

    __slots__ = ("evicted", "input", "output", "previous", "texts")

    def __init__(self, previous: str | None, input: bytes, output: bytes, texts: Mapping[str, bytes]) -> None:
        self.previous = previous
        self.evicted = False
        self.input = input
        self.output = output
        self.texts = texts

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.input) + len(self.output) + sum(map(len, self.texts.values()))


class ConnectionMemory:
    """A History: the connection's own responses first, the store behind them. The oldest are forgotten beyond `limit` bytes."""

    def __init__(self, responses: ResponseStore, limit: int, budget: Budget) -> None:
        self._responses = responses
        self._limit = limit
        self._budget = budget
        self._kept: dict[str, Remembered] = {}
        self._size = 0

    def keep(self, plan: Plan, run: Run) -> None:
        """Remember a response that has ended."""
        output = b"[%b]" % b",".join(run.stream.output)
        texts = {id: to_json(text) for id, text in run.stream.model_texts.items()}
        kept = Remembered(plan.response.previous_response_id, plan.own_input().whole, output, texts)
        self._kept[plan.response.id] = kept
        self._count(kept.size)
        while (self._size > self._limit or self._budget.over) and len(self._kept) > 1:
            self._count(-self._kept.pop(next(iter(self._kept))).size)

    def evict(self, id: str) -> None:
        """Let no further request continue from a response: one that did has failed (Open Responses, "WebSocket").

        It stays a link in the chains of those that continued from it before. One that is stored can be continued from the store.
        """
        kept = self._kept.get(id)
        if kept is not None:
            kept.evicted = True

    def _count(self, size: int) -> None:
        self._size += size
        self._budget.keep(size)

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        """Return the chain that ends with a response, oldest first, or None."""
        chain: list[bytes] = []
        next_id: str | None = id
        if id in self._kept and self._kept[id].evicted:
            return await self._responses.history(id, owner)
        while next_id is not None and next_id in self._kept:
            kept = self._kept[next_id]
            chain += (kept.output, kept.input)
            next_id = kept.previous
        chain.reverse()
        if next_id is None:
            return chain
        earlier = await self._responses.history(next_id, owner)
        if earlier is None and not chain:
            return None
        return [*(earlier or ()), *chain]

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return the items among these ids that exist."""
        found = await by_size(self._size, _pick, list(self._kept.values()), set(ids))
        rest = [id for id in ids if id not in found]
        if rest:
            found.update(await self._responses.items(rest, owner))
        return found

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return what the model sees of those of these output items that have such a text, as JSON."""
        wanted = set(ids)
        found = {id: text for kept in self._kept.values() for id, text in kept.texts.items() if id in wanted}
        rest = [id for id in ids if id not in found]
        if rest:
            found.update(await self._responses.model_texts(rest, owner))
        return found


def _pick(memory: Sequence[Remembered], wanted: Set[str]) -> dict[str, bytes]:
    """Return the wanted items; of several with one id the newest."""
    found: dict[str, bytes] = {}
    for kept in memory:
        for item in (*split_array(kept.input), *split_array(kept.output)):
            id = item_id(item)
            if id in wanted:
                found[id] = bytes(item)
    return found
