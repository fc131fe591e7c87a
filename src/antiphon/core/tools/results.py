"""What a tool that this server runs gives back: what the client sees of it, and what the model sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.citations.sources import ContainerFile, Passage, Source, SourcedText
from antiphon.core.deltas import CallKind
from antiphon.core.opaque import Opaque
from antiphon.types.response import PictureUsage

NO_FIELDS: Mapping[str, object] = {}


BuildItem = Callable[[str], tuple[str, bytes]]
"""The id that is given to an item → its id and its JSON."""


class AskedCall(msgspec.Struct, frozen=True):
    """A call that a tool of this server wants made: of the client's function, or of another tool of this server.

    `request` makes the item that asks a person for the call, where one has to agree to it.
    """

    call_id: str
    name: str
    arguments: str
    namespace: str | None = None
    kind: CallKind = "function"
    request: BuildItem | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave. `fields` are those of its item, which the client sees.

    `model_text` is what the model sees where the item does not say it; it is kept beside the item. `passages` follow it, each
    under the number that its source gets in this response: the model's answer may cite those, and may link to `files`.
    `hidden` are fields as they were before some of them were hidden from the client.
    `error` says why a call gave nothing; `code` is the word for that where clients know one, such as `max_uses_exceeded`. `told`
    is all of it as the model sees it: that is set where sources get their numbers.
    `pictures` are the token counts of pictures that it made, `used` is what it took of units that limits count, where that is
    not what was expected.
    A call that `asks` has no result yet: these calls are made first.
    """

    fields: Mapping[str, object] = {}
    model_text: str | None = None
    passages: Sequence[Passage] = ()
    files: Sequence[ContainerFile] = ()
    hidden: Mapping[str, object] = {}
    error: str | None = None
    code: str = ""
    told: SourcedText | None = None
    pictures: PictureUsage | None = None
    used: Mapping[str, float] = {}
    asks: Sequence[AskedCall] = ()


class ModelText(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model sees of an item, as it is kept beside it: a text, or beside thoughts what the backend said for itself.

    `sources` are those that the text names by their numbers. `hidden` are fields of the item, whole, of which the client was not
    shown all.
    """

    text: str
    sources: tuple[Source, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    hidden: dict[str, Raw] = {}


ModelTexts = Mapping[str, ModelText]
"""Id of an item → what the model sees of it."""


class Included(msgspec.Struct, frozen=True):
    """A field of an item that a client sees only where its request's `include` names it. `path` leads to it.

    Otherwise it is null, or with `dropped` it is not there.
    """

    name: str
    path: tuple[str, ...]
    dropped: bool = False


def shown_fields(
    fields: Mapping[str, object], hidden: Sequence[Included], include: Sequence[str]
) -> Mapping[str, object]:
    """Return the fields of an item as a client sees them."""
    for one in hidden:
        if one.name not in include:
            fields = _without(fields, one.path, one.dropped)
    return fields


def hidden_fields(fields: Mapping[str, object], shown: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields of an item that its client is not shown whole."""
    return {name: value for name, value in fields.items() if shown.get(name) is not value}


def _without(fields: Mapping[str, object], path: tuple[str, ...], dropped: bool) -> Mapping[str, object]:
    name, rest = path[0], path[1:]
    if name not in fields:
        return fields
    inner = fields[name]
    if rest:
        return {**fields, name: _without(inner, rest, dropped)} if isinstance(inner, Mapping) else fields
    if dropped:
        return {key: value for key, value in fields.items() if key != name}
    return {**fields, name: None}
