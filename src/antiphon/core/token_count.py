"""How many tokens a Turn's input has, where nobody can say: an estimate that learns from what backends report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from antiphon.core.json_encoding import json_size, to_json
from antiphon.core.turn import Turn, all_instructions
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OtherItem,
    OutputText,
    Part,
    PlainText,
    Reasoning,
)
from antiphon.types.raw import JsonText

BYTES_PER_TOKEN = 4.0
_LEAST, _MOST = (
    1 / 12,
    1.0,
)  # tokens per byte, of any text: what a backend's nonsense may make of the estimates of others
_MOST_ADDED = 4096  # tokens that a template may add to any input
_FIRST = 32  # counts that are all learned from


MEDIUM = 4096
"""Bytes that stand for a picture or a sound: models count it by its pixels or seconds, which are not known, not by its bytes."""

_MEDIA = re.compile(rb'(?:;base64,|\\"(?:data|blob)\\":\\")([A-Za-z0-9+/]{4096,})')
"""Base64 of a medium in an item that is kept as JSON; in the text of an MCP call as its content spells it."""


class Size(NamedTuple):
    """What of a Turn's input decides how many tokens it has: bytes of texts and of tools' JSON, number of messages and items."""

    text: int
    tools: int
    parts: int

    @property
    def bytes(self) -> int:
        """All bytes."""
        return self.text + self.tools


_ENVELOPE = 80
"""Bytes of an item's JSON, about, that are not its text."""


def size(turn: Turn) -> Size:
    """Return the size of a Turn's input: what the model reads of it, and of media what stands for them."""
    instructions = all_instructions(turn)
    parts = len(turn.items) + (instructions is not None)
    if turn.size:  # it is not worth another pass over texts; the tools are in it
        text = turn.size - sum([_media_of(item) for item in turn.items]) - _ENVELOPE * parts
        return Size(max(text, 1), 0, parts)
    text = _bytes(instructions or "") + sum([_bytes(_text_of(item)) + MEDIUM * _media_in(item) for item in turn.items])
    return Size(max(text, 1), len(to_json(turn.tools)) if turn.tools else 0, parts)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _media_in(item: Item) -> int:
    """Return the number of an item's pictures and sounds."""
    if isinstance(item, OtherItem):
        return len(_MEDIA.findall(bytes(item.raw)))
    parts = item.content if isinstance(item, Message) else getattr(item, "output", None)
    return sum([isinstance(part, InputImage | InputAudio) for part in parts]) if isinstance(parts, list) else 0


def _media_of(item: Item) -> int:
    """Return the bytes of an item that its media have too much."""
    if isinstance(item, OtherItem):
        raw = bytes(item.raw)
        runs = _MEDIA.finditer(raw) if len(raw) > MEDIUM else ()
        return sum([match.end() - match.start() - MEDIUM for match in runs])
    parts = item.content if isinstance(item, Message) else getattr(item, "output", None)
    return sum([max(_medium(part) - MEDIUM, 0) for part in parts]) if isinstance(parts, list) else 0


def _medium(part: Part) -> int:
    if isinstance(part, InputImage) and isinstance(part.image_url, str):
        return len(part.image_url)
    return len(part.input_audio.data) if isinstance(part, InputAudio) else 0


def size_of_large(turn: Turn) -> int:
    """Return about the same, item by item: other threads get their turn between two."""
    items = sum([_size_of(item) + 1 for item in turn.items])
    return items + len(all_instructions(turn) or "") + sum([len(to_json(tool)) for tool in turn.tools])


def _size_of(item: Item) -> int:
    """Return the bytes of an item as JSON; of texts, which files may have become, about those."""
    parts = item.content if isinstance(item, Message) else getattr(item, "output", None)
    if not isinstance(parts, list):
        return json_size(item)
    return sum([len(part.text) if isinstance(part, InputText) else len(to_json(part)) for part in parts])


_PRIOR = (4.0, 1 / BYTES_PER_TOKEN, 4.0, 0.15)
"""Tokens for any request, for a byte of text, for a message or other item, and for a byte of tools, before any count is known."""

_SPREAD = (200.0, 0.1, 4.0, 0.1)  # how far the true ones may be from these
_DRIFT = 0.00001  # of the spread's square, added with each count: prompts change, so that new counts always matter
_NOISE = 0.2  # of a count: what no such sum explains
_FAR, _MOST_FAR = 0.5, 4  # of a count; so many in a row begin anew


class _Fit:
    """A model's tokens as a sum of these four, fitted to its counts as they come (recursive least squares, by relative error).

    It costs the same for each count, and keeps twenty numbers.
    """

    __slots__ = ("_far", "_spread", "_weights")

    def __init__(self) -> None:
        self._weights = list(_PRIOR)
        self._spread = _wide()
        self._far = 0  # counts in a row that were far from their estimates

    def tokens(self, measured: Size) -> float:
        return sum([weight * value for weight, value in zip(self._weights, _values(measured), strict=True)])

    def learn(self, measured: Size, tokens: float) -> None:
        """Move the weights by what a count differs from its estimate."""
        values = [value / tokens for value in _values(measured)]
        error = 1.0 - self.tokens(measured) / tokens
        self._far = self._far + 1 if abs(error) > _FAR else 0
        if self._far == _MOST_FAR:  # the model or its template is another
            self._far, self._spread = 0, _wide()
        spread = self._spread
        moved = [sum([cell * value for cell, value in zip(row, values, strict=True)]) for row in spread]
        share = max(sum([value * move for value, move in zip(values, moved, strict=True)]), 0.0) + _NOISE**2
        gain = [move / share for move in moved]
        self._weights = [weight + one * error for weight, one in zip(self._weights, gain, strict=True)]
        self._spread = [
            [cell - one * move for cell, move in zip(row, moved, strict=True)]
            for row, one in zip(spread, gain, strict=True)
        ]
        for index, one in enumerate(_SPREAD):
            diagonal = self._spread[index]
            diagonal[index] = min(diagonal[index] + _DRIFT * one * one, one * one)


def _wide() -> list[list[float]]:
    return [[one * one if row == column else 0.0 for column in range(4)] for row, one in enumerate(_SPREAD)]


def _values(measured: Size) -> tuple[float, float, float, float]:
    return 1.0, measured.text, measured.parts, measured.tools


_UNKNOWN = _Fit()
"""A model of which no count is known."""


class Estimator:
    """Tokens of Turns, model by model, calibrated by the usage of real calls."""

    def __init__(self) -> None:
        self._fits: dict[str, _Fit] = {}
        self._seen: dict[str, int] = {}

    def estimate(self, turn: Turn) -> int:
        """Return about how many tokens the input has; at least 1."""
        fit, measured = self._fits.get(turn.model, _UNKNOWN), size(turn)
        return max(1, round(_within(fit.tokens(measured), measured)))

    def learn(self, turn: Turn, input_tokens: int) -> None:
        """Take in a real count. Only the first calls and then one in 32 are looked at: the size costs a pass over the input.

        Where a part of the input may have been left out, or its format told in the prompt, the count is another input's.
        """
        if turn.request.truncation == "auto" or turn.text.format.type != "text":
            return
        seen = self._seen.get(turn.model, 0)
        self._seen[turn.model] = seen + 1
        if input_tokens <= 0 or (seen >= _FIRST and seen % 32):
            return
        measured = size(turn)
        fit = self._fits.get(turn.model)
        if fit is None:
            fit = self._fits[turn.model] = _Fit()
        fit.learn(measured, _within(input_tokens, measured))


def _within(tokens: float, measured: Size) -> float:
    """Keep a number of tokens to what such an input may have: templates add a few to a small one."""
    return min(max(tokens, measured.bytes * _LEAST), measured.bytes * _MOST + _MOST_ADDED)


def texts_of(turn: Turn) -> list[str]:
    """Return the texts that a model reads of a Turn: instructions, what items say, declarations of tools."""
    instructions = all_instructions(turn)
    texts = [instructions] if instructions else []
    for item in turn.items:
        texts.append(_text_of(item))
    return [*texts, *(to_json(tool).decode() for tool in turn.tools)]


def _text_of(item: Item) -> str:
    if isinstance(item, Message):
        return _joined(item.content)
    if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
        return _joined(item.output)
    if isinstance(item, FunctionCall):
        return f"{item.name} {item.arguments}"
    if isinstance(item, CustomToolCall):
        return f"{item.name} {item.input}"
    if isinstance(item, Reasoning):
        return "\n".join(part.text for part in item.content or ())
    if isinstance(item, OtherItem):
        return _MEDIA.sub(b"", bytes(item.raw)).decode()
    return to_json(item).decode()


def _joined(content: str | JsonText | Sequence[Part]) -> str:
    if isinstance(content, str | JsonText):
        return str(content)
    return "\n".join(part.text for part in content if isinstance(part, InputText | OutputText | PlainText))
