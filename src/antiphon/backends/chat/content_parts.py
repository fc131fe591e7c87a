"""Content parts → what a chat message holds: its text, and the images, files and sounds that stand beside it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.backends.input_parts import file_data, file_name, image_url, part_text
from antiphon.core.json_encoding import to_json
from antiphon.core.media.file_types import BINARY, LONGEST_HEAD, is_text, kind_of, media_type
from antiphon.core.text.pieces import from_base64, joined, text_json, to_text
from antiphon.types.items import InputAudio, InputFile, InputImage, Part

_IMAGE = b'{"type":"image_url","image_url":'
_DETAILS = {"low": "low", "high": "high", "original": "high"}


class Content(msgspec.Struct, frozen=True):
    """A message's text, and its other parts as JSON."""

    text: str
    media: tuple[bytes, ...] = ()

    def whole(self) -> bytes:
        """Return the `content` of a user message: a string, or a list where there is more than text."""
        if not self.media:
            return text_json(self.text)
        return together((self,))

    @property
    def shown(self) -> bool:
        """Tell whether there is media, and nothing but images."""
        return bool(self.media) and all(part.startswith(_IMAGE) for part in self.media)


def together(contents: Sequence[Content]) -> bytes:
    """Return the `content` of one message that holds several: the text of each before its media."""
    if not any(one.media for one in contents):
        return text_json("\n\n".join(one.text for one in contents if one.text))
    parts: list[bytes] = []
    for one in contents:
        if one.text:
            parts += (b'{"type":"text","text":', text_json(one.text), b"}", b",")
        for media in one.media:
            parts += (media, b",")
    parts[-1] = b"]"
    return joined([b"[", *parts])


def text_of(content: str | Sequence[Part]) -> str:
    """Return the text of a message; other parts are left out."""
    if isinstance(content, str):
        return content
    return "\n".join(text for part in content if (text := part_text(part)))


def content(value: str | Sequence[Part]) -> Content:
    """Split content into text and other parts. Raises InvalidRequest for a file that has not been fetched."""
    if isinstance(value, str):
        return Content(value)
    texts: list[str] = []
    media: list[bytes] = []
    for part in value:
        match part:
            case InputImage():
                media.append(_image_url(image_url(part), _DETAILS.get(part.detail or "")))
            case InputFile():
                _file(part, texts, media)
            case InputAudio():
                media.append(b'{"type":"input_audio","input_audio":%b}' % to_json(part.input_audio))
            case _:
                text = part_text(part)
                if text:
                    texts.append(text)
    return Content("\n".join(texts), tuple(media))


def _image_url(url: str, detail: str | None) -> bytes:
    shown = b',"detail":%b' % to_json(detail) if detail else b""
    return b'%b{"url":%b%b}}' % (_IMAGE, text_json(url), shown)


def _file(part: InputFile, texts: list[str], media: list[bytes]) -> None:
    """Text files become text, which every model reads; images become images; the rest stays a file."""
    url = file_data(part)
    name = file_name(part) or "file"
    if not url.startswith("data:"):
        kind = media_type(name)
        url = f"data:{'application/pdf' if kind == BINARY else kind};base64,{url}"
    head, _, _ = url[:LONGEST_HEAD].partition(",")
    data = url[len(head) + 1 :]
    kind = kind_of(url)
    text = _decoded(data) if is_text(kind) and head.endswith(";base64") else None
    if text is not None:
        texts.append(f"File {name}:\n{text}")
    elif kind.startswith("image/"):
        media.append(_image_url(url, None))
    else:
        media.append(
            b'{"type":"file","file":{"filename":%b,"file_data":%b}}' % (to_json(name), text_json(url)),
        )


def _decoded(data: str) -> str | None:
    try:
        return to_text(from_base64(data), "utf-8")
    except ValueError:
        return None
