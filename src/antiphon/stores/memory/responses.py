"""MemoryResponses: responses, their items and their chains. It writes into conversations and jobs too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from antiphon.core.tools.call_thoughts import BY_CALL
from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.item_ids import ResponseItems, pick_texts, positions, responses_of
from antiphon.stores.log_columns import fits, position_of
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.memory.conversations import MemoryConversations
from antiphon.stores.memory.jobs import MemoryJobs
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import Job, LoggedEvent, StoredItem, StoredResponse
from antiphon.stores.response_columns import with_array


class Kept(msgspec.Struct):
    """A response and its entry of the log; `serial` counts first insertions: a parent's is below its children's."""

    serial: int
    response: StoredResponse
    entry: LogEntry | None = None


class MemoryResponses:
    """Responses in memory. Beyond `max_responses` the oldest are dropped."""

    def __init__(
        self, database: MemoryDatabase, conversations: MemoryConversations, jobs: MemoryJobs, max_responses: int
    ) -> None:
        self._conversations = conversations
        self._jobs = jobs
        self._max_responses = max_responses
        self._serial = 0
        self._responses: dict[str, Kept] = {}
        self._foreign: dict[tuple[str, str], dict[str, int]] = {}
        self._thoughts: Counter[str] = Counter()  # ids by calls, by owner
        database.expires(self._purge)

    async def put(
        self,
        response: StoredResponse,
        *,
        conversation_items: Sequence[StoredItem] = (),
        fence: int = 0,
        entry: LogEntry | None = None,
    ) -> None:
        response = await with_array(response)
        if fence:
            self._jobs.held(response.id, fence)
        old = self._responses.get(response.id)
        if old is not None and old.response.owner != response.owner:
            raise StoreConflict(response.id)
        if conversation_items:
            self._conversations.append(response.conversation_id or "", response.owner, conversation_items)
        self._keep(response, old, entry)
        while len(self._responses) > self._max_responses:
            self._remove(next(iter(self._responses.values())).response)

    async def enqueue(
        self,
        response: StoredResponse,
        request: bytes,
        events: Sequence[LoggedEvent],
        *,
        worker: str | None = None,
        lease_until: float = 0.0,
        entry: LogEntry | None = None,
        due: float = 0.0,
    ) -> Job | None:
        if response.id in self._jobs:
            raise StoreConflict(response.id)
        await self.put(response, entry=entry)
        job = self._jobs.insert(response, request, events, None if worker is None else lease_until, due)
        return None if worker is None else job

    def _keep(self, response: StoredResponse, old: Kept | None, entry: LogEntry | None) -> None:
        if old is None:
            self._serial += 1
            self._responses[response.id] = Kept(self._serial, response, entry)
        else:
            self._forget_foreign(old.response)
            old.response, old.entry = response, entry or old.entry
        for item_id, position in response.foreign_ids.items():
            self._foreign.setdefault((response.owner, item_id), {})[response.id] = position
            if item_id.startswith(BY_CALL):
                self._thoughts[response.owner] += 1

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        kept = self._find(id, owner)
        return None if kept is None else kept.response

    async def delete(self, id: str, owner: str) -> bool:
        kept = self._find(id, owner)
        if kept is not None:
            self._remove(kept.response)
        return kept is not None

    async def log(self, query: LogQuery) -> LogPage:
        found = [kept.entry for kept in self._responses.values() if kept.entry and fits(kept.entry, query)]
        if query.by_age:
            found.sort(key=lambda entry: entry.id, reverse=True)
            behind = [entry for entry in found if query.after is None or entry.id < query.after]
        else:
            found.sort(key=lambda entry: position_of(entry, query))
            position = self._position(query)
            behind = [entry for entry in found if position is None or position_of(entry, query) > position]
        shown = behind[: query.limit]
        return LogPage(shown, shown[-1].id if len(behind) > query.limit else None)

    def _position(self, query: LogQuery) -> tuple[float, str] | None:
        if query.after is None:
            return None
        last = self._responses.get(query.after)
        if last is None or last.entry is None:
            raise StoreUnknown(query.after)
        return position_of(last.entry, query)

    async def entry(self, id: str) -> LogEntry | None:
        kept = self._responses.get(id)
        return None if kept is None else kept.entry

    async def unlogged(self, before: str, since: str, limit: int) -> Sequence[tuple[str, str]]:
        bare = [kept.response for kept in self._responses.values() if kept.entry is None]
        ids = sorted(((one.id, one.owner) for one in bare if since <= one.id < before), reverse=True)
        return ids[:limit]

    async def outdated(self, limit: int) -> Sequence[tuple[str, str]]:
        return []  # no other version shares this store

    async def fill(self, entry: LogEntry) -> None:
        kept = self._find(entry.id, entry.owner)
        if kept is not None and kept.response.status == entry.status:
            kept.entry = kept.entry or entry

    def _find(self, id: str, owner: str) -> Kept | None:
        kept = self._responses.get(id)
        return kept if kept is not None and kept.response.owner == owner else None

    def _remove(self, response: StoredResponse) -> None:
        self._forget_foreign(response)
        del self._responses[response.id]
        self._jobs.remove(response.id)

    def _forget_foreign(self, response: StoredResponse) -> None:
        for item_id in response.foreign_ids:
            key = (response.owner, item_id)
            del self._foreign[key][response.id]
            if not self._foreign[key]:
                del self._foreign[key]
            if item_id.startswith(BY_CALL):
                self._thoughts[response.owner] -= 1
        if not self._thoughts[response.owner]:
            del self._thoughts[response.owner]

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        kept = self._find(id, owner)
        if kept is None:
            return None
        newest_first: list[bytes] = []
        while kept is not None:
            newest_first += (kept.response.output, kept.response.input)
            kept = self._parent(kept)
        newest_first.reverse()
        return newest_first

    def _parent(self, child: Kept) -> Kept | None:
        parent = self._find(child.response.previous_response_id or "", child.response.owner)
        return parent if parent is not None and parent.serial < child.serial else None

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        split: Split = {}
        found = ((id, self._item(id, owner, split)) for id in dict.fromkeys(ids))
        return {id: body for id, body in found if body is not None}

    async def may_have_thoughts(self, owner: str) -> bool:
        return owner in self._thoughts

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        kept = [self._find(id, owner) for id in responses_of(ids)]
        return pick_texts(ids, [one.response.model_texts for one in kept if one and one.response.model_texts])

    def _item(self, item_id: str, owner: str, split: Split) -> bytes | None:
        return (
            self._derived(item_id, owner, split)
            or self._foreign_item(item_id, owner, split)
            or self._conversations.find_owned(item_id, owner)
        )

    def _derived(self, item_id: str, owner: str, split: Split) -> bytes | None:
        for at in positions(item_id):
            kept = self._find(at.response_id, owner)
            item = kept and _items(kept, split).find(item_id, at.position, in_output=at.in_output)
            if item:
                return item
        return None

    def _foreign_item(self, item_id: str, owner: str, split: Split) -> bytes | None:
        for response_id, position in reversed(self._foreign.get((owner, item_id), {}).items()):
            return _items(self._responses[response_id], split).find(item_id, position)
        return None

    def _purge(self, now: int) -> int:
        responses = [kept.response for kept in self._responses.values()]
        expired = [each for each in responses if each.expires_at is not None and each.expires_at <= now]
        for response in expired:
            self._remove(response)
        return len(expired)


Split = dict[str, ResponseItems]
"""Responses whose items one look-up has taken apart, by id."""


def _items(kept: Kept, split: Split) -> ResponseItems:
    response = kept.response
    if response.id not in split:
        split[response.id] = ResponseItems(response.input, response.output)
    return split[response.id]
