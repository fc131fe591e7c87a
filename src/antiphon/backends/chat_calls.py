"""Fragments of tool calls, as chat backends stream them → CallStart and CallDelta."""

from __future__ import annotations

from json import JSONDecodeError, loads

from antiphon.core.deltas import CallDelta, CallStart, Delta
from antiphon.core.toolmap import ToolMap
from antiphon.core.unwrap import Unwrapper


class _Call:
    """One call that is being gathered. It begins for the client with its first argument, when its name is certain."""

    __slots__ = ("arguments", "id", "index", "key", "name", "raw", "started", "unwrapper")

    def __init__(self, key: str, index: int | None, id: str) -> None:
        self.key = key
        self.index = index
        self.id = id
        self.name = ""
        self.arguments: list[str] = []
        self.raw = False
        self.started = False
        self.unwrapper: Unwrapper | None = None

    def add_name(self, piece: str) -> None:
        """Append a piece of the name; some servers repeat the whole name in every fragment."""
        if not self.started and piece != self.name:
            self.name += piece

    def is_whole(self) -> bool:
        """Tell whether the arguments are a whole JSON object."""
        text = "".join(self.arguments)
        if not text.rstrip().endswith("}"):
            return False
        try:
            return isinstance(loads(text), dict)
        except JSONDecodeError:
            return False


class Calls:
    """All calls of one answer. Fragments find their call by index and id, of which servers may send either or both."""

    __slots__ = ("_base", "_by_id", "_by_index", "_last", "_parallel", "_tools", "count")

    def __init__(self, tools: ToolMap, base: str, *, parallel: bool) -> None:
        self.count = 0
        self._tools = tools
        self._base = base
        self._parallel = parallel
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}
        self._last: _Call | None = None

    def fragment(
        self, index: int | None, id: str, name: str, arguments: str, out: list[Delta], *, raw: bool = False
    ) -> None:
        """Take in one fragment; its parts may be empty. `raw` arguments are a custom tool's input, not wrapped in JSON."""
        call = self._find(index, id, name, arguments) or self._open(index, id, out)
        call.raw = raw
        if name:
            call.add_name(name)
        if arguments:
            call.arguments.append(arguments)
            self._pass_on(call, arguments, out)

    def whole(self, name: str, arguments: str, out: list[Delta]) -> None:
        """Take in a call that came at once."""
        self.fragment(None, f"{self._base}{self.count:02d}", name, arguments, out)
        self.close(out)

    def close(self, out: list[Delta]) -> None:
        """End what is open: no more fragments come."""
        if self._last is not None:
            self._end(self._last, out)
            self._last = None

    # Which call

    def _find(self, index: int | None, id: str, name: str, arguments: str) -> _Call | None:
        if id:
            call = self._by_id.get(id)
            # One id for calls of two indexes: the server's ids cannot be relied on.
            if call is not None and (index is None or call.index in (None, index)):
                return call
            return None
        call = self._last if index is None else self._by_index.get(index)
        if call is not None and name and arguments and call.is_whole():
            # Without ids, only a name that comes with arguments of its own tells that another call begins.
            return None
        return call

    def _open(self, index: int | None, id: str, out: list[Delta]) -> _Call:
        if self._last is not None:
            self._end(self._last, out)
        key = str(self.count)
        call_id = id if id and id not in self._by_id else f"{self._base}{self.count:02d}"
        call = _Call(key, index, call_id)
        self.count += 1
        if id:
            self._by_id[id] = call
        if index is not None:
            self._by_index[index] = call
        self._last = call
        return call

    # What the client sees

    def _is_taken(self, call: _Call) -> bool:
        return self._parallel or call.key == "0"

    def _pass_on(self, call: _Call, arguments: str, out: list[Delta]) -> None:
        if not self._is_taken(call):
            return
        if not call.started:
            self._start(call, out)
        if call.unwrapper is not None:
            arguments = call.unwrapper.feed(arguments)
        if arguments:
            out.append(CallDelta(call.key, arguments))

    def _start(self, call: _Call, out: list[Delta]) -> None:
        call.started = True
        target = self._tools.target(call.name)
        if target.kind == "custom" and not call.raw:
            call.unwrapper = Unwrapper()
        out.append(CallStart(call.key, call.id, target.name, target.kind, target.namespace))

    def _end(self, call: _Call, out: list[Delta]) -> None:
        if not self._is_taken(call):
            return
        if not call.started:
            self._start(call, out)
        if call.unwrapper is not None:
            rest = call.unwrapper.close()
            if rest:
                out.append(CallDelta(call.key, rest))
