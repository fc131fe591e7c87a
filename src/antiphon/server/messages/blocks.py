"""Content blocks of the Messages API → parts of our items."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Literal, get_args

import msgspec
from msgspec import Raw

from antiphon.core.request.validation import decode
from antiphon.core.text.pieces import from_base64
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputFile, InputImage, InputText, Part
from antiphon.types.raw import LONG, JsonText, OptionalRaw, settle_nulls

IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))


class MediaSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where an image or a document is."""

    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    content: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, content=self.content)


class BlockFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of all blocks; which of them count says the type. Those of any shape may be null: see `not_null`."""

    type: str
    text: str = ""
    source: OptionalRaw = None
    title: str | None = None
    context: str | None = None
    id: str = ""
    name: str = ""
    input: OptionalRaw = None
    tool_use_id: str = ""
    tool_name: str = ""
    content: OptionalRaw = None
    is_error: bool | None = None
    thinking: str = ""
    signature: str | None = None
    data: str = ""
    tool: OptionalRaw = None
    server_name: str = ""
    mcp_server_name: str = ""
    tools: OptionalRaw = None
    citations: OptionalRaw = None
    encrypted_content: str | None = None


UsualType = Literal[
    "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "tool_reference",
    "compaction", "tool_addition", "tool_removal", "server_tool_use", "mcp_tool_use", "mcp_tool_result",
    "mcp_tool_listing", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
    "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
]  # fmt: skip


class UsualBlock(BlockFields, frozen=True, kw_only=True):
    """A block of a type whose fields are all read, so that it can be decoded together with what stands around it."""

    type: UsualType
    cache_control: OptionalRaw = None


class _Search(msgspec.Struct, frozen=True, kw_only=True):
    source: str = ""
    title: str = ""
    content: list[Raw] = []


class _TypeOnly(msgspec.Struct, frozen=True):
    type: str


_type = msgspec.json.Decoder(_TypeOnly)
_block = msgspec.json.Decoder(BlockFields)
_source = msgspec.json.Decoder(MediaSource)
_search = msgspec.json.Decoder(_Search)
_list: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)

Ignore = Callable[[str], None]

KNOWN = frozenset((*get_args(UsualType), "search_result"))


def not_null(field: Raw | None) -> Raw | None:
    """Return a field of any shape, None where it is null."""
    return None if field is not None and len(field) == 4 and bytes(field) == b"null" else field


def block_of(raw: Raw, path: str) -> BlockFields:
    """Decode a block; of a type that is not known its type alone. Raises InvalidRequest."""
    kind = decode(_type, raw, path).type
    if kind == "search_result":
        return BlockFields(type=kind, text=_search_text(raw, path))
    return decode(_block, raw, path) if kind in KNOWN else BlockFields(type=kind)


_QUOTE = ord('"')


def blocks_of(content: Raw, path: str) -> list[BlockFields]:
    """Decode content: a string is one block of text. Raises InvalidRequest."""
    if bytes(content).lstrip()[:1] == b'"':
        return [BlockFields(type="text", text=decode(_text, content, path))]
    raws: list[Raw] = decode(_list, content, path)
    return [block_of(raw, f"{path}[{index}]") for index, raw in enumerate(raws)]


def parts_of(block: BlockFields, path: str) -> list[Part] | None:
    """Return what a user's block holds, None for a type that has no such form. Raises InvalidRequest."""
    match block.type:
        case "text" | "search_result":
            return [InputText(text=block.text)] if block.text else []
        case "image":
            return [_image(_source_of(block, path), f"{path}.source")]
        case "document":
            return _document(block, _source_of(block, path), f"{path}.source")
        case "tool_reference":
            return [InputText(text=f"The tool {block.tool_name} is available now.")]
    return None


def _source_of(block: BlockFields, path: str) -> MediaSource:
    source = not_null(block.source)
    if source is None:
        raise InvalidRequest("Field required", param=f"{path}.source", code="missing_required_parameter")
    return decode(_source, source, f"{path}.source")


def _image(source: MediaSource, path: str) -> InputImage:
    match source.type:
        case "base64":
            if source.media_type not in IMAGES:
                raise InvalidRequest(f"must be one of {', '.join(sorted(IMAGES))}", param=f"{path}.media_type")
            return InputImage(image_url=f"data:{source.media_type};base64,{_checked(source.data, path)}")
        case "url":
            return InputImage(image_url=source.url)
        case "file":
            return InputImage(file_id=source.file_id)
    raise InvalidRequest("must be 'base64', 'url' or 'file'", param=f"{path}.type")


def picture_of(block: BlockFields, path: str) -> str | None:
    """Return a picture of the assistant's (base64), None for one that is elsewhere. Raises InvalidRequest."""
    source = _source_of(block, path)
    return _checked(source.data, f"{path}.source") if source.type == "base64" and source.data else None


def _document(block: BlockFields, source: MediaSource, path: str) -> list[Part]:
    heads = [text for text in (block.title, block.context) if text]
    head: list[Part] = [InputText(text="\n".join(heads))] if heads else []
    name = block.title or "document"
    match source.type:
        case "text":
            return [InputText(text="\n".join([*heads, source.data]))]
        case "content":
            inner = blocks_of(source.content or Raw(b"[]"), f"{path}.content")
            return [*head, *(part for one in inner for part in parts_of(one, path) or ())]
        case "base64":
            data = _checked(source.data, path)
            kind = source.media_type or "application/pdf"
            return [*head, InputFile(filename=_file_name(name, kind), file_data=f"data:{kind};base64,{data}")]
        case "url":
            return [*head, InputFile(filename=_file_name(name, "application/pdf"), file_url=source.url)]
        case "file":
            return [*head, InputFile(file_id=source.file_id)]
    raise InvalidRequest("must be 'base64', 'text', 'content', 'url' or 'file'", param=f"{path}.type")


def _file_name(name: str, kind: str) -> str:
    suffix = ".pdf" if kind == "application/pdf" else ".txt"
    return name if name.endswith(suffix) else name + suffix


def _checked(data: str, path: str) -> str:
    try:
        from_base64(data)
    except (ValueError, binascii.Error):
        raise InvalidRequest("must be valid base64", param=f"{path}.data") from None
    return data


def _search_text(raw: Raw, path: str) -> str:
    found = decode(_search, raw, path)
    texts = [block_of(one, f"{path}.content[{index}]").text for index, one in enumerate(found.content)]
    return "\n".join(text for text in (found.title, found.source, *texts) if text)


def result_of(block: BlockFields, path: str, refer: Ignore) -> str | JsonText | list[Part]:
    """Return a tool's result; `refer` is told the tools that it makes known. Raises InvalidRequest."""
    content = not_null(block.content)
    if content is not None and len(content) >= LONG and memoryview(content)[0] == _QUOTE and not block.is_error:
        return JsonText(content)
    inner = blocks_of(content, f"{path}.content") if content is not None else []
    parts: list[Part] = [InputText(text="Error:")] if block.is_error else []
    for index, one in enumerate(inner):
        if one.type == "tool_reference":
            refer(one.tool_name)
        found = parts_of(one, f"{path}.content[{index}]")
        parts += found if found is not None else [InputText(text=f"[{one.type}]")]
    if all(isinstance(part, InputText) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, InputText))
    return parts


def arguments_of(block: BlockFields) -> str:
    """Return a call's arguments as they came: their order is the backend's, whose cache has it."""
    input = not_null(block.input)
    if input is None:
        return "{}"
    data = bytes(input)
    return (msgspec.json.format(data, indent=-1) if b"\n" in data else data).decode()
