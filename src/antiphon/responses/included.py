"""`include` of requests that read: fields of items that a client sees only where it asks for them, put back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.context import split_array
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import CALLED
from antiphon.core.text.pieces import joined
from antiphon.core.tools.results import ModelText
from antiphon.runtime.offload import by_size
from antiphon.stores.records import StoredResponse

ReadTexts = Callable[[Sequence[str], str], Awaitable[Mapping[str, bytes]]]
"""Returns what is kept beside items, by their ids, of an owner (`stores.nouns.responses.ResponseStore.model_texts`)."""

SPELLINGS = ("include", "include[]")
"""How clients spell the parameter of a query: OpenAI's own with brackets."""


class TypedItem(msgspec.Struct, frozen=True):
    """What tells which item one is."""

    type: object = None
    id: object = None


_typed = msgspec.json.Decoder(TypedItem)
_fields = msgspec.json.Decoder(dict[str, Raw])
_text = msgspec.json.Decoder(ModelText)


def wanted(query: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return what a query asks to include; names that hide nothing here are passed over."""
    asked = {name for spelling in SPELLINGS for name in query.get(spelling, ())}
    return frozenset(one.name for kind in CALLED.values() for one in kind.hidden if one.name in asked)


async def with_included(items: Sequence[Raw], include: frozenset[str], owner: str, texts: ReadTexts) -> list[Raw]:
    """Return items with the fields that `include` names, as far as they are kept."""
    if not include:
        return [*items]
    size = sum(len(bytes(item)) for item in items)
    ids = await by_size(size, _hiding, items, include)
    kept = await texts(ids, owner) if ids else {}
    if not kept:
        return [*items]
    return await by_size(size + sum(map(len, kept.values())), _shown, items, include, kept)


def _hiding(items: Sequence[Raw], include: frozenset[str]) -> list[str]:
    """Return the ids of the items that hide a field which is asked for."""
    found = []
    for item in items:
        head = _typed.decode(item)
        kind = CALLED.get(head.type) if isinstance(head.type, str) else None
        if isinstance(head.id, str) and kind is not None and any(one.name in include for one in kind.hidden):
            found.append(head.id)
    return found


def _shown(items: Sequence[Raw], include: frozenset[str], kept: Mapping[str, bytes]) -> list[Raw]:
    return [_item_shown(item, include, kept) for item in items]


def _item_shown(item: Raw, include: frozenset[str], kept: Mapping[str, bytes]) -> Raw:
    head = _typed.decode(item)
    text = kept.get(head.id) if isinstance(head.id, str) else None
    if text is None or not isinstance(head.type, str) or head.type not in CALLED:
        return item
    kind = CALLED[head.type]
    hidden = _text.decode(text).hidden
    names = {one.path[0] for one in kind.hidden if one.name in include and one.path[0] in hidden}
    return Raw(to_json({**_fields.decode(item), **{name: hidden[name] for name in names}})) if names else item


async def response_with_included(stored: StoredResponse, include: frozenset[str], texts: ReadTexts) -> bytes:
    """Return a response's JSON with the fields of its output that `include` names."""
    if not include:
        return stored.body
    output = await by_size(len(stored.body), split_array, stored.output)
    shown = await with_included(output, include, stored.owner, texts)
    start, end = stored.output_span
    separated = [part for item in shown for part in (b",", bytes(item))][1:]
    return joined([stored.body[:start], b"[", *separated, b"]", stored.body[end:]])
