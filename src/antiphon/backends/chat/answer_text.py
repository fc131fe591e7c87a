"""Where the text of an answer goes: split from thoughts and leaked calls, or read as an emulated call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from antiphon.backends.chat.emulation import Emulation, read_call, read_cut_call
from antiphon.backends.chat.profiles import ThinkPolicy
from antiphon.backends.chat.tool_calls import Calls
from antiphon.core.deltas import CallDelta, CallStart, Delta, ReasoningDelta, TextDelta
from antiphon.core.json_encoding import to_json
from antiphon.core.text.leaks import CHANNELS, NO_FAMILIES, Families, LeakedCall, LeakFilter, holds_none, open_filters
from antiphon.core.text.leaks.base import json_at
from antiphon.core.text.thoughts import ThinkSplitter
from antiphon.core.tools.tool_map import ToolMap


class TextSink(Protocol):
    """Takes the pieces of an answer's text."""

    @property
    def marks(self) -> frozenset[str] | None:
        """What a piece of text must have one of to come here; other text is answer. None: all text comes here."""
        ...

    @property
    def unopened(self) -> bool:
        """Tell whether the text began with thoughts that only a closing tag told."""
        ...

    def expect_whole(self) -> None:
        """Be told that the next piece is the whole text."""
        ...

    def thoughts_came(self) -> None:
        """Be told that thoughts came in a field of their own."""
        ...

    def feed(self, text: str, logprobs: bytes, out: list[Delta]) -> None:
        """Take in a piece and give what is certain."""
        ...

    def end(self, out: list[Delta], *, before_call: bool, cut: bool) -> None:
        """Give what is held back: the text ends here, or is cut off, or a tool call begins."""
        ...


LONGEST_THOUGHTS = 64 * 1024
"""Last characters of thoughts in which calls are looked for."""

NO_MARKS: frozenset[str] = frozenset()
"""All text is answer."""


class TextPolicy(msgspec.Struct, frozen=True):
    """What is looked for in text: thoughts, families of leaked calls, and the users' own. `calls`: whether any are wanted."""

    think: ThinkPolicy = "auto"
    leaks: Sequence[str] = ()
    own_leaks: Families = NO_FAMILIES
    calls: bool = True


def open_sink(emulation: Emulation | None, policy: TextPolicy, tools: ToolMap, calls: Calls) -> TextSink:
    """Return the sink for an answer."""
    if emulation is not None and emulation.raw is not None:
        return InputSink(emulation.raw, calls)
    if emulation is not None:
        return AnswerSink(emulation, tools, calls)
    return FilterSink(policy, tools, calls)


@lru_cache(64)
def _channels(leaks: tuple[str, ...]) -> Sequence[str]:
    """Return what is looked for where nothing can be called: of two dozen families, one at most."""
    return (CHANNELS,) if CHANNELS in leaks else ()


class TakesCalls(Protocol):
    """Takes calls that came at once."""

    def whole(self, id: str, name: str, arguments: str, out: list[Delta], *, raw: bool = False) -> None:
        """Take in a call."""
        ...


class FilterSink(msgspec.Struct, eq=False):
    """Ordinary text: inline thoughts and leaked calls are taken out.

    What looks for them is made with the first piece: a whole text that has none of their characters needs none of it.
    """

    _policy: TextPolicy
    _tools: ToolMap
    _calls: TakesCalls
    unopened: bool = False
    _whole: bool = False
    _opened: bool = False
    _splitter: ThinkSplitter | None = None
    _filters: list[LeakFilter] = []
    _logprobs: bytes = b""
    _begun: bool = False

    def _open(self) -> None:
        policy = self._policy
        self._opened = True
        if policy.think != "off":
            self._splitter = ThinkSplitter(opened=policy.think == "opened", unsure=policy.think == "unsure")
            self._splitter.whole = self._whole
        leaks = self._leaks()
        if leaks:
            schemas = {name: offer.parameters for name, offer in self._tools.offers.items()} if policy.calls else {}
            self._filters = open_filters(leaks, schemas, self._tools.meant_name, policy.own_leaks)

    def _leaks(self) -> Sequence[str]:
        """Return what is looked for: without calls there is nothing to rescue, but Harmony's channels are told apart."""
        policy = self._policy
        return policy.leaks if policy.calls and self._tools.offers else _channels(tuple(policy.leaks))

    @property
    def marks(self) -> frozenset[str] | None:
        """What text must have one of to be looked at; all of it is while something is held back."""
        if not self._opened:
            if self._policy.think != "off":
                return None
            self._open()
        if self._splitter is not None or self._logprobs:
            return None
        marks = NO_MARKS
        for filter in self._filters:
            own = filter.marks
            if own is None:
                return None
            marks |= own
        return marks

    def expect_whole(self) -> None:
        """Be told that the next piece is the whole text."""
        self._whole = True
        if self._splitter is not None:
            self._splitter.whole = True

    def _is_plain(self, text: str) -> bool:
        """Tell whether all of a whole text is answer, and nothing in it looks like thoughts or a call."""
        policy = self._policy
        if "<" in text or text.isspace() or not (policy.think == "off" or (policy.think == "auto" and "[" not in text)):
            return False  # each tag begins with one of the two, and Harmony's channels as well
        return not (policy.calls and self._tools.offers) or holds_none(text, policy.leaks, policy.own_leaks)

    def thoughts_came(self) -> None:
        """Be told that thoughts came in a field of their own."""
        if not self._opened:
            self._open()
        if self._splitter is not None:
            self._splitter.thoughts_came()

    def feed(self, text: str, logprobs: bytes, out: list[Delta]) -> None:
        """Split a piece; its logprobs go with the next text that is certain."""
        if not self._opened:
            if self._whole and self._is_plain(text):
                self._opened = self._begun = True
                out.append(TextDelta(text, logprobs))
                return
            self._open()
        if logprobs:
            self._logprobs += b"," + logprobs if self._logprobs else logprobs
        if self._splitter is None:
            self._filter(TextDelta(text), 0, out)
            return
        for piece in self._splitter.feed(text):
            self._piece(piece, out)
        if self._logprobs and self._splitter.in_gap():
            self._logprobs = b""  # those of blank lines that are dropped
        if self._splitter.settled():
            self.unopened = self._splitter.unopened
            self._splitter = None

    def end(self, out: list[Delta], *, before_call: bool, cut: bool) -> None:
        """Give what is held back; blank lines between thoughts and a call are no message."""
        self._opened = True
        if self._splitter is not None:
            for piece in self._splitter.close():
                if not (before_call and not self._begun and not piece.text.strip()):
                    self._piece(piece, out)
            self.unopened = self._splitter.unopened
            self._splitter = None
        for index, filter in enumerate(self._filters):
            for found in filter.close():
                self._found(found, index + 1, out)
        self._filters = []

    def _piece(self, piece: TextDelta | ReasoningDelta, out: list[Delta]) -> None:
        if isinstance(piece, ReasoningDelta):
            self._logprobs = b""
            out.append(piece)
        else:
            self._filter(piece, 0, out)

    def _filter(self, piece: TextDelta, index: int, out: list[Delta]) -> None:
        """Send text through the filters from one of them on."""
        if index == len(self._filters):
            self._begun = True
            out.append(TextDelta(piece.text, self._logprobs))
            self._logprobs = b""
            return
        for found in self._filters[index].feed(piece.text):
            self._found(found, index + 1, out)

    def _found(self, found: TextDelta | ReasoningDelta | LeakedCall, index: int, out: list[Delta]) -> None:
        match found:
            case TextDelta():
                self._filter(found, index, out)
            case ReasoningDelta():
                out.append(found)
            case LeakedCall():
                self._calls.whole("", found.name, found.arguments, out)


class _KeptCalls:
    """Takes calls as `Calls` does, and keeps them among the text that is around them."""

    def __init__(self) -> None:
        self.all: list[Delta | LeakedCall] = []

    def whole(self, id: str, name: str, arguments: str, out: list[Delta], *, raw: bool = False) -> None:
        """Keep a call."""
        self.all += [*out, LeakedCall(name, arguments)]
        out.clear()


def calls_at_end(policy: TextPolicy, tools: ToolMap, thoughts: str) -> Sequence[LeakedCall]:
    """Return the calls with which thoughts end that are all of an answer: a server's parser took them for thoughts."""
    found = _KeptCalls()
    sink = FilterSink(msgspec.structs.replace(policy, think="off"), tools, found)
    out: list[Delta] = []
    sink.feed(thoughts[-LONGEST_THOUGHTS:], b"", out)
    sink.end(out, before_call=False, cut=False)
    calls: list[LeakedCall] = []
    for entry in reversed([*found.all, *out]):
        if isinstance(entry, LeakedCall):
            calls.append(entry)
        elif not isinstance(entry, TextDelta) or entry.text.strip():
            break
    return calls[::-1]


class AnswerSink:
    """An answer held to a schema: a call as `{"name", "arguments"}`, or the wanted format."""

    __slots__ = ("_calls", "_emulation", "_pieces", "_tools")

    marks = None
    unopened = False

    def expect_whole(self) -> None:
        """Do nothing: all is kept in any case."""

    def thoughts_came(self) -> None:
        """Do nothing, as above."""

    def __init__(self, emulation: Emulation, tools: ToolMap, calls: Calls) -> None:
        self._emulation = emulation
        self._tools = tools
        self._calls = calls
        self._pieces: list[str] = []

    def feed(self, text: str, logprobs: bytes, out: list[Delta]) -> None:
        """Keep a piece: only the whole tells what it is."""
        self._pieces.append(text)

    def end(self, out: list[Delta], *, before_call: bool, cut: bool) -> None:
        """Read the whole, or as much of a call as came before the answer was cut off."""
        text, self._pieces = "".join(self._pieces), []
        called = read_call(text)
        if called is not None and called[0] in self._tools.offers:
            self._calls.whole("", *called, out)
            return
        begun = read_cut_call(text, self._emulation) if cut else None
        if begun is not None:
            if begun[0]:
                self._calls.whole("", *begun, out)
        elif text:
            out.append(TextDelta(text))


class InputSink:
    """An answer held to a grammar: all of it is the input of one custom tool."""

    __slots__ = ("_calls", "_name")

    marks = None
    unopened = False

    def expect_whole(self) -> None:
        """Do nothing: all is input."""

    def thoughts_came(self) -> None:
        """Do nothing, as above."""

    def __init__(self, name: str, calls: Calls) -> None:
        self._name = name
        self._calls = calls

    def feed(self, text: str, logprobs: bytes, out: list[Delta]) -> None:
        """Pass a piece of the input on."""
        self._calls.fragment(0, "", self._name, text, out, raw=True)

    def end(self, out: list[Delta], *, before_call: bool, cut: bool) -> None:
        """End the call; also an empty input is one."""
        if not self._calls.started:
            self._calls.fragment(0, "", self._name, "", out, raw=True)


def as_text(calls: Sequence[Delta]) -> str:
    """Return calls as text, each as JSON: of those that a request forbids a client would not know what to do with a call."""
    arguments: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for delta in calls:
        if isinstance(delta, CallStart):
            names[delta.key] = delta.name
            arguments[delta.key] = []
        elif isinstance(delta, CallDelta):
            arguments[delta.key].append(delta.text)
    told: list[str] = []
    for key, name in names.items():
        said = "".join(arguments[key]) or "{}"
        found = json_at(said, 0)
        value: object = found[0] if found is not None and not said[found[1] :].strip() else said
        told.append(to_json({"name": name, "arguments": value}).decode())
    return "\n".join(told)
