"""SQLiteResponses: responses, their items and their threads. Each function runs inside a transaction of its caller.

Alone among the nouns it uses others' statements: what it writes with conversations and jobs is one transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.core.text.input_pieces import InputPieces, assembled
from antiphon.core.tools.call_thoughts import BY_CALL
from antiphon.errors import AntiphonError, InvalidRequest, StoreConflict
from antiphon.runtime.offload import LARGE
from antiphon.stores.item_ids import ResponseItems, pick_texts, positions, responses_of
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.records import Job, LoggedEvent, StoredItem, StoredResponse
from antiphon.stores.response_columns import COLUMNS, response_of, values
from antiphon.stores.sqlite import conversations, jobs
from antiphon.stores.sqlite.jobs import Claim
from antiphon.stores.sqlite.listing import response_log
from antiphon.stores.sqlite.sql import by_position, queries
from antiphon.stores.sqlite.sqlite_database import SHALLOW, SQLiteDatabase

SQL = queries("responses")
INSERT, REPLACE = by_position(SQL["insert"], COLUMNS), by_position(SQL["replace"], COLUMNS)

POSITION = 0xFFFFFF  # the bits of a rowid that count within a thread

MOST_HISTORY = 256 * 1024 * 1024
"""Bytes of a chain's items: what is read for one request is held in memory."""
MOST_ARRAYS = 200_000
"""Arrays of a chain's items, two for each response."""

_foreign_ids = msgspec.json.Decoder(dict[str, int])


def put(connection: Connection, response: StoredResponse, items: Sequence[StoredItem] = (), fence: int = 0) -> None:
    """Insert or replace a response. Raises FenceError, StoreUnknown or StoreConflict before anything is written."""
    if fence:
        jobs.held(connection, response.id, fence)
    if items:
        conversations.append(connection, response.conversation_id or "", response.owner, items)
    pieces = response.input_pieces
    piece = parent = None
    if pieces is not None:
        piece, parent = _next_piece(connection, response.owner, pieces)
    row = values(response, None if piece is None else b"%d" % piece)
    if fence or not connection.execute(INSERT, row).rowcount:  # what has a fence is there already
        _replace(connection, response, row)
    if response.foreign_ids:
        _insert_foreign(connection, response)
    if pieces is not None and piece is not None:
        _insert_piece(connection, response.owner, pieces, piece, parent)


def _replace(connection: Connection, response: StoredResponse, row: tuple[Any, ...]) -> None:
    old = connection.execute(SQL["find"], {"id": response.id}).fetchall()
    if old and old[0][1] != response.owner:
        raise StoreConflict(response.id)
    connection.execute(REPLACE if old else INSERT, row)
    if old:
        _remove_foreign(connection, *old[0])


def get(connection: Connection, id: str, owner: str) -> StoredResponse | None:
    """Return a response, or None."""
    response = _row_of(connection, id, owner)
    if response is None or not _in_pieces(response.input):
        return response
    with one_moment(connection):
        response = _row_of(connection, id, owner)
        return response and replace(response, input=whole_input(connection, id, response.input))


def _row_of(connection: Connection, id: str, owner: str) -> StoredResponse | None:
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return response_of(row)
    return None


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a response with all that hangs on it."""
    for rowid, owner_of, foreign in connection.execute(SQL["find"], {"id": id}).fetchall():
        if owner_of == owner:
            _remove(connection, id, rowid, owner, foreign)
            return True
    return False


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` expired responses; return how many."""
    rows = connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall()
    for rowid, owner, foreign, id in rows:
        _remove(connection, id, rowid, owner, foreign)
    return len(rows)


def _remove(connection: Connection, id: str, rowid: int, owner: str, foreign: bytes | None) -> None:
    _remove_foreign(connection, rowid, owner, foreign)
    jobs.remove(connection, id, rowid)
    connection.execute(SQL["remove"], {"rowid": rowid})


# Inputs in pieces


def _in_pieces(input: bytes) -> bool:
    """Tell whether the column `input` has the number of its last piece, not the array itself."""
    return input[:1].isdigit()


def whole_input(connection: Connection, id: str, input: bytes) -> bytes:
    """Return the input of the response `id`, of which the column `input` was read in the same transaction."""
    if not _in_pieces(input):
        return input
    pieces = [piece for (piece,) in connection.execute(SQL["pieces"], {"input": input}).fetchall()]
    return assembled(pieces, id.removeprefix("resp_"))


@contextlib.contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """Let all that is read in the block be as it was at one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # SQLite ends it by itself where the disk fails
            connection.execute("ROLLBACK")


def _next_piece(connection: Connection, owner: str, pieces: InputPieces) -> tuple[int, int | None]:
    """Return the id of the piece that an input adds, and that of the one before it; None: it has all of the input."""
    key = {"earlier": f"resp_{pieces.earlier.id_base}", "owner": owner, "mark": pieces.earlier.mark}
    id, parent = connection.execute(SQL["next_piece"], key).fetchall()[0]
    return id, parent


def _insert_piece(connection: Connection, owner: str, pieces: InputPieces, id: int, parent: int | None) -> None:
    added = pieces.whole() if parent is None else pieces.added
    row = {"id": id, "owner": owner, "parent": parent, "size": pieces.end.size, "mark": pieces.end.mark, "added": added}
    connection.execute(SQL["insert_piece"], row)


# History


class Extensive(AntiphonError):
    """A chain exceeds its Allowance."""


class Allowance(msgspec.Struct):
    """Limits of one read: number of arrays, and their `size` in bytes."""

    arrays: int
    size: int

    def take(self, *arrays: bytes) -> None:
        """Count arrays. Raises Extensive."""
        self.arrays -= len(arrays)
        self.size -= sum(map(len, arrays))
        if self.arrays < 0 or self.size < 0:
            raise Extensive


def is_short(connection: Connection, id: str, owner: str, turns: int, size: int) -> bool:
    """Tell whether few responses of its thread stand before this one, and its own items have few bytes."""
    for rowid, length in connection.execute(SQL["extent"], {"id": id, "owner": owner}).fetchall():
        return bool(rowid & POSITION < turns and length < size)
    return True


def history(connection: Connection, id: str, owner: str, allowance: Allowance) -> list[bytes] | None:
    """Return input and output arrays of the chain, oldest first; one range read per thread that it runs through.

    Raises Extensive where that is more than is allowed.
    """
    newest_first: list[bytes] = []
    with one_moment(connection):
        rowid = _rowid(connection, SQL["rowid"], {"id": id, "owner": owner})
        if rowid is None:
            return None
        while rowid is not None:
            first, previous = _thread(connection, rowid, newest_first, allowance)
            rowid = _rowid(connection, SQL["parent"], {"id": previous, "owner": owner, "rowid": first})
    newest_first.reverse()
    return newest_first


def _thread(
    connection: Connection, rowid: int, newest_first: list[bytes], allowance: Allowance
) -> tuple[int, str | None]:
    """Collect a thread backwards while each is its neighbour's parent; return the oldest one's rowid and parent's id."""
    cursor = connection.execute(SQL["thread"], {"rowid": rowid})
    previous: str | None = None
    first = rowid
    try:
        for neighbour, id, parent, input, output in cursor:
            if neighbour != rowid and id != previous:
                break
            input = whole_input(connection, id, input)
            allowance.take(output, input)
            newest_first += (output, input)
            first, previous = neighbour, parent
    finally:
        cursor.close()  # an unfinished cursor would hold its snapshot
    return first, previous


def _rowid(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> int | None:
    for (rowid,) in connection.execute(sql, parameters).fetchall():
        return int(rowid)
    return None


# Items


def items(connection: Connection, ids: Sequence[str], owner: str) -> dict[str, bytes]:
    """Return those of the items that exist."""
    finder = ItemFinder(connection, owner)
    with one_moment(connection):
        found = [(id, finder.find(id)) for id in ids]
    return {id: body for id, body in found if body is not None}


def may_have_thoughts(connection: Connection, owner: str) -> bool:
    """Tell whether any thoughts are found by their calls."""
    key = {"owner": owner, "first": BY_CALL, "behind": BY_CALL[:-1] + chr(ord(BY_CALL[-1]) + 1)}
    return connection.execute(SQL["may_have_thoughts"], key).fetchone() is not None


def model_texts(connection: Connection, ids: Sequence[str], owner: str) -> dict[str, bytes]:
    """Return what the model sees of those of the items that have such a text."""
    keys = ({"id": id, "owner": owner} for id in responses_of(ids))
    stored = [text for key in keys for (text,) in connection.execute(SQL["model_texts"], key).fetchall()]
    return pick_texts(ids, stored)


class ItemFinder:
    """Finds items by id; a response that several of them come from is decoded once."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self._connection = connection
        self._owner = owner
        self._responses: dict[str | int, ResponseItems | None] = {}

    def find(self, item_id: str) -> bytes | None:
        """Search the response in the id, then foreign ids, then conversations."""
        return self._derived(item_id) or self._foreign(item_id) or self._of_conversation(item_id)

    def _derived(self, item_id: str) -> bytes | None:
        for at in positions(item_id):
            response = self._response(at.response_id, SQL["items"], {"id": at.response_id, "owner": self._owner})
            item = response and response.find(item_id, at.position, in_output=at.in_output)
            if item:
                return item
        return None

    def _foreign(self, item_id: str) -> bytes | None:
        key = {"owner": self._owner, "item_id": item_id}
        for rowid, position in self._connection.execute(SQL["find_foreign"], key).fetchall():
            response = self._response(rowid, SQL["items_at"], {"rowid": rowid})
            return response.find(item_id, position) if response else None
        return None

    def _of_conversation(self, item_id: str) -> bytes | None:
        return conversations.find_owned(self._connection, item_id, self._owner)

    def _response(self, key: str | int, sql: str, parameters: Mapping[str, Any]) -> ResponseItems | None:
        if key not in self._responses:
            rows = self._connection.execute(sql, parameters).fetchall()
            self._responses[key] = None
            for id, input, output in rows:
                self._responses[key] = ResponseItems(whole_input(self._connection, id, input), output)
        return self._responses[key]


def _insert_foreign(connection: Connection, response: StoredResponse) -> None:
    rowid = _rowid(connection, SQL["rowid"], {"id": response.id, "owner": response.owner})
    rows = (
        {"owner": response.owner, "item_id": id, "response": rowid, "position": position}
        for id, position in response.foreign_ids.items()
    )
    connection.executemany(SQL["insert_foreign"], rows)


def _remove_foreign(connection: Connection, rowid: int, owner: str, foreign: bytes | None) -> None:
    if foreign:
        rows = [{"owner": owner, "item_id": id, "response": rowid} for id in _foreign_ids.decode(foreign)]
        connection.executemany(SQL["remove_foreign"], rows)


class SQLiteResponses:
    """Responses in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def put(
        self,
        response: StoredResponse,
        *,
        conversation_items: Sequence[StoredItem] = (),
        fence: int = 0,
        entry: LogEntry | None = None,
    ) -> None:
        def operation(connection: Connection) -> None:
            put(connection, response, conversation_items, fence)
            if entry is not None:
                response_log.put(connection, entry)

        await self._writer.submit(operation)

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
        def operation(connection: Connection) -> Job | None:
            put(connection, response)
            if entry is not None:
                response_log.put(connection, entry)
            jobs.insert(connection, response.id, response.owner, request, due)
            jobs.append(connection, response.id, 0, events)
            if worker is None:
                return None
            return jobs.take(connection, Claim(worker=worker, now=0.0, lease_until=lease_until, id=response.id))

        return await self._writer.submit(operation)

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        return self._database.read(get, id, owner)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        if self._database.read(is_short, id, owner, SHALLOW, LARGE):
            with contextlib.suppress(Extensive):  # a chain of many forks, or of large turns
                return self._database.read(history, id, owner, Allowance(2 * SHALLOW, LARGE))
        try:
            allowance = Allowance(MOST_ARRAYS, MOST_HISTORY)
            return await self._database.read_long(lambda connection: history(connection, id, owner, allowance))
        except Extensive:
            raise InvalidRequest(
                f"The history has more than {MOST_HISTORY} bytes or {MOST_ARRAYS // 2} responses.",
                param="previous_response_id",
            ) from None

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        if len(ids) <= SHALLOW:
            return self._database.read(items, ids, owner)
        return await self._database.read_long(lambda connection: items(connection, ids, owner))

    async def may_have_thoughts(self, owner: str) -> bool:
        return bool(self._database.read(may_have_thoughts, owner))

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        return await self._database.read_long(lambda connection: model_texts(connection, ids, owner))

    async def log(self, query: LogQuery) -> LogPage:
        return await self._database.read_long(lambda connection: response_log.page(connection, query))

    async def entry(self, id: str) -> LogEntry | None:
        return self._database.read(response_log.get, id)

    async def unlogged(self, before: str, since: str, limit: int) -> Sequence[tuple[str, str]]:
        return await self._database.read_long(
            lambda connection: response_log.unlogged(connection, before, since, limit)
        )

    async def outdated(self, limit: int) -> Sequence[tuple[str, str]]:
        return await self._database.read_long(lambda connection: response_log.outdated(connection, limit))

    async def fill(self, entry: LogEntry) -> None:
        await self._writer.submit(lambda connection: response_log.fill(connection, entry))
