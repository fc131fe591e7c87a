"""From what is stored and what was sent to what the model sees, and back to what is stored. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
from msgspec import UNSET, Raw

from antiphon.core import kinds
from antiphon.core.json_encoding import json_size, to_json
from antiphon.core.opaque import NO_OPAQUE, OpaqueData
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.validation import decode_fields
from antiphon.core.text.encoded_texts import SHORTEST, EncodedTexts
from antiphon.core.text.input_pieces import BASE, MOST_PIECES, NOTHING, InputEnd, InputPieces, KeptInput, SharedInput
from antiphon.core.text.pieces import enclosed
from antiphon.core.tools.call_pairs import pair, sides_of
from antiphon.core.tools.results import ModelTexts
from antiphon.errors import InvalidRequest, NotFound
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    ItemReference,
    Message,
    OtherItem,
    OutputText,
    Part,
    PlainText,
    Reasoning,
    ReasoningText,
)
from antiphon.types.raw import JsonText


class _Identified(msgspec.Struct):
    """The one key of an item that tells it from others."""

    id: str | None = None


_array = msgspec.json.Decoder(list[Raw])
_identified = msgspec.json.Decoder(_Identified)

LONGEST_ID = 1024
"""Bytes of an item's id: stores have it in an index. Ids that other servers seal have about 500."""

_SURE_ID = LONGEST_ID // 4  # characters of an id that has no more bytes than that

# OpenAI's own prefixes of item ids (contract, "Response object").
_PREFIXES = {
    kind: kinds.OWN_PREFIXES[str(kind.__struct_config__.tag)]
    for kind in (Message, Reasoning, FunctionCall, FunctionCallOutput, CustomToolCall, CustomToolCallOutput)
}

_SHARED = frozenset(_PREFIXES)  # their JSON is made here: others' is a client's


class OwnInput(msgspec.Struct, frozen=True):
    """The input items of one response as they are kept: a JSON array, and the ids in it that are not ours.

    `asking` is the one that asks: the user's last message, the last result of a tool where there is none; b"" for none.
    With `pieces` there is no `array`: inputs of later responses may begin with it.
    """

    array: bytes = b"[]"
    foreign_ids: Mapping[str, int] = {}
    count: int = 0
    asking: bytes = b""
    pieces: InputPieces | None = None

    @property
    def whole(self) -> bytes:
        """The array, also where it is in pieces."""
        return self.array if self.pieces is None else self.pieces.array()


def split_array(array: bytes) -> list[Raw]:
    """Split a JSON array into the JSON of its entries."""
    return _array.decode(array)


def item_id(item: bytes | Raw) -> str:
    """Return the id of an item's JSON, "" where it has none that is a string."""
    try:
        return _identified.decode(item).id or ""
    except (ValueError, RecursionError):
        return ""


def decode_history(arrays: Sequence[bytes], most: int) -> list[Item]:
    """Decode stored arrays of items, oldest first; no further than to the first item behind `most`."""
    history: list[Item] = []
    for array in arrays:
        history += decode_items(split_array(array))
        if len(history) > most:
            break
    return history


def input_items(input: str | Sequence[Raw] | Sequence[Item] | object) -> list[Item]:
    """Decode a request's `input`: a string is one message of the user's; items that are decoded stay."""
    if isinstance(input, str):
        return [Message(role="user", content=input)]
    if isinstance(input, list):
        return decode_items(input) if not input or type(input[0]) is Raw else input
    return []


def check_ids(items: Sequence[Item], path: str = "input") -> None:
    """Raise InvalidRequest for an item whose id is longer than stores keep in an index."""
    for index, id in [(index, id) for index, item in enumerate(items) if (id := item.id) and len(id) > _SURE_ID]:
        if len(id.encode()) > LONGEST_ID:
            raise InvalidRequest(
                f"Invalid '{path}[{index}].id': must be at most {LONGEST_ID} bytes.", param=f"{path}[{index}].id"
            )


def references(items: Sequence[Item]) -> list[str]:
    """Return the ids of stored items that are wanted: what `item_reference` items name, and thoughts without their text."""
    if REFERRING.isdisjoint(map(type, items)):
        return []
    return [item.id for item in items if isinstance(item.id, str) and _is_reference(item)]


REFERRING = frozenset((ItemReference, Reasoning))
"""The kinds of items that may stand for stored ones."""


def content_of(item: Item) -> str | JsonText | Sequence[Part]:
    """Return a message's content or a call's output; "" for items of other kinds."""
    kind = type(item)
    if kind is Message:
        return item.content  # type: ignore[union-attr, return-value]  # `type` narrows nothing, `isinstance` costs more
    return item.output if kind in _OUTPUTS else ""  # type: ignore[union-attr]  # as above


_OUTPUTS = frozenset((FunctionCallOutput, CustomToolCallOutput))


def _is_reference(item: Item) -> bool:
    """Tell whether an item stands for a stored one. After a stream some clients send thoughts back by their id alone."""
    bare_thoughts = isinstance(item, Reasoning) and not (item.content or item.encrypted_content)
    return bare_thoughts or isinstance(item, ItemReference)


def resolve_references(items: Sequence[Item], found: Mapping[str, bytes]) -> list[Item]:
    """Replace references by their stored items. Raises NotFound where there is none; thoughts may be missing."""
    resolved: list[Item] = []
    for index, item in enumerate(items):
        stored = found.get(item.id) if isinstance(item.id, str) and _is_reference(item) else None
        if stored is not None:
            resolved.extend(decode_items([Raw(stored)]))
        elif isinstance(item, ItemReference):
            raise NotFound(f"Item with id '{item.id}' not found.", param=f"input[{index}].id", code="item_not_found")
        else:
            resolved.append(item)
    return resolved


def without_doubles(history: Sequence[Item], own: Sequence[Item]) -> list[Item]:
    """Join history and own items; what was replayed although the history has it already stands once."""
    if not history:
        return list(own)
    known = {item.id for item in history if isinstance(item.id, str)}
    return [*history, *(item for item in own if not (isinstance(item.id, str) and item.id in known))]


def without_model_texts(items: Sequence[Item], opaque: OpaqueData = NO_OPAQUE) -> list[str]:
    """Return the ids of items of which the model or its backend sees more than they say, where that is not there yet."""
    return [item.id for item in items if type(item.id) is str and _lacks_model_text(item, opaque)]


def _lacks_model_text(item: Item, opaque: OpaqueData) -> bool:
    if type(item) is Reasoning:
        return item.id not in opaque and item.encrypted_content not in opaque
    return type(item) is OtherItem and not isinstance(item.model_text, str) and kinds.has_model_text(item.type)


def opaque_of(texts: ModelTexts) -> OpaqueData:
    """Return what only backends can read, of what is kept beside items."""
    return {id: text.opaque for id, text in texts.items() if text.opaque}


def with_model_texts(items: Sequence[Item], texts: ModelTexts) -> list[Item]:
    """Return the items with what the model sees of them."""
    if not texts:
        return list(items)
    return [
        msgspec.structs.replace(item, model_text=texts[item.id].text)
        if type(item) is OtherItem and isinstance(item.id, str) and item.id in texts
        else item
        for item in items
    ]


def sealed_thoughts(items: Sequence[Item], has_more: Callable[[str], bool]) -> list[str]:
    """Return the `encrypted_content` of thoughts whose content was not sent back, or that `has_more` than the content."""
    return [
        item.encrypted_content
        for item in items
        if isinstance(item, Reasoning)
        and isinstance(item.encrypted_content, str)
        and (not item.content or has_more(item.encrypted_content))
    ]


def unsealed(items: Sequence[Item], unseal: Callable[[str], str | None]) -> list[Item]:
    """Restore thoughts from `encrypted_content` where the content itself was not sent back.

    What cannot be opened (another server's, or a lost key) stays as it is: the model does without those thoughts.
    """
    return [_unsealed(item, unseal) if isinstance(item, Reasoning) else item for item in items]


def _unsealed(item: Reasoning, unseal: Callable[[str], str | None]) -> Reasoning:
    sealed = item.encrypted_content
    if item.content or not isinstance(sealed, str) or not sealed:
        return item
    text = unseal(sealed)
    return item if not text else msgspec.structs.replace(item, content=[ReasoningText(text=text)])


# The window


def smaller_than(items: Sequence[Item], size: int) -> bool:
    """Tell whether the items' JSON takes fewer bytes; stops to look as soon as it does not."""
    texts = [content_of(item) for item in items]
    least = sum([len(text) for text in texts if type(text) is str])  # JSON is no shorter
    if least + sum([len(text.json) for text in texts if type(text) is JsonText]) >= size:
        return False
    for item in items:
        size -= len(to_json(item))
        if size <= 0:
            return False
    return True


def truncated(items: Sequence[Item], share: float) -> list[Item]:
    """Drop the oldest items until about this share of the bytes is left (`truncation: auto`).

    The last message of the user's and all behind it stay; an output goes with its call.
    """
    sizes = [json_size(item) for item in items]
    budget = sum(sizes) * share
    last = next((n for n in range(len(items) - 1, -1, -1) if _is_user(items[n])), len(items))
    begin, left = 0, float(sum(sizes))
    while begin < last and left > budget:
        left -= sizes[begin]
        begin += 1
    # The output of a call that is dropped goes with it, whichever other call has its id.
    pairs = pair(sides_of(items))
    gone = {output for output, call in pairs.calls.items() if call < begin} | set(pairs.orphans)
    return [item for index, item in enumerate(items) if index >= begin and index not in gone]


def _is_user(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


# What is kept of the input


def kept_items(items: Sequence[Item], id_base: str) -> list[Raw]:
    """Return items as `keep_input` stores them, one by one."""
    return split_array(keep_input(items, id_base).array)


def keep_input(items: Sequence[Item], id_base: str, encoded: EncodedTexts | None = None) -> OwnInput:
    """Return the items as they are stored: each with an id, a status and content parts.

    An item without an id gets `<prefix>_<id_base>i<position>`, from which the store finds it again.
    """
    shared = None if encoded is None else encoded.shared
    if shared is not None and _SHARED.issuperset(map(type, items)):
        kept, pieces = _pieces(items, id_base, encoded, shared)
        if pieces is not None:
            asking = kept.message if kept.message >= 0 else kept.result
            asked = _kept(items[asking], f"{id_base}i{asking:04x}", encoded) if asking >= 0 else b""
            return OwnInput(b"", kept.foreign_ids, len(items), asked, pieces)
    foreign: dict[str, int] = {}
    entries, message, result = _entries(items, 0, id_base, encoded, foreign)
    asking = message if message >= 0 else result
    return OwnInput(enclosed(b"[", entries, b"]"), foreign, len(entries), entries[asking] if asking >= 0 else b"")


def _pieces(
    items: Sequence[Item], id_base: str, encoded: EncodedTexts | None, shared: SharedInput
) -> tuple[KeptInput, InputPieces | None]:
    """Keep items; return with that what they add to those that were kept last, None where they cannot be kept in pieces."""
    last = shared.kept  # a thread may change it
    last = last if last.begins(items) else NOTHING
    again = last.end.id_base == id_base and len(last.items) == len(items)  # kept when it begins, and when it ends
    if not again and (last.end.id_base == id_base or last.end.pieces >= MOST_PIECES):
        last = NOTHING
    earlier, foreign = last.earlier if again else last.end, {**last.foreign_ids}
    entries, message, result = _entries(items, earlier.items, shared.stand_in, encoded, foreign)
    added = enclosed(b"," if earlier.items else b"[", entries, b"") if entries or not earlier.items else b""
    if BASE in added:
        return NOTHING, None
    added = shared.neutral(added)
    if not again:
        size = earlier.size + len(added)
        end = InputEnd(id_base, len(items), earlier.pieces + 1, size, next(shared.marks))
        message, result = max(message, last.message), max(result, last.result)
        shared.kept = last = KeptInput(list(items), earlier, end, foreign, message, result)
    make = partial(_whole, items, encoded, shared) if earlier.items else None
    return last, InputPieces(earlier, last.end, added, make)


def _whole(items: Sequence[Item], encoded: EncodedTexts | None, shared: SharedInput) -> bytes:
    return shared.neutral(enclosed(b"[", _entries(items, 0, shared.stand_in, encoded, {})[0], b""))


def _entries(
    items: Sequence[Item], first: int, id_base: str, encoded: EncodedTexts | None, foreign: dict[str, int]
) -> tuple[list[bytes], int, int]:
    """Return the items from `first` on as they are stored; fill `foreign` ids.

    Also returned are the indexes of the user's last message and of the last result of a tool, -1 for none.
    """
    kept: list[bytes] = []
    message = result = -1
    for index, item in enumerate(items[first:] if first else items, first):
        if isinstance(item.id, str) and item.id:
            foreign[item.id] = index
        kept.append(_kept(item, f"{id_base}i{index:04x}", encoded))
        kind = type(item)
        if kind is Message:
            if item.role == "user":  # type: ignore[union-attr]  # `type` narrows nothing
                message = index
        elif kind in _OUTPUTS or (kind is OtherItem and item.type in kinds.RESULTS):  # type: ignore[union-attr]  # as above
            result = index
    return kept, message, result


def _kept(item: Item, own_id: str, encoded: EncodedTexts | None) -> bytes:
    if isinstance(item, OtherItem):
        return _kept_raw(item, own_id)
    if isinstance(item, ItemReference):
        raise InvalidRequest("References are resolved before items are kept.")
    id = item.id or f"{_PREFIXES[type(item)]}_{own_id}"
    if isinstance(item, Message):
        return to_json(msgspec.structs.replace(item, id=id, status=item.status or "completed", content=_parts(item)))
    if isinstance(item, Reasoning):
        content = item.content if item.content is not None else UNSET
        return to_json(msgspec.structs.replace(item, id=id, content=content))
    if type(item) in _OUTPUTS:
        output = _output(item, encoded)  # type: ignore[arg-type]  # `type` narrows nothing
        return to_json(msgspec.structs.replace(item, id=id, status=item.status or "completed", output=output))
    return to_json(msgspec.structs.replace(item, id=id, status=item.status or "completed"))


def _kept_raw(item: OtherItem, own_id: str) -> bytes:
    if isinstance(item.id, str) and item.id:
        return bytes(item.raw)
    fields = decode_fields(item.raw, "input")
    fields.pop("id", None)
    return to_json({"id": f"{item.type.removesuffix('_call')}_{own_id}", **fields})


def _output(
    item: FunctionCallOutput | CustomToolCallOutput, encoded: EncodedTexts | None
) -> str | JsonText | Raw | Sequence[Part]:
    """Give a call's output in this API's spelling."""
    said = item.output
    if isinstance(said, list):
        return [InputText(text=part.text) if isinstance(part, PlainText) else part for part in said]
    if type(said) is str and encoded is not None and len(said) >= SHORTEST:
        return Raw(encoded.json_of(said))
    return said


def _parts(message: Message) -> list[object]:
    """Give a message's content as parts, the assistant's as output text."""
    content = message.content
    kind = OutputText if message.role == "assistant" else InputText
    if isinstance(content, str):
        return [kind(text=content)]
    return [
        kind(text=part.text) if type(part) is not kind and isinstance(part, PlainText | InputText) else part
        for part in content
    ]
