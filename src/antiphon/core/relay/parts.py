"""Texts of another server's items while they grow: parts of messages and thoughts, arguments and inputs of calls."""

from __future__ import annotations

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.core.relay.shapes import Json
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.writers import Growing
from antiphon.core.tools.input_unwrapper import Unwrapper

MOST_PIECES = 1024
_WRAPPING = '{"input":"'
_LONGEST_BEGIN = 256  # characters, blanks included


class TextPart:
    """A part of a message or of thoughts, or a call's arguments: its text so far."""

    __slots__ = (
        "_emitter",
        "_head",
        "_type",
        "annotations",
        "closed",
        "kind",
        "logprobs",
        "part_index",
        "pieces",
        "whole_pieces",
    )

    def __init__(self, emitter: Emitter, type: str, kind: str, where: Json, part_index: int) -> None:
        self.kind = kind
        self.part_index = part_index
        self.pieces: list[str] = []  # the last ones; a text of very many small ones would take many times its size
        self.whole_pieces: list[str] = []
        self.logprobs: list[bytes] = []
        self.annotations: list[Json] = []
        self.closed = False
        self._emitter = emitter
        self._type = f"{type}.delta"
        self._head = to_json({"type": self._type, **where})[:-1]

    def add(self, text: str, logprobs: bytes = b"") -> None:
        """Append a piece of text; `logprobs` holds the pieces of a JSON array, without its brackets."""
        self.pieces.append(text)
        if len(self.pieces) >= MOST_PIECES:
            self.whole_pieces.append("".join(self.pieces))
            self.pieces.clear()
        head = self._head
        if self.kind == "output_text":
            head += b',"logprobs":[%b]' % logprobs
            if logprobs:
                self.logprobs.append(logprobs)
        self._emitter.delta(self._type, head + b',"delta":', text)

    @property
    def growing(self) -> Growing | None:
        """The text, for who writes its deltas himself; at most `MOST_PIECES` of them, then `add` joins them."""
        logprobs = b',"logprobs":[]' if self.kind == "output_text" else b""
        return Growing(self._type, self._head + logprobs + b',"delta":', self.pieces)

    def whole(self, text: str) -> bool:
        """Stream what is missing of the whole text. False where it contradicts what has streamed, which then stands."""
        said = self.said
        if not text.startswith(said):
            return False
        if len(text) > len(said):
            self.add(text[len(said) :])
        return True

    def annotate(self, annotation: Json) -> None:
        """Note a citation; it is shown with the part."""
        self.annotations.append(annotation)

    @property
    def text(self) -> str:
        return "".join((*self.whole_pieces, *self.pieces))

    @property
    def said(self) -> str:
        """What the other server has said of it."""
        return self.text

    def end(self) -> None:
        """Take it that no more comes."""
        self.closed = True


class InputPart(TextPart):
    """A custom tool's input. Servers that give such tools to models as functions may leave it in its wrapping.

    `arguments`: it is told as a function's arguments, which are JSON and unwrapped while they stream. An input as such is held
    back while it looks like `{"input": "…"}`, and unwrapped only if that is all of it.
    """

    __slots__ = ("_all", "_begin", "_held", "_unwrapper")

    def __init__(self, emitter: Emitter, type: str, where: Json, *, arguments: bool) -> None:
        super().__init__(emitter, type, "", where, 0)
        self._unwrapper = Unwrapper() if arguments else None
        self._all: list[str] = []
        self._begin: str | None = ""  # None: how it begins is decided
        self._held: list[str] | None = None

    def add(self, text: str, logprobs: bytes = b"") -> None:
        """Append a piece as the other server says it."""
        self._all.append(text)
        if self._unwrapper is not None:
            text = self._unwrapper.feed(text)
        elif self._begin is not None:
            text = self._decide(self._begin + text)
        elif self._held is not None:
            self._held.append(text)
            return
        if text:
            super().add(text)

    def _decide(self, begin: str) -> str:
        """Return what can be shown of an input that begins so."""
        squeezed = "".join(begin[:_LONGEST_BEGIN].split())
        self._begin = None
        if len(begin) <= _LONGEST_BEGIN and len(squeezed) < len(_WRAPPING) and _WRAPPING.startswith(squeezed):
            self._begin, begin = begin, ""
        elif squeezed.startswith(_WRAPPING):
            self._held, begin = [begin], ""
        return begin

    @property
    def growing(self) -> None:
        """Nothing: pieces are unwrapped, or held back."""

    @property
    def said(self) -> str:
        return "".join(self._all)

    def end(self) -> None:
        """Show what was held back."""
        super().end()
        if self._unwrapper is not None:
            rest = self._unwrapper.close()
        else:
            rest = _unwrapped("".join(self._held)) if self._held is not None else self._begin or ""
        self._begin = self._held = None
        if rest:
            super().add(rest)


def _unwrapped(text: str) -> str:
    try:
        return msgspec.json.decode(text, type=_Wrapping).input
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text


class _Wrapping(msgspec.Struct, forbid_unknown_fields=True):
    input: str
