"""What a tool that this server runs gives back: what the client sees of it, and what the model sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.opaque import Opaque


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave. `fields` are those of its item, which the client sees.

    `model_text` is what the model sees where the item does not say it; it is kept beside the item. `annotations` are the
    sources in it that a later text may cite, each a JSON object; they are kept with it. `error` says why a call gave nothing.
    """

    fields: Mapping[str, object] = {}
    model_text: str | None = None
    annotations: Sequence[Raw] = ()
    error: str | None = None


class ModelText(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model sees of an item, as it is kept beside it: a text, or beside thoughts what the backend said for itself."""

    text: str
    annotations: tuple[Raw, ...] = ()
    opaque: tuple[Opaque, ...] = ()


ModelTexts = Mapping[str, ModelText]
"""Id of an item → what the model sees of it."""
