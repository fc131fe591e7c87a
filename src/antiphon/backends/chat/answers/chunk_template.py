"""ChunkTemplate: chunks of a stream that differ from one another in one string alone, read without parsing them anew.

Servers send the same bytes around the text for a second, or for a whole answer. Of such a chunk only the string is decoded.
"""

from __future__ import annotations

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.types.chat import ChatChoice, ChatChunk, ChatDelta, ChatFunction, ChatToolCall

_LARGEST = 4096  # bytes of a chunk that is learned
_TRIES = 4  # chunks that are learned before one of them has proved useful
_USEFUL = 8  # chunks read by a template before it has
_PROBE = "\x7f"
_TEXTS = ("content", "reasoning_content", "reasoning")
_TEXT = ChatDelta(content=_PROBE)
_THOUGHTS = (ChatDelta(reasoning_content=_PROBE), ChatDelta(reasoning=_PROBE))
_string = msgspec.json.Decoder(str)
_chunk = msgspec.json.Decoder(ChatChunk, strict=False)


class ChunkTemplate:
    """The bytes around the string that changes, and the chunk in which it is set.

    `text_only`: the chunk says nothing but a piece of the answer's text, `thoughts_only`: nothing but a piece of thoughts,
    `arguments_only`: nothing but a piece of the arguments of the call `index`. With the first and the last `read` returns the
    piece and does not set it. Else `choice` and `delta` are those of the chunk that was read last; the next one changes them.
    `used` counts the chunks like it, also those that others read by `before` and `after`.
    """

    __slots__ = (
        "_from",
        "_holder",
        "_name",
        "_to",
        "_tries",
        "after",
        "arguments_only",
        "before",
        "choice",
        "delta",
        "index",
        "text_only",
        "thoughts_only",
        "used",
    )

    def __init__(self) -> None:
        self.choice = ChatChoice()
        self.delta = ChatDelta()
        self.index: int | None = None
        self.text_only = self.thoughts_only = self.arguments_only = False
        self.before = self.after = b"\n"  # in no event's data
        self._from = self._to = 0
        self._holder: ChatDelta | ChatFunction = self.delta
        self._name = ""
        self._tries, self.used = _TRIES, 0

    def read(self, payload: bytes) -> str:
        """Return the string of a chunk like the one that was learned; "" where it has none, or differs in more than that."""
        # Slices, as `startswith` and `endswith` take three times as long.
        if payload[: self._from + 1] != self.before or payload[self._to - 1 :] != self.after:
            return ""
        try:
            text = _string.decode(payload[self._from : self._to])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ""
        if not (self.text_only or self.arguments_only):
            setattr(self._holder, self._name, text)
        self.used += 1
        return text

    def learn(self, payload: bytes, chunk: ChatChunk) -> None:
        """Learn a chunk, where those that follow can be like it. It has been read, and is changed here."""
        if self.used >= _USEFUL:
            self._tries = _TRIES
        self.used = 0
        if not self._tries or len(payload) > _LARGEST or chunk.usage is not None or chunk.error is not None:
            return
        if chunk.choices is None or len(chunk.choices) != 1:
            return
        choice = chunk.choices[0]
        if choice.index or choice.finish_reason or choice.delta is None:
            return
        self._tries -= 1
        calls = choice.delta.tool_calls
        for name in _TEXTS:
            if getattr(choice.delta, name):
                self._take(payload, chunk, name)
                return
        if calls and len(calls) == 1 and calls[0].function is not None and not calls[0].id:
            self._take(payload, chunk, "arguments")

    def _take(self, payload: bytes, chunk: ChatChunk, name: str) -> None:
        """Take the bytes around a string, where a trial shows that they leave all else of the chunk as it is."""
        key = to_json(name)
        start = payload.find(b'"', payload.find(key) + len(key)) + 1
        end = _end_of_string(payload, start)
        before, after = payload[:start], payload[end:]
        try:
            probe = _chunk.decode(b"%b%b%b" % (before, _PROBE.encode(), after))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        setattr(_holder(chunk, name), name, _PROBE)
        if probe != chunk or not probe.choices or probe.choices[0].delta is None:
            return
        self.choice, self.delta = probe.choices[0], probe.choices[0].delta
        self.text_only = self.delta == _TEXT
        self.thoughts_only = self.delta in _THOUGHTS
        self.index, self.arguments_only = None, False
        if name == "arguments" and self.delta.tool_calls:
            self.index = self.delta.tool_calls[0].index
            piece = ChatToolCall(index=self.index, function=ChatFunction(arguments=_PROBE))
            self.arguments_only = self.delta == ChatDelta(tool_calls=[piece])
        self._holder, self._name = _holder(probe, name), name
        self.before, self.after = before, after
        self._from, self._to = start - 1, 1 - len(after)


def _holder(chunk: ChatChunk, name: str) -> ChatDelta | ChatFunction:
    """Return what of a chunk holds the string."""
    delta = chunk.choices[0].delta if chunk.choices else None
    assert delta is not None
    if name in _TEXTS:
        return delta
    assert delta.tool_calls and delta.tool_calls[0].function
    return delta.tool_calls[0].function


def _end_of_string(payload: bytes, start: int) -> int:
    """Return where a JSON string ends: at the first quote after an even number of backslashes."""
    at = start
    while (at := payload.find(b'"', at)) > 0:
        slashes = 0
        while payload[at - 1 - slashes] == 0x5C:
            slashes += 1
        if slashes % 2 == 0:
            return at
        at += 1
    return start
