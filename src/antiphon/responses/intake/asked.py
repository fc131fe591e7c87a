"""Asked: a decoded request, independent of the front end that decoded it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from antiphon.core.request.item_summary import ItemSummary
from antiphon.core.request.text_format import PLAIN, ResolvedText
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.turn import NO_OPTIONS, TurnOptions
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse
from antiphon.types.tools import Tool


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded request.

    `request` holds its settings. Its `input`, `tools` and `text` are not read: `items`, `tools` and `text` are their decoded
    forms. `prompted` are items that stand before all history and are not carried over to the next response,
    `extra` are unknown fields that go to the backend as they are. `size` is the bytes that the request came in. `spell` names
    a field as the front end does, where that is not OpenAI's way (`input[2].content[0]`): what Intake, a backend or a tool
    finds wrong is told in the client's own terms. `options` are wishes that a CreateResponse has no field for, `ignored` names
    of fields that have no effect. `forgiving`: thoughts that cannot be opened and efforts that a model does not know are left
    out rather than refused, and a longest answer that exceeds the model's window is brought down to it.
    `encoded`: JSON of texts of the items, where they are remembered. `summary` is that of the items, where it was made.
    """

    request: CreateResponse
    items: list[Item]
    tools: Sequence[Tool] = ()
    text: ResolvedText = PLAIN
    extra: Mapping[str, Raw] = {}
    prompted: Sequence[Item] = ()
    size: int = 0
    spell: Callable[[str], str] | None = None
    options: TurnOptions = NO_OPTIONS
    encoded: EncodedTexts | None = None
    ignored: Sequence[str] = ()
    forgiving: bool = False
    summary: ItemSummary | None = None


class RequestDecoder(Protocol):
    """A front end's decoder: a request's body → Asked."""

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        """Decode a body that has passed `check_json`; `model` is meant where it names none.

        Raises APIError with the offending field as `param`, in the spelling of the front end.
        """
        ...
