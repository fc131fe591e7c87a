"""The declaration of image_generation in a request, and what of it is asked of the server of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Word = Annotated[str, Meta(min_length=1, max_length=64)]


class MaskReference(msgspec.Struct, frozen=True):
    """`input_image_mask`: a data URL, or an uploaded file."""

    image_url: str | None = None
    file_id: str | None = None


class ImageTool(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration. Sizes and qualities are those of the server of images, which says what it takes."""

    model: Word | None = None
    size: Word | None = None
    quality: Word | None = None
    background: Word | None = None
    moderation: Word | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    input_fidelity: Literal["high", "low"] | None = None
    input_image_mask: MaskReference | None = None
    action: Literal["generate", "edit", "auto"] | None = None

    def options(self, *, edit: bool) -> Mapping[str, Any]:
        """Return the fields of a request that the declaration sets."""
        names = ["size", "quality", "background", "moderation", "output_format", "output_compression"]
        if edit:
            names.append("input_fidelity")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


declaration = msgspec.json.Decoder(ImageTool)
