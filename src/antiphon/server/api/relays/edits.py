"""`/v1/images/edits`: a form, or JSON whose pictures are data or stored files; as JSON or as a form to backends."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.json_encoding import to_json
from antiphon.core.media.file_types import decode_base64, is_data_url, parse_data_url
from antiphon.core.media.urls import may_hold_urls
from antiphon.core.relayed_request import RelayedForm
from antiphon.core.request.validation import decode_any
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.media import Media
from antiphon.runtime.offload import by_size
from antiphon.server.api.relays.asked import AskedRelay, form_writer, plain_value
from antiphon.server.api.relays.passing import ReadAnswer, check_answer
from antiphon.server.http.multipart import Field

ENDPOINT = "/images/edits"
PICTURES = ("images", "mask")
"""Fields of JSON that name pictures: `{"image_url": …}` or `{"file_id": …}`, one or a list."""

MOST_STORED = 16
"""Pictures that are changed together."""

NO_JSON = ("multipart", "form-data", "ontent-type", "ontent-Type", "ield required", "'image'", '"image"', "`image`")
"""Words with which a server refuses JSON that would take a form."""


class ImageEdits:
    """The route's shape."""

    def check(self, asked: AskedRelay) -> None:
        """Refuse what no backend would take. Raises InvalidRequest."""
        asked.require_text("prompt")

    def forms(self, asked: AskedRelay) -> Sequence[RelayedForm]:
        """Return the request as it came; JSON, for servers that take forms only, as one too."""
        if asked.parts:
            return (asked.form(ENDPOINT),)
        if not asked.has("images"):
            return (asked.json(ENDPOINT),)
        return (replace(asked.json(ENDPOINT), not_taken=NO_JSON), _as_form(asked))

    def answer(self, asked: AskedRelay, model: str, read: ReadAnswer, *, shorten: bool = False) -> bytes:
        """Return the answer as it is. Raises BackendError 502 for a body of another kind."""
        check_answer(read.skeleton, "data")
        return read.body


async def with_stored_pictures(asked: AskedRelay, media: Media, owner: str) -> AskedRelay:
    """Return a request with its stored files as data, which is what backends take. Raises APIError."""
    fields = dict(asked.fields)
    for name in PICTURES:
        raw = fields.get(name)
        if raw is None or not may_hold_urls(raw):
            continue
        value = await by_size(len(bytes(raw)), decode_any, raw, name)
        stored = [(one, path) for one, path in _named(value, name) if isinstance(one.get("file_id"), str)]
        if len(stored) > MOST_STORED:
            raise InvalidRequest(f"At most {MOST_STORED} pictures are allowed.", param=name)
        await media.put_stored([(one, f"{path}.file_id") for one, path in stored], owner)
        size = asked.size + sum(len(one["image_url"]) for one, _ in stored)
        fields[name] = Raw(await by_size(size, to_json, value))
    return replace(asked, fields=fields)


def _named(value: Any, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the objects that name pictures, and where they stand."""
    if isinstance(value, dict):
        yield value, path
    elif isinstance(value, list):
        for index, one in enumerate(value):
            if isinstance(one, dict):
                yield one, f"{path}[{index}]"


def _as_form(asked: AskedRelay) -> RelayedForm:
    mark = f"antiphon-{secrets.token_hex(16)}"

    def write(model: str, extra: Mapping[str, Raw]) -> bytes:
        return form_writer(mark, _parts(asked))(model, extra)

    kind = f"multipart/form-data; boundary={mark}".encode()
    return RelayedForm(endpoint=ENDPOINT, write=write, content_type=kind)


def _parts(asked: AskedRelay) -> list[Field]:
    """Return the fields of JSON as parts of a form. Raises InvalidRequest for a picture that is no data."""
    parts = [
        Field(name=name, content=plain_value(value))
        for name, value in asked.fields.items()
        if name not in PICTURES and bytes(value) != b"null"
    ]
    for name, part in (("images", "image[]"), ("mask", "mask")):
        if asked.has(name):
            named = list(_named(decode_any(asked.fields[name], name), name))
            field = "image" if part == "image[]" and len(named) == 1 else part
            parts += [_picture(one, path, field, number) for number, (one, path) in enumerate(named)]
    return parts


def _picture(one: dict[str, Any], path: str, field: str, number: int) -> Field:
    url = one.get("image_url")
    param = f"{path}.image_url"
    if not isinstance(url, str) or not is_data_url(url):
        raise InvalidRequest("The model's backend takes pictures as data only.", param=param)
    kind, data = parse_data_url(url, param)
    content = decode_base64(data, param, "invalid_base64_image")
    ending = kind.rpartition("/")[2].rpartition("+")[0] or kind.rpartition("/")[2]
    return Field(name=field, content=content, filename=f"{number}.{ending}", content_type=kind)
