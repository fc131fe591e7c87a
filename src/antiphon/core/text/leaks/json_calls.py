"""Leaked calls that are JSON: Hermes (also Qwen), Mistral, Llama."""

from __future__ import annotations

import re

from antiphon.core.text.leaks.base import (
    LONGEST,
    Found,
    LeakedCall,
    MarkedFilter,
    Offered,
    Patience,
    json_at,
    json_values,
)


class HermesFilter(MarkedFilter):
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>`; the last one may lack its end."""

    openers = ("<tool_call>",)

    def read(self, text: str, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read one block."""
        body, end, _ = text.partition("</tool_call>")
        if not end and not final:
            return None
        values = json_values(body.removeprefix("<tool_call>"))
        return self.calls(values) if values else [], len(body) + len(end)


class MistralFilter(MarkedFilter):
    """`[TOOL_CALLS][{"name": …, "arguments": {…}}]`, or `[TOOL_CALLS]name[ARGS]{…}` of newer models, with or without `[ARGS]`."""

    openers = ("[TOOL_CALLS]",)
    _named = re.compile(r"\[TOOL_CALLS\]\s*([\w.-]+)(?:\[CALL_ID\][\w-]*)?(?:\[ARGS\])?\s*(?=\{)")

    def read(self, text: str, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read one list, or one named call."""
        named = self._named.match(text)
        found = json_at(text, named.end() if named else len("[TOOL_CALLS]"))
        if found is None:
            return None
        value, end = found
        if named:
            call = self.call(named[1], value)
            return [call] if call else [], end
        return self.calls(value if isinstance(value, list) else [value]), end


class LlamaFilter(MarkedFilter):
    """`<|python_tag|>{"name": …, "parameters": {…}}`, or such an object at the very start; several are parted by `;`."""

    openers = ("<|python_tag|>",)
    _bare = re.compile(r'\{\s*"(?:name|type|function|parameters)"')
    _more = re.compile(r"\s*;\s*(?=\{)")
    _end = re.compile(r"\s*<\|e(?:om|ot)_id\|>")
    # The longest a beginning may be that does not show yet whether it is a call.
    _undecided = re.compile(r"\s*(?:\{\s*(?:\"\w{0,10})?)?\Z")

    def __init__(self, offered: Offered) -> None:
        super().__init__(offered)
        self._start: str | None = ""
        self._unread: list[str] = []
        self._length = 0
        self._looks = Patience()

    def feed(self, text: str) -> list[Found]:
        """Look at the very start for a bare object, then for markers."""
        if self._start is None:
            return super().feed(text)
        self._unread.append(text)
        self._length += len(text)
        if not self._looks.due(self._length):
            return []
        news = self._take_in()
        begin = self._start.lstrip()
        if self._length <= LONGEST and (self._undecided.match(begin) or (self._bare.match(begin) and "}" not in news)):
            return []
        return self._begin(final=False)

    def _take_in(self) -> str:
        news = "".join(self._unread)
        self._unread.clear()
        self._start = (self._start or "") + news
        return news

    def close(self) -> list[Found]:
        """Return the rest."""
        found: list[Found] = []
        if self._start is not None:
            self._take_in()
            found = self._begin(final=True)
        return found + super().close()

    def _begin(self, *, final: bool) -> list[Found]:
        start = self._start or ""
        begin = start.lstrip()
        if self._bare.match(begin):
            found = self._objects(begin, 0, final)
            if found is None and not final and self._length <= LONGEST:
                return []
            calls, end = found or ([], 0)
            if calls:
                self._start = None
                return [*calls, *super().feed(begin[end:])]
        self._start = None
        return super().feed(start)

    def read(self, text: str, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read the objects behind the tag."""
        return self._objects(text, len("<|python_tag|>"), final)

    def _objects(self, text: str, place: int, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read objects, once the first shows that there are calls: nothing but calls follows, up to the message's end."""
        found = json_at(text, place)
        if found is None or (not final and self.calls([found[0]])):
            return None
        values = []
        while found is not None:
            value, place = found
            values.append(value)
            more = self._more.match(text, place)
            found = json_at(text, more.end()) if more else None
        ended = self._end.match(text, place)
        return self.calls(values), ended.end() if ended else place
