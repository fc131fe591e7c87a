"""ImageServer: a server that makes pictures, by `/images/generations` and `/images/edits` as OpenAI's API has them.

Its URL is the operator's. What it says is read within bounds; its words are masked before a client sees them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.config.masking import masked
from antiphon.core.json_encoding import to_json
from antiphon.core.media.file_types import kind_by_content
from antiphon.core.text.sse import SSEParser
from antiphon.errors import BackendError
from antiphon.net.http.client import HttpClient
from antiphon.net.http.response import HttpResponse
from antiphon.tools.base import ToolServerError
from antiphon.types.response import ImageTokens, PictureUsage

MOST_PICTURE = 12 << 20
"""Bytes of a picture in base64, and so of an answer of the server."""

MOST_STREAMED = 6 * MOST_PICTURE
"""Bytes of an answer that comes as a stream: pictures in the making, and the picture."""

MOST_REASON = 300
"""Characters of a refusal that are told."""

NAMES_FORMAT = ("gpt-image", "chatgpt-image")
"""Beginnings of models whose pictures always come as data: they refuse the field `response_format`."""

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in base64, and what the server says of it."""

    data: str
    fields: Mapping[str, str] = {}
    usage: PictureUsage | None = None


class Upload(msgspec.Struct, frozen=True):
    """A picture that is to be changed, or a mask: the name of its field, its media type, its bytes."""

    field: str
    kind: str
    content: bytes


class _Picture(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class _PictureTokens(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: ImageTokens = ImageTokens()


class _ImageAnswer(msgspec.Struct):
    """An answer as a whole, or an event of a stream."""

    type: str = ""
    data: list[_Picture] = []
    b64_json: str | None = None
    partial_image_index: int = 0
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None
    usage: _PictureTokens | None = None


class _ImageFault(msgspec.Struct):
    message: str = ""


class _ImageRefusal(msgspec.Struct):
    error: _ImageFault | str = ""


_answer = msgspec.json.Decoder(_ImageAnswer, strict=False)
_refusal = msgspec.json.Decoder(_ImageRefusal)

Partial = Callable[[int, str], None]
"""Takes a picture in the making: its number and its base64."""


class ImageServer:
    """One server of images. `model` is the one that is asked, `models` others that requests may name."""

    def __init__(self, client: HttpClient, model: str, models: Sequence[str], seconds: float) -> None:
        self._client = client
        self._model = model
        self._models = models
        self.seconds = seconds

    async def draw(
        self, prompt: str, wanted: str | None, options: Mapping[str, Any], uploads: Sequence[Upload], partial: Partial
    ) -> Drawn:
        """Return a picture; `uploads` are those that it is to be made of. Raises ToolServerError."""
        fields = self._fields(prompt, wanted, options)
        try:
            async with asyncio.timeout(self.seconds):
                return await self._drawn(fields, uploads, partial)
        except TimeoutError:
            raise ToolServerError(f"The image server did not answer within {self.seconds:g} seconds.") from None
        except BackendError as error:
            raise ToolServerError(f"The image server failed: {error.message}") from None

    def _fields(self, prompt: str, wanted: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
        model = wanted if wanted is not None and wanted in self._models else self._model
        fields: dict[str, Any] = {"prompt": prompt, "n": 1, **options}
        if model:
            fields["model"] = model
        if not model.startswith(NAMES_FORMAT):
            fields["response_format"] = "b64_json"
        return fields

    async def _drawn(self, fields: dict[str, Any], uploads: Sequence[Upload], partial: Partial) -> Drawn:
        """Ask; what of our own the server does not know (how a picture comes) is left out the second time."""
        ours = [name for name in ("response_format", "stream", "partial_images") if name in fields]
        while True:
            response = await self._send(fields, uploads)
            if response.status == 200:
                break
            reason = _reason(await response.read_all(1 << 20))
            unknown = [name for name in ours if name in reason]
            if response.status not in (400, 422) or not unknown:
                raise ToolServerError(
                    f"The image server answered with status {response.status}: {reason or 'no reason'}"
                )
            dropped = {"stream", "partial_images"} if set(unknown) & {"stream", "partial_images"} else set(unknown)
            ours = [name for name in ours if name not in dropped]
            fields = {name: value for name, value in fields.items() if name not in dropped}
        if response.header(b"content-type").startswith(b"text/event-stream"):
            return await _streamed(response, partial)
        return _whole(_decoded(await response.read_all(MOST_PICTURE + (1 << 20))))

    async def _send(self, fields: Mapping[str, Any], uploads: Sequence[Upload]) -> HttpResponse:
        if not uploads:
            return await self._client.send("POST", self._client.address.target("/images/generations"), to_json(fields))
        mark = f"antiphon-{secrets.token_hex(16)}"
        kind = f"multipart/form-data; boundary={mark}".encode()
        path = self._client.address.target("/images/edits")
        return await self._client.send("POST", path, _form(mark, fields, uploads), content_type=kind)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _form(mark: str, fields: Mapping[str, Any], uploads: Sequence[Upload]) -> bytes:
    """Return the body of a form. Names are ours; values are texts of their own parts, so nothing in them ends a part."""
    parts = []
    for name, value in fields.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        head = f'--{mark}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n'
        parts += [head.encode(), text.encode(errors="replace"), b"\r\n"]
    for number, upload in enumerate(uploads):
        file = f"{number}.{EXTENSIONS.get(upload.kind, 'png')}"
        head = (
            f'--{mark}\r\ncontent-disposition: form-data; name="{upload.field}"; filename="{file}"\r\n'
            f"content-type: {upload.kind}\r\n\r\n"
        )
        parts += [head.encode(), upload.content, b"\r\n"]
    return b"".join((*parts, f"--{mark}--\r\n".encode()))


def _decoded(data: bytes) -> _ImageAnswer:
    try:
        return _answer.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ToolServerError("The image server's answer is not the expected JSON.") from None


async def _streamed(response: HttpResponse, partial: Partial) -> Drawn:
    """Read a stream: pictures in the making, then the picture."""
    parser = SSEParser(MOST_PICTURE + (1 << 20))
    left = MOST_STREAMED
    try:
        while data := await response.read():
            left -= len(data)
            if left < 0:
                raise ToolServerError("The image server's answer is too large.")
            for payload in parser.feed(data):
                if payload == b"[DONE]":
                    continue
                answer = _decoded(payload)
                if answer.type.endswith(".partial_image"):
                    partial(answer.partial_image_index, _checked(answer.b64_json))
                elif answer.type.endswith(".completed"):
                    return _whole(answer)
    finally:
        response.abort()
    raise ToolServerError("The image server's answer ended early.")


def _whole(answer: _ImageAnswer) -> Drawn:
    picture = answer.data[0] if answer.data else _Picture(b64_json=answer.b64_json)
    if picture.b64_json is None and picture.url is not None:
        if not picture.url.startswith("data:"):
            raise ToolServerError("The image server gives the picture's address instead of the picture (`b64_json`).")
        picture.b64_json = picture.url.partition(",")[2]
    told = {
        "revised_prompt": picture.revised_prompt,
        **{name: getattr(answer, name) for name in ("size", "quality", "background", "output_format")},
    }
    usage = answer.usage
    counted = None
    if usage is not None:
        counted = PictureUsage(
            input_tokens=usage.input_tokens,
            input_tokens_details=usage.input_tokens_details,
            output_tokens=usage.output_tokens,
            output_tokens_details=ImageTokens(image_tokens=usage.output_tokens),
            total_tokens=usage.total_tokens or usage.input_tokens + usage.output_tokens,
        )
    data = _checked(picture.b64_json)
    fields = {name: value for name, value in told.items() if value}
    fields.setdefault("output_format", EXTENSIONS[_kind(data)])
    return Drawn(data=data, fields=fields, usage=counted)


def _checked(data: str | None) -> str:
    """Return base64 of a picture as it is. Raises ToolServerError for anything else."""
    if not data:
        raise ToolServerError("The image server's answer holds no picture.")
    if len(data) > MOST_PICTURE:
        raise ToolServerError(f"The picture has more than {MOST_PICTURE} bytes.")
    if _kind(data) not in EXTENSIONS or not data.isascii():
        raise ToolServerError("The image server's answer is no picture.")
    return data


def _kind(data: str) -> str:
    try:
        return kind_by_content(base64.b64decode(data[:64]))
    except (binascii.Error, ValueError):
        return ""


def _reason(body: bytes) -> str:
    try:
        error = _refusal.decode(body).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return masked(error if isinstance(error, str) else error.message, MOST_REASON)
