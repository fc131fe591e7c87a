"""Content of MCP results: as the text of an `mcp_call` item, and as the parts that a model sees.

An item holds one text. Texts of a result stand in it as they are; everything else is a line of JSON that begins with its
type. A model is shown the item: such lines are found again, and become what `_SHOWN` says. So a result that was kept, sent
back by a client or taken over by another server looks the same to the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.media.file_types import LONGEST_HEAD, as_text, is_text, kind_by_content
from antiphon.core.text.pieces import from_base64
from antiphon.types.items import AudioData, InputAudio, InputImage, InputText, Part

MOST_SHOWN = 4096
"""Lines of one text that are looked at as parts; further ones stay text."""
COMPARED = 64 * 1024
"""Bytes of `structuredContent` up to which it is compared with the texts by its values, not by its spelling alone."""

FAULTS = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What reading something from outside may raise."""

_PART = re.compile(r'^\{"type":"(?:image|audio|resource)",[^\n]*$', re.MULTILINE)
_HEAD = 64  # characters of base64 from which a kind of file is told
_SOUNDS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_PICTURES = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp"))


class _Resource(msgspec.Struct, rename="camel", frozen=True):
    uri: str = ""
    mime_type: str | None = None
    text: str | None = None
    blob: str | None = None


class _Shown(msgspec.Struct, rename="camel"):
    type: str
    data: str = ""
    mime_type: str = ""
    resource: _Resource = _Resource()


class _Any(msgspec.Struct):
    type: str = ""
    text: str | int | float | None = None

    @property
    def is_text(self) -> bool:
        """Tell whether it is a text; one with nothing but a text is, too."""
        return self.type == "text" or (not self.type and self.text is not None)


_shown = msgspec.json.Decoder(_Shown)
_part = msgspec.json.Decoder(_Any | str)
_fields = msgspec.json.Decoder(dict[str, Raw])
_object = msgspec.json.Decoder()


# Result → item


def item_text(content: Sequence[Raw], structured: Raw) -> str:
    """Return the text of a result's item: its parts, and `structuredContent` where no text says it. Raises `FAULTS`."""
    pieces: list[str] = []
    texts: list[str] = []
    for part in content:
        found = _part.decode(part)
        if isinstance(found, str) or found.is_text:
            texts.append(_text_of(found))
            pieces.append(texts[-1])
        elif not found.type:
            raise msgspec.ValidationError("a part has no type")
        else:
            pieces.append(_line(part, found.type))
    if bytes(structured) != b"null" and not _says(texts, structured):
        pieces.append(msgspec.json.format(bytes(structured), indent=-1).decode())
    return "\n".join(pieces)


def _text_of(part: _Any | str) -> str:
    text = part if isinstance(part, str) else part.text
    return "" if text is None else str(text)


def _line(part: Raw, type: str) -> str:
    """Return a part as one line of JSON that begins with its type."""
    line = msgspec.json.format(bytes(part), indent=-1)
    if not line.startswith(b'{"type":'):
        line = to_json({"type": type, **{name: raw for name, raw in _fields.decode(line).items() if name != "type"}})
    return line.decode()


def _says(texts: Sequence[str], structured: Raw) -> bool:
    """Tell whether the texts hold the same as a structured result, as the specification asks of servers.

    Python's SDK puts what is no object into `{"result": …}`, and an element of a list into a text each.
    """
    if not texts:
        return False
    spelt = msgspec.json.format(bytes(structured), indent=-1)
    if any(_spelt(text) == spelt for text in texts):
        return True
    if len(spelt) > COMPARED or sum(map(len, texts)) > 4 * COMPARED:
        return False
    value = _object.decode(spelt)
    told = [*map(_value, texts), [_value(text) for text in texts], *texts, list(texts)]
    inner = [value["result"]] if isinstance(value, dict) and value.keys() == {"result"} else []
    return any(one == said for one in (value, *inner) for said in told)


def _spelt(text: str) -> bytes:
    try:
        return msgspec.json.format(text.encode(), indent=-1) if text.lstrip()[:1] in ("{", "[") else b""
    except FAULTS:
        return b""


def _value(text: str) -> object:
    try:
        found: object = _object.decode(text)
    except FAULTS:
        return text
    return found


# Item → model


def shown_to_model(text: str) -> str | list[Part]:
    """Return what a model sees of an item's text: the text itself where it holds nothing but text."""
    if '{"type":"' not in text:
        return text
    parts: list[Part] = []
    end = 0
    for match in islice(_PART.finditer(text), MOST_SHOWN):
        shown = _as_shown(match[0])
        if shown is not None:
            parts += (*_between(text[end : match.start()]), shown)
            end = match.end()
    if not parts:
        return text
    return [*parts, *_between(text[end:])]


def _between(text: str) -> Iterator[Part]:
    text = text.strip("\n")
    if text:
        yield InputText(text=text)


def _as_shown(line: str) -> Part | None:
    """Return what is shown instead of a line; None where it is no such part after all."""
    try:
        part = _shown.decode(line)
    except FAULTS:
        return None
    return _SHOWN[part.type](part)


def _image(part: _Shown) -> Part:
    return _picture(part.data, part.mime_type) or InputText(text=_note("An image", part.mime_type, part.data))


def _audio(part: _Shown) -> Part:
    format, data = _SOUNDS.get(part.mime_type.partition(";")[0].strip().lower()), _base64(part.data)
    if format is None or not data:
        return InputText(text=_note("A sound", part.mime_type, part.data))
    return InputAudio(input_audio=AudioData(data=data, format=format))


def _resource(part: _Shown) -> Part:
    """Show a text as text and a picture as picture, wherever it comes from."""
    resource = part.resource
    kind, blob = resource.mime_type or "", resource.blob or ""
    if resource.text is not None:
        return InputText(text=f"{resource.uri}:\n{resource.text}")
    if is_text(kind.partition(";")[0].strip().lower()) and (data := _base64(blob)):
        text = as_text(from_base64(data))
        if text is not None:
            return InputText(text=f"{resource.uri}:\n{text}")
    return _picture(blob, kind) or InputText(text=_note(f"The resource {resource.uri}", kind, blob))


_SHOWN: dict[str, Callable[[_Shown], Part]] = {"image": _image, "audio": _audio, "resource": _resource}
"""Type of a part → what a model sees of it. Texts stand as they are; links and unknown parts as their JSON."""


def _picture(data: str, kind: str) -> InputImage | None:
    """Return an image of a kind that models read; its first bytes tell the kind, as servers are often wrong about it."""
    data = _base64(data)
    if not data:
        return None
    kind = kind_by_content(from_base64(data[:_HEAD]))
    return InputImage(image_url=f"data:{kind};base64,{data}") if kind in _PICTURES else None


def _base64(data: str) -> str:
    """Return base64 without blanks, and without the head of a data URL; "" where it is none."""
    if data.startswith("data:"):
        data = data[data.find(",", 0, LONGEST_HEAD) + 1 :]
    data = "".join(data.split())
    try:
        from_base64(data)
    except ValueError:
        return ""
    return data


def _note(what: str, kind: str, data: str) -> str:
    about = f", {kind[:100]}" if kind.isprintable() and kind else ""
    return f"[{what}{about}, {len(data) * 3 // 4} bytes: it cannot be shown to a model.]"


# Models that do not take everything


class Senses(msgspec.Struct, frozen=True):
    """What a model takes beside text."""

    images: bool = True
    audio: bool = True


ALL = Senses()


def for_senses(parts: str | Sequence[Part], senses: Senses) -> str | Sequence[Part]:
    """Return parts with a note instead of what a model does not take."""
    if isinstance(parts, str) or (senses.images and senses.audio):
        return parts
    return [_for_senses(part, senses) for part in parts]


def _for_senses(part: Part, senses: Senses) -> Part:
    match part:
        case InputImage(image_url=str() as url) if not senses.images:
            return InputText(text=f"[An image, {len(url) * 3 // 4} bytes: this model takes no images.]")
        case InputAudio() if not senses.audio:
            size = len(part.input_audio.data) * 3 // 4
            return InputText(text=f"[A sound, {part.input_audio.format}, {size} bytes: this model takes no audio.]")
        case _:
            return part
