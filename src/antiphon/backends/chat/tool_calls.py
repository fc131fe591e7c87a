"""Tool calls as chat backends send them, in fragments or whole → CallStart and CallDelta."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.deltas import CallDelta, CallStart, Delta
from antiphon.core.kinds import CUSTOM
from antiphon.core.tools.call_ids import FreshIds
from antiphon.core.tools.call_pairs import call_ids
from antiphon.core.tools.input_unwrapper import Unwrapper
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import BackendError
from antiphon.types.items import Item

LONGEST_ID = 256  # characters; clients send an id back with each request
LONGEST_KEPT_ID = 16 * 1024
"""The same for a backend that gets its ids back as they came: some hide what they need for the next turn in them."""

BUNDLE = "multi_tool_use"
"""In the name of a function that OpenAI's models make up, which takes several calls as its arguments."""

MOST_CALLS = 500
"""Tool calls of one answer."""

MOST_BUNDLED = 100  # calls of one bundle
_MARKS = re.compile(r'[\\"{}\[\]]')


class _BundledCall(msgspec.Struct):
    recipient_name: str
    parameters: Raw = Raw(b"{}")


class _Bundle(msgspec.Struct):
    tool_uses: list[_BundledCall]


_bundle = msgspec.json.Decoder(_Bundle)


class _Object:
    """Follows JSON text in pieces until the object that it begins with has ended; each character is looked at once."""

    __slots__ = ("_depth", "_escaped", "_quoted", "_scanned", "_whole", "begun", "pieces", "size")

    def __init__(self) -> None:
        self.begun = False  # there is any text but blanks
        self.size = 0
        self.pieces: list[str] = []
        self._scanned = 0
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._whole = False

    def add(self, piece: str) -> None:
        """Take in a piece; it is looked at when somebody asks."""
        self.pieces.append(piece)
        self.size += len(piece)
        if not self.begun:
            self.begun = not piece.isspace()

    def extend(self, pieces: Sequence[str]) -> int:
        """Take in pieces of an object that has begun; return how many characters they are."""
        size = sum(map(len, pieces))
        self.pieces += pieces
        self.size += size
        return size

    def says(self, text: str) -> bool:
        """Tell whether all of it is this text."""
        return len(text) == self.size and "".join(self.pieces) == text

    @property
    def whole(self) -> bool:
        """Tell whether the object has ended."""
        while self._scanned < len(self.pieces):
            self._scan(self.pieces[self._scanned])
            self._scanned += 1
        return self._whole

    def _scan(self, piece: str) -> None:
        skipped = 0 if self._escaped else -1
        self._escaped = False
        for mark in _MARKS.finditer(piece):
            index, found = mark.start(), mark[0]
            if index == skipped:
                continue
            if found == "\\":
                skipped = index + 1
                self._escaped = skipped == len(piece)
            elif found == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if found in "{[" else -1
                self._whole = self._whole or self._depth == 0


class _ChatCall:
    """One call that is being gathered. It begins for the client with its first argument, when its name is certain."""

    __slots__ = (
        "arguments",
        "chunk",
        "id",
        "index",
        "key",
        "name",
        "named_again",
        "plain",
        "raw",
        "started",
        "unwrapper",
    )

    def __init__(self, key: str, index: int | None, id: str) -> None:
        self.key = key
        self.index = index
        self.id = id
        self.name = ""
        self.arguments = _Object()
        self.chunk = -1
        self.named_again = False
        self.raw = False
        self.started = False
        self.plain = False  # it has begun, and its arguments are passed on as they are
        self.unwrapper: Unwrapper | None = None

    def add_name(self, piece: str) -> None:
        """Append a piece of the name; some servers repeat the whole name in every fragment."""
        if not self.started and piece != self.name:
            self.name += piece


class Calls(msgspec.Struct, eq=False):
    """All calls of one answer.

    Fragments find their call by index and id, of which servers may send either or both, or the same for several calls; what
    cannot belong to a call any more begins another one. The ids that a client gets are unique in the answer and in the
    `history` that it is an answer to: clients pair by id. Without ids of the backend's own they begin with `base`.
    """

    tools: ToolMap
    base: str
    parallel: bool
    history: Iterable[Item] = ()
    keep_ids: bool = False
    count: int = 0
    started: int = 0
    size: int = 0
    # The chunk that the fragments come in: its reader counts.
    chunk: int = 0
    _ids: FreshIds | None = None
    _by_id: dict[str, _ChatCall] = {}
    _by_index: dict[int, _ChatCall] = {}
    _last: _ChatCall | None = None
    _newest: _ChatCall | None = None

    def fragment(
        self, index: int | None, id: str, name: str, arguments: str, out: list[Delta], *, raw: bool = False
    ) -> None:
        """Take in one fragment; its parts may be empty. `raw` arguments are a custom tool's input, not wrapped in JSON."""
        call = self._find(index, id)
        if call is None and id and not name and index is not None:
            call = self._goes_on(index)
        if call is not None and call.plain and not (name or id or raw or call.named_again):
            if arguments:  # nearly all fragments: they can only go on with their call
                self.size += len(arguments)
                call.arguments.add(arguments)
                out.append(CallDelta(call.key, arguments))
            return
        if call is None:
            call = self._open(index, id, out)
        elif id and arguments and name == call.name and call.arguments.says(arguments) and call.arguments.whole:
            return  # the same call once more: some servers repeat it as a whole at the end
        elif self._begins_another(call, name, arguments):
            name = name or call.name
            call = self._open(index, id, out)
        self._add(call, name, arguments, raw, out)

    def growing(self, index: int | None) -> _ChatCall | None:
        """Return the call that a further piece of arguments goes on, where that is all it can do; else None."""
        call = self._find(index, "")
        plain = call is not None and call.plain and call.arguments.begun and not call.named_again
        return call if plain and self.count <= MOST_CALLS else None

    def grew(self, index: int | None, pieces: Sequence[str]) -> None:
        """Take note of pieces of the arguments of a `growing` call that others have passed on, each from a chunk of its own."""
        call = self._find(index, "")
        assert call is not None
        self.chunk += len(pieces)
        self.size += call.arguments.extend(pieces)

    def whole(self, id: str, name: str, arguments: str, out: list[Delta], *, raw: bool = False) -> None:
        """Take in a call that came at once: no other fragment belongs to it, whatever its id says."""
        self._add(self._open(None, id, out), name, arguments, raw, out)
        self.close(out)

    def close(self, out: list[Delta]) -> None:
        """End what is open: no more fragments come."""
        if self._last is not None:
            self._end(self._last, out)
            self._last = None

    # Which call

    def _find(self, index: int | None, id: str) -> _ChatCall | None:
        if not id:
            return self._last if index is None else self._by_index.get(index)
        call = self._by_id.get(id)
        # One id for calls of two indexes: the server's ids cannot be relied on.
        if call is not None and (index is None or call.index in (None, index)):
            return call
        return None

    def _goes_on(self, index: int) -> _ChatCall | None:
        """Return the call of an index whose arguments are not whole: a fragment without a name is its own, whatever its id."""
        call = self._by_index.get(index)
        return call if call is not None and not call.arguments.whole else None

    def _begins_another(self, call: _ChatCall, name: str, arguments: str) -> bool:
        """Tell whether a fragment that would go to a call by its index or id cannot be a part of it."""
        if call.raw or not (name or call.named_again):
            return False
        if call.arguments.begun:
            if name and name != call.name:
                return True  # a name has all its pieces before the first argument
            if not call.arguments.whole:
                return False
            # A whole object takes nothing more. The name alone may be repeated; with an argument behind it, it is a call's.
            call.named_again = not arguments.strip()
            return not call.named_again
        if not name or name == call.name:
            return False
        if call.name and call.chunk == self.chunk:
            return True  # nobody cuts a name within one chunk
        meant = self.tools.meant
        return bool(meant(call.name) and meant(name) and not meant(call.name + name))

    def _open(self, index: int | None, id: str, out: list[Delta]) -> _ChatCall:
        if self._last is not None:
            self._end(self._last, out)
        if self._ids is None:
            self._ids = FreshIds(call_ids(self.history))
        own = f"{self.base}{self.count:02d}"
        longest = LONGEST_KEPT_ID if self.keep_ids else LONGEST_ID
        fresh = self._ids.take(id if 0 < len(id) <= longest else own, own)
        call = _ChatCall(str(self.count), index, fresh)
        self.count += 1
        if id:
            self._by_id[id] = call
        if index is not None:
            self._by_index[index] = call
        self._last = self._newest = call
        return call

    def id_of(self, index: int | None, id: str) -> str:
        """Return the id under which the client knows the call that a fragment went to; "" where it is not passed on."""
        call = self._find(index, id) or self._newest
        return call.id if call is not None and self._is_taken(call) else ""

    # What the client sees

    def _add(self, call: _ChatCall, name: str, arguments: str, raw: bool, out: list[Delta]) -> None:
        call.raw = raw
        if name:
            call.add_name(name)
            call.chunk = self.chunk
        if arguments == "null" and not (raw or call.arguments.begun):
            return  # no arguments, as some servers write them
        if arguments:
            self.size += len(arguments)
            call.arguments.add(arguments)
            self._pass_on(call, arguments, out)

    def _is_taken(self, call: _ChatCall) -> bool:
        return self.parallel or call.key == "0"

    def _pass_on(self, call: _ChatCall, arguments: str, out: list[Delta]) -> None:
        if not self._is_taken(call):
            return
        if not call.started:
            if self._is_bundle(call):
                return  # its calls are told apart when it has ended
            self._start(call, out)
        if call.unwrapper is not None:
            arguments = call.unwrapper.feed(arguments)
        if arguments:
            out.append(CallDelta(call.key, arguments))

    def _start(self, call: _ChatCall, out: list[Delta]) -> None:
        if not call.name:
            offers = self.tools.offers
            if len(offers) != 1:
                raise BackendError(502, "The backend sent a tool call without a name.")
            call.name = next(iter(offers))
        call.started = True
        self.started += 1
        target = self.tools.target(call.name)
        if target.kind == CUSTOM and not call.raw:
            call.unwrapper = Unwrapper()
        call.plain = call.unwrapper is None and not call.raw
        out.append(CallStart(call.key, call.id, target.name, target.kind, target.namespace))

    def _end(self, call: _ChatCall, out: list[Delta]) -> None:
        if not self._is_taken(call):
            return
        if not call.started:
            if not call.name:
                return  # neither a name nor an argument: nothing was said
            if self._is_bundle(call):
                self._unbundle(call, out)
                return
            self._start(call, out)
        if call.unwrapper is not None:
            rest = call.unwrapper.close()
            if rest:
                out.append(CallDelta(call.key, rest))

    def _is_bundle(self, call: _ChatCall) -> bool:
        return BUNDLE in call.name and self.tools.meant(call.name) is None

    def _unbundle(self, call: _ChatCall, out: list[Delta]) -> None:
        """Give the calls of a bundle in its place; one that holds none is a call that nobody offered."""
        text = "".join(call.arguments.pieces)
        bundled = _bundled(text)
        if not bundled:
            self._start(call, out)
            out.append(CallDelta(call.key, text))
            return
        self._last = None
        self.count -= 1
        for one in bundled:
            self.whole("", one.recipient_name, bytes(one.parameters).decode(), out)


def _bundled(text: str) -> Sequence[_BundledCall]:
    try:
        calls = _bundle.decode(text).tool_uses
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()
    return calls if len(calls) <= MOST_BUNDLED and all(one.recipient_name for one in calls) else ()
