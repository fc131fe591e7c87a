"""Content of decisions: text, images by URL, and JSON that the model reads as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import nested_deeper
from antiphon.core.request.validation import decode, decode_any
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputImage, InputText, Part

DEEPEST_JSON = 32
MOST_JSON_VALUES = 10_000
LONGEST_JSON = 256 * 1024
"""Levels, values and bytes of one `input_json`."""


class _Json(msgspec.Struct, tag="input_json", tag_field="type", frozen=True):
    data: Raw


_part: msgspec.json.Decoder[InputText | InputImage | _Json] = msgspec.json.Decoder(InputText | InputImage | _Json)
_kind = msgspec.json.Decoder(dict[str, Raw])


def decode_parts(parts: Sequence[Raw], path: str) -> list[Part]:
    """Decode content parts. Raises InvalidRequest with the path of the one at fault."""
    return [_decoded(raw, f"{path}[{index}]") for index, raw in enumerate(parts)]


def _decoded(raw: Raw, path: str) -> Part:
    part = decode(_part, raw, path)
    if isinstance(part, _Json):
        return InputText(text=json_as_text(part.data, f"{path}.data"))
    if isinstance(part, InputImage):
        check_image(part, path)
    return part


def check_image(part: InputImage, path: str) -> None:
    """Refuse an image that is not named by a URL. Raises InvalidRequest."""
    if part.file_id is not UNSET and part.file_id is not None:
        raise InvalidRequest(
            "File IDs are not supported here: give the image by 'image_url'.",
            param=f"{path}.file_id",
            code="unsupported_parameter",
        )


def with_json_as_text(item: Raw, path: str) -> Raw:
    """Return an item whose parts `input_json` have become text; the very same where it has none. Raises InvalidRequest."""
    if b"input_json" not in bytes(item):
        return item
    fields = decode(_kind, item, path)
    content = fields.get("content")
    if content is None or not bytes(content).lstrip().startswith(b"["):
        return item
    parts: list[Any] = decode_any(content, f"{path}.content")
    for index, part in enumerate(parts):
        if isinstance(part, dict) and part.get("type") == "input_json":
            where = f"{path}.content[{index}].data"
            if "data" not in part:
                raise InvalidRequest(
                    f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter"
                )
            parts[index] = {"type": "input_text", "text": json_as_text(Raw(to_json(part["data"])), where)}
    return Raw(to_json({**fields, "content": parts}))


def json_as_text(data: Raw, path: str) -> str:
    """Return JSON as compact text: an object, or an array of objects. Raises InvalidRequest beyond the bounds."""
    if nested_deeper(bytes(data), DEEPEST_JSON):
        raise InvalidRequest(f"Invalid '{path}': must have at most {DEEPEST_JSON} levels.", param=path)
    value = decode_any(data, path)
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequest(
            f"Invalid value for '{path}': expected an object or an array of objects.", param=path, code="invalid_type"
        )
    if _more_values_than(MOST_JSON_VALUES, value):
        raise InvalidRequest(f"Invalid '{path}': must have at most {MOST_JSON_VALUES} values.", param=path)
    text = to_json(value)
    if len(text) > LONGEST_JSON:
        raise InvalidRequest(f"Invalid '{path}': must be at most {LONGEST_JSON} bytes.", param=path)
    return text.decode()


def _more_values_than(most: int, value: Any) -> bool:
    """Tell whether JSON has more values; containers are values, too."""
    waiting, seen = [value], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        if seen + len(waiting) > most:
            return True
    return False
