"""What a content part of the input holds, for any backend: its text, the URL of its image, the data of its file."""

from __future__ import annotations

from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    InputFile,
    InputImage,
    InputText,
    OutputText,
    Part,
    PlainText,
    ReasoningText,
    Refusal,
    SummaryText,
)


def part_text(part: Part) -> str:
    """Return the text of a part, "" where it has none."""
    match part:
        case InputText() | PlainText() | OutputText() | ReasoningText() | SummaryText():
            return part.text
        case Refusal():
            return part.refusal
        case _:
            return ""


def image_url(part: InputImage) -> str:
    """Return the URL of an image. Raises InvalidRequest where there is none."""
    if not isinstance(part.image_url, str) or not part.image_url:
        raise _absent("an image must have an 'image_url'")
    return part.image_url


def file_data(part: InputFile) -> str:
    """Return the data of a file, in base64 or as a data URL. Raises InvalidRequest where it has not been fetched."""
    if not isinstance(part.file_data, str):
        raise _absent("a file must have 'file_data'")
    return part.file_data


def file_name(part: InputFile) -> str:
    """Return the name of a file, "" where it has none."""
    return part.filename if isinstance(part.filename, str) else ""


def _absent(reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid 'input': {reason}.", param="input", code="missing_required_parameter")
