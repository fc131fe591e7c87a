"""KeptItems: items of an input as they were sent, for the next request that goes on from there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.responses.items import RequestForm, all_ids_stay, sent_alone, sent_items
from antiphon.core.json_encoding import to_json
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.types.items import Item


class KeptItems(msgspec.Struct, eq=False):
    """Items that were sent in a form. Their JSON is made when a request goes on from them: few are, of all that are sent."""

    form: RequestForm
    items: Sequence[Item]
    json: list[Raw] | None = None


def sent_input(items: Sequence[Item], form: RequestForm, encoded: EncodedTexts | None) -> Sequence[object]:
    """Return items as they are sent; those that an earlier request had as they were sent with that."""
    if encoded is None or not all_ids_stay(items, form):
        return sent_items(items, form)
    kept = encoded.sent
    if not (isinstance(kept, KeptItems) and kept.form == form and items[: len(kept.items)] == kept.items):
        encoded.sent = KeptItems(form, items)
        return sent_alone(items, form)
    known = _json(kept.items, form) if kept.json is None else kept.json
    whole = [*known, *_json(items[len(kept.items) :], form)]
    encoded.sent = KeptItems(form, items, whole)
    return whole


def _json(items: Sequence[Item], form: RequestForm) -> list[Raw]:
    return [Raw(to_json(sent)) for sent in sent_alone(items, form)]
