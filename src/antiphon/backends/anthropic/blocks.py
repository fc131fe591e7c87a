"""Content parts → content blocks of the Messages API, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.anthropic.cache_control import breakpoint_of
from antiphon.backends.input_parts import file_data, file_name, image_url, part_text
from antiphon.core.json_encoding import to_json
from antiphon.core.media.file_types import BINARY, LONGEST_HEAD, as_text, is_data_url, is_text, kind_of, media_type
from antiphon.core.text.pieces import from_base64, joined, text_json
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputAudio, InputFile, InputImage, Part

PDF = "application/pdf"


def text_block(text: str) -> bytes:
    """Return a block of text."""
    return b'{"type":"text","text":%b}' % text_json(text)


def text_blocks(texts: Sequence[str]) -> list[bytes]:
    """Return a block for each text; those that say nothing are left out, as the API refuses them."""
    return [text_block(text) for text in texts if text and not text.isspace()]


def texts_of(content: str | Sequence[Part]) -> list[str]:
    """Return the texts of a message; other parts are left out."""
    if isinstance(content, str):
        return [content]
    return [part_text(part) for part in content]


def content_blocks(content: str | Sequence[Part]) -> list[bytes]:
    """Return the blocks of a user message or of what a tool gave. Raises InvalidRequest for what has no block."""
    if isinstance(content, str):
        return text_blocks([content])
    blocks: list[bytes] = []
    for part in content:
        match part:
            case InputImage():
                blocks.append(_image_block(image_url(part)))
            case InputFile():
                blocks += _file(part)
            case InputAudio():
                raise InvalidRequest("This model cannot take audio.", param="input", code="unsupported_value")
            case _:
                blocks += text_blocks([part_text(part)])
        mark = getattr(part, "prompt_cache_breakpoint", None)
        if mark and blocks:
            blocks[-1] = breakpoint_of(blocks[-1], mark)
    return blocks


def _image_block(url: str) -> bytes:
    if not is_data_url(url):
        return b'{"type":"image","source":{"type":"url","url":%b}}' % text_json(url)
    return joined([b'{"type":"image","source":', _base64(kind_of(url), _data(url)), b"}"])


def _base64(kind: str, data: str) -> bytes:
    return joined([b'{"type":"base64","media_type":%b,"data":' % to_json(kind), text_json(data), b"}"])


def _data(url: str) -> str:
    """Return what stands behind the comma of a data URL."""
    return url[url.find(",", 0, LONGEST_HEAD) + 1 :]


def _file(part: InputFile) -> list[bytes]:
    """Return a file as a document or an image. Raises InvalidRequest for a kind that the API does not know."""
    data = file_data(part)
    name = file_name(part)
    if is_data_url(data):
        kind, data = kind_of(data), _data(data)
    else:
        kind = media_type(name)
        kind = PDF if kind == BINARY else kind
    if kind.startswith("image/") and kind != "image/svg+xml":
        return [joined([b'{"type":"image","source":', _base64(kind, data), b"}"])]
    title = b',"title":%b' % to_json(name) if name else b""
    if kind == PDF:
        return [joined([b'{"type":"document","source":', _base64(kind, data), title, b"}"])]
    text = _decoded(data) if is_text(kind) or kind == "image/svg+xml" else None
    if text is None:
        raise InvalidRequest(
            f"This model cannot take files of the type '{kind[:100]}'.", param="input", code="unsupported_file"
        )
    if not text or text.isspace():
        return [text_block(f"(The file {name or 'file'} is empty.)")]
    source = joined([b'{"type":"text","media_type":"text/plain","data":', text_json(text), b"}"])
    return [joined([b'{"type":"document","source":', source, title, b"}"])]


def _decoded(data: str) -> str | None:
    try:
        return as_text(from_base64(data))
    except ValueError:
        return None
