"""What a model cannot do is refused before it is asked (contract, "Request fields")."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.base import Capabilities
from antiphon.core.text_format import ResolvedText
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputAudio,
    InputFile,
    InputImage,
    Item,
    Message,
)
from antiphon.types.request import CreateResponse
from antiphon.types.tools import Tool


def check_capabilities(
    can: Capabilities, request: CreateResponse, tools: Sequence[Tool], text: ResolvedText, items: Sequence[Item]
) -> None:
    """Refuse what the model cannot do, before anything streams (contract, "Request fields")."""
    _check_media_count(items)
    model = request.model
    if not can.responses:
        raise InvalidRequest(
            f"The model '{model}' cannot be called through the Responses API.", param="model", code="unsupported_model"
        )
    if tools and not can.functions:
        raise _unsupported(model, "tools", "call tools")
    if text.format.type == "json_schema" and not can.structured_outputs:
        raise _unsupported(model, "text.format", "follow a JSON Schema")
    if not can.reasoning and request.reasoning and request.reasoning.effort not in (None, "none"):
        raise _unsupported(model, "reasoning.effort", "think before it answers")
    if not (can.images and can.audio):
        _check_media(can, model, items)


MOST_MEDIA = 2_000
"""Images, files and pieces of audio in one request: each is looked at, and perhaps fetched."""


def _check_media_count(items: Sequence[Item]) -> None:
    found = 0
    for place, item in enumerate(items):
        for name, parts in _part_lists(item):
            found += sum([type(part) in _MEDIA for part in parts])
            if found > MOST_MEDIA:
                raise InvalidRequest(
                    f"A request has at most {MOST_MEDIA} images and files.", param=f"input[{place}].{name}"
                )


_MEDIA = frozenset((InputImage, InputFile, InputAudio))


def _check_media(can: Capabilities, model: str, items: Sequence[Item]) -> None:
    for place, item in enumerate(items):
        for name, parts in _part_lists(item):
            for at, part in enumerate(parts):
                where = f"input[{place}].{name}[{at}]"
                if isinstance(part, InputImage) and not can.images:
                    raise _unsupported(model, where, "take images")
                if isinstance(part, InputAudio) and not can.audio:
                    raise _unsupported(model, where, "take audio")


_OUTPUTS = (FunctionCallOutput, CustomToolCallOutput)


def _part_lists(item: Item) -> list[tuple[str, Sequence[object]]]:
    if isinstance(item, Message) and not isinstance(item.content, str):
        return [("content", item.content)]
    if isinstance(item, _OUTPUTS) and not isinstance(item.output, str):
        return [("output", item.output)]
    return []


def _unsupported(model: str, param: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"The model '{model}' cannot {what}.", param=param, code="unsupported_parameter")
