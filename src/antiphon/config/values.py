"""One value of a source → the type that its setting wants."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Raw

from antiphon.config.shapes import bare_type

_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def convert(value: Any, annotation: Any, *, text: bool) -> Any:
    """Return the value as the annotation wants it; with `text`, strings stand for numbers, switches and lists.

    Raises ValueError with a message that never holds the value of a secret.
    """
    bare = bare_type(annotation)
    if bare == dict[str, Raw]:
        return _raws(_pairs(value) if text and isinstance(value, str) else value)
    if text and isinstance(value, str):
        value = _from_text(value, bare)
    try:
        return msgspec.convert(value, annotation, strict=not text)
    except msgspec.ValidationError as error:
        raise ValueError(_message(str(error), bare)) from None


def _from_text(text: str, bare: Any) -> Any:
    if get_origin(bare) is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    if get_origin(bare) is dict:
        return _pairs(text)
    return _WORDS.get(text.lower(), text) if bare is bool else text


def _pairs(text: str) -> dict[str, str]:
    """Read `name=value,name=value`."""
    pairs = (item.partition("=") for item in text.split(",") if item.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _raws(value: Any) -> dict[str, Raw]:
    if not isinstance(value, dict):
        raise ValueError("expected a table")
    return {str(name): Raw(msgspec.json.encode(item)) for name, item in value.items()}


def _message(text: str, bare: Any) -> str:
    text = text.replace("`", "").replace(" - at $", " at ")
    if get_origin(bare) is Literal:
        return f"expected one of {', '.join(get_args(bare))}"
    listed = bare_type(get_args(bare)[0]) if get_origin(bare) is list else None
    if get_origin(listed) is Literal and text.startswith("Invalid enum value"):
        return f"{text[0].lower()}{text[1:]}; expected some of {', '.join(get_args(listed))}"
    return text[0].lower() + text[1:]
