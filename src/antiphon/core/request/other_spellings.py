"""Items and tool choices in the spelling of chat completions → the Responses API's own.

Clients that were written for both APIs send parts of the one in messages of the other (`image_url`, `file`), an image's URL as
an object, arguments as the object that their text stands for. It is kept, echoed and sent on in this API's spelling.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode_fields
from antiphon.types.raw import OptionalRaw
from antiphon.types.tools import NestedChoice, ToolChoice

Fields = dict[str, Raw]


class _ForeignPart(msgspec.Struct):
    """What is read of a content part."""

    type: str
    image_url: OptionalRaw = None
    detail: str | None = None
    file: OptionalRaw = None


class _ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class _File(msgspec.Struct, omit_defaults=True):
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None


_part = msgspec.json.Decoder(_ForeignPart)
_parts = msgspec.json.Decoder(list[Raw])
_image_url = msgspec.json.Decoder(str | _ImageUrl)
_file = msgspec.json.Decoder(_File)


def flat_choice(choice: ToolChoice) -> ToolChoice:
    """Return a choice with the fields beside its type that chat completions nest under it, in the entries of `tools`, too."""
    nested = next(
        (one for one in (choice.function, choice.custom, choice.allowed_tools) if isinstance(one, NestedChoice)),
        NestedChoice(),
    )
    tools = choice.tools if choice.tools is not UNSET else nested.tools
    return ToolChoice(
        type=choice.type,
        name=choice.name if choice.name is not UNSET else nested.name,
        mode=choice.mode if choice.mode is not UNSET else nested.mode,
        tools=tools if tools is UNSET else [_flat_entry(entry) for entry in tools],
        server_label=choice.server_label,
        namespace=choice.namespace,
    )


def _flat_entry(entry: Fields) -> Fields:
    kind = bytes(entry.get("type", b"")).strip(b'"').decode("utf-8", "replace")
    nested = bytes(entry.get(kind, b""))
    if not nested.startswith(b"{"):
        return entry
    return {**decode_fields(nested, "tool_choice.tools"), **{name: entry[name] for name in entry if name != kind}}


def own_spelling(fields: Fields) -> Fields | None:
    """Return an item's fields in this API's spelling, None where none of them has another."""
    changed: Fields = {}
    arguments = bytes(fields.get("arguments", b""))
    if arguments.startswith(b"{"):
        changed["arguments"] = Raw(to_json(arguments.decode()))
    for name in ("content", "output"):
        value = bytes(fields.get(name, b""))
        if value.startswith(b"["):
            parts = _parts.decode(value)
            own = [_own_part(part) for part in parts]
            if any(one is not part for one, part in zip(own, parts, strict=True)):
                changed[name] = Raw(to_json(own))
    return {**fields, **changed} if changed else None


def _own_part(raw: Raw) -> Raw:
    """Return a part in this API's spelling; one that is neither stays, and is refused by whoever decodes it."""
    try:
        part = _part.decode(raw)
        respell = _SPELLINGS.get(part.type)
        return raw if respell is None else respell(part, raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return raw


def _image(part: _ForeignPart, raw: Raw) -> Raw:
    image = _image_url.decode(part.image_url if part.image_url is not None else b"null")
    url, detail = (image, None) if isinstance(image, str) else (image.url, image.detail)
    return Raw(to_json({"type": "input_image", "image_url": url, "detail": detail or part.detail or "auto"}))


def _input_image(part: _ForeignPart, raw: Raw) -> Raw:
    is_object = part.image_url is not None and bytes(part.image_url).startswith(b"{")
    return _image(part, raw) if is_object else raw


def _input_file(part: _ForeignPart, raw: Raw) -> Raw:
    file = _file.decode(part.file if part.file is not None else b"null")
    return Raw(to_json({"type": "input_file", **msgspec.to_builtins(file)}))


_SPELLINGS: dict[str, Callable[[_ForeignPart, Raw], Raw]] = {
    "image_url": _image,
    "input_image": _input_image,
    "file": _input_file,
}
