"""`/v1/embeddings`: inputs are checked; vectors come in the form and of the size that the client asks for."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.core.json_encoding import to_json
from antiphon.core.relayed_request import RelayedForm
from antiphon.core.request.validation import decode
from antiphon.core.retrieval.vectors import MOST_DIMENSIONS, unit
from antiphon.core.text.pieces import enclosed
from antiphon.errors import BackendError, InvalidRequest
from antiphon.server.api.relays.asked import AskedRelay
from antiphon.server.api.relays.passing import ReadAnswer, wrong_answer
from antiphon.types.raw import OptionalRaw

MOST_INPUTS = 2048
"""Texts of a request."""

MOST_NUMBERS = 400_000
"""Values of a request: tokens, where texts come as such. OpenAI takes 300,000."""


class EmbeddingWishes(msgspec.Struct, frozen=True):
    """What a request says of its answer."""

    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=MOST_DIMENSIONS)] | None = None


class _Vector(msgspec.Struct):
    """A vector by its index among the values of the answer."""

    embedding: Annotated[int, Meta(ge=0)]
    index: int | None = None


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    usage: OptionalRaw = None


class _EmbeddingCounts(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


_input = msgspec.json.Decoder(str | list[str | int | list[int]])
_vectors = msgspec.json.Decoder(_Vectors)
_numbers = msgspec.json.Decoder(list[float])
_string = msgspec.json.Decoder(str)
_counts = msgspec.json.Decoder(_EmbeddingCounts | None)


class Embeddings:
    """The route's shape."""

    def check(self, asked: AskedRelay) -> None:
        """Refuse what no backend would take. Raises InvalidRequest."""
        _wishes(asked)
        if not asked.has("messages"):  # vLLM embeds conversations, too
            asked.require("input")
            _count(asked)

    def forms(self, asked: AskedRelay) -> Sequence[RelayedForm]:
        """Return the request as it is."""
        return (asked.json("/embeddings"),)

    def answer(self, asked: AskedRelay, model: str, read: ReadAnswer, *, shorten: bool = False) -> bytes:
        """Return an answer as the client wants it; `shorten`: vectors may be cut. Raises BackendError, InvalidRequest."""
        wishes = _wishes(asked)
        try:
            found = _vectors.decode(read.skeleton)
            indexes = [index if one.index is None else one.index for index, one in enumerate(found.data)]
            vectors = [_as_wanted(read.values[one.embedding], wishes, shorten) for one in found.data]
            counts = _counts.decode(found.usage) if found.usage is not None else None
        except (msgspec.MsgspecError, ValueError, OverflowError, IndexError, RecursionError):
            raise wrong_answer("has no embeddings") from None
        expected = 1 if asked.has("messages") else _count(asked)
        if sorted(indexes) != list(range(expected)):
            raise wrong_answer(f"has {len(indexes)} embeddings for {expected} texts")
        told = counts or _EmbeddingCounts()
        used = told.prompt_tokens if told.prompt_tokens is not None else told.total_tokens or 0
        usage = {"prompt_tokens": used, "total_tokens": told.total_tokens or used}
        ordered = sorted(zip(indexes, vectors, strict=True), key=lambda pair: pair[0])
        data = [b'{"object":"embedding","index":%d,"embedding":%b}' % pair for pair in ordered]
        last = b'],"model":%b,"usage":%b}' % (to_json(model), to_json(usage))
        return enclosed(b'{"object":"list","data":[', data, last)


def _wishes(asked: AskedRelay) -> EmbeddingWishes:
    named = {name: asked.fields[name] for name in EmbeddingWishes.__struct_fields__ if name in asked.fields}
    return decode(_wishes_of, to_json(named))


_wishes_of = msgspec.json.Decoder(EmbeddingWishes)


def _count(asked: AskedRelay) -> int:
    """Return how many texts there are. Raises InvalidRequest for what is none."""
    value = decode(_input, asked.fields["input"], "input")
    if isinstance(value, str):
        if not value:
            raise InvalidRequest("'input' must not be empty.", param="input")
        return 1
    kinds = {type(entry) for entry in value}
    if len(kinds) != 1:
        what = "be all texts or all tokens" if kinds else "not be empty"
        raise InvalidRequest(
            f"The entries of 'input' must {what}." if kinds else f"'input' must {what}.", param="input"
        )
    if kinds == {int}:
        return 1
    empty = next((index for index, entry in enumerate(value) if not entry), None)
    if empty is not None:
        raise InvalidRequest(f"'input[{empty}]' must not be empty.", param=f"input[{empty}]")
    if len(value) > MOST_INPUTS:
        raise InvalidRequest(f"'input' has {len(value)} entries; at most {MOST_INPUTS} are allowed.", param="input")
    return len(value)


def _as_wanted(vector: bytes, wishes: EmbeddingWishes, shorten: bool) -> bytes:
    """Return a vector in the form that is wanted. Raises BackendError and InvalidRequest, ValueError for what is none."""
    packed = vector.startswith(b'"')
    numbers = _unpacked(vector) if packed else _numbers.decode(vector)
    size = len(numbers)
    if not 1 <= size <= MOST_DIMENSIONS:
        raise wrong_answer(f"has embeddings of {size} dimensions")
    wanted = wishes.dimensions or size
    if size != wanted:
        numbers = _shortened(numbers, wanted, shorten)
    if wishes.encoding_format == "base64":
        if packed and size == wanted:
            return vector
        return to_json(base64.b64encode(struct.pack(f"<{wanted}f", *numbers)).decode())
    return to_json(list(numbers)) if packed or size != wanted else vector


def _unpacked(vector: bytes) -> Sequence[float]:
    try:
        data = base64.b64decode(_string.decode(vector), validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (binascii.Error, struct.error):
        raise wrong_answer("has embeddings that are neither numbers nor base64") from None


def _shortened(numbers: Sequence[float], wanted: int, shorten: bool) -> Sequence[float]:
    if not shorten or wanted > len(numbers):
        raise InvalidRequest(
            f"The model gives {len(numbers)} dimensions, and its backend takes no other number of them.",
            param="dimensions",
            code="unsupported_parameter",
        )
    cut = unit(list(numbers[:wanted]))
    if cut is None:
        raise BackendError(502, "The backend's embeddings are no numbers.")
    return cut
