"""Checks a request against the model's Capabilities (contract, "Request fields")."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.base import Capabilities
from antiphon.core.context import content_of
from antiphon.core.kinds import UNTOLD
from antiphon.core.request.item_summary import MEDIA, ItemSummary, summary_of
from antiphon.core.request.text_format import ResolvedText
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.asked import Asked
from antiphon.types.items import InputAudio, InputImage, Item, Message, OtherItem
from antiphon.types.request import CreateResponse
from antiphon.types.tools import Tool

EFFORT = "reasoning.effort"


def checked(can: Capabilities, asked: Asked, own: list[Item], strict: bool) -> ItemSummary:
    """Refuse what the model cannot do; return the summary of the request's `own` items. Raises InvalidRequest."""
    summary = asked.summary if own is asked.items and asked.summary is not None else summary_of(own)
    seen, media = own, summary.media
    if asked.prompted:
        seen, media = [*own, *asked.prompted], summary.with_more(asked.prompted, len(own)).media
    check_capabilities(can, asked.request, asked.tools, asked.text, seen, media, strict)
    return summary


def check_capabilities(
    can: Capabilities,
    request: CreateResponse,
    tools: Sequence[Tool],
    text: ResolvedText,
    items: Sequence[Item],
    media: Sequence[int],
    strict: bool,
) -> None:
    """Refuse what the model cannot do, before anything streams (contract, "Request fields").

    `media` are the indexes of the items that hold some. An effort is a hint, which a model without reasoning does not get;
    `strict`: it is refused, too.
    """
    if media:
        _check_number(items, media)
    model = request.model
    if not can.responses:
        raise InvalidRequest(
            f"The model '{model}' cannot be called through the Responses API.", param="model", code="unsupported_model"
        )
    if tools and not can.functions:
        raise _unsupported(model, "tools", "tools")
    if text.format.type == "json_schema" and not can.structured_outputs:
        raise _unsupported(model, "text.format", "JSON Schemas")
    if strict and not can.reasoning and wants_effort(request):
        raise _unsupported(model, EFFORT, "reasoning")
    if media and not (can.images and can.audio):
        _check_media(can, model, items, media)


def wants_effort(request: CreateResponse) -> bool:
    """Tell whether a request asks for reasoning."""
    return request.reasoning is not None and request.reasoning.effort not in (None, "none")


def beyond_chat(request: CreateResponse) -> Sequence[str]:
    """Return the fields of a request that only a backend which speaks Responses itself can follow."""
    found: list[str] = []
    if request.multi_agent is not None or request.access_programs is not None or request.image is not None:
        found = [name for name in ("multi_agent", "access_programs", "image") if getattr(request, name) is not None]
    if request.reasoning is not None and (request.reasoning.context or request.reasoning.mode):
        found += [f"reasoning.{name}" for name in ("context", "mode") if getattr(request.reasoning, name)]
    return found


def untold(items: Sequence[Item]) -> Sequence[str]:
    """Return the types of items that only a backend which speaks Responses itself can read; opened seals are not among them."""
    if OtherItem not in set(map(type, items)):
        return ()
    types = dict.fromkeys(item.type for item in items if type(item) is OtherItem)
    return [found for found in types if found in UNTOLD]


MOST_MEDIA = 2_000
"""Images, files and pieces of audio in one request: each is looked at, and perhaps fetched."""


def _check_number(items: Sequence[Item], holders: Sequence[int]) -> None:
    """Raise InvalidRequest where items hold too many media together."""
    found = 0
    for index in holders:
        found += sum([type(part) in MEDIA for part in content_of(items[index])])  # type: ignore[union-attr]  # no text
        if found > MOST_MEDIA:
            raise InvalidRequest(
                f"Too many images and files: at most {MOST_MEDIA} are allowed per request.",
                param=f"input[{index}].{_field(items[index])}",
            )


def _check_media(can: Capabilities, model: str, items: Sequence[Item], holders: Sequence[int]) -> None:
    for index in holders:
        item = items[index]
        name = _field(item)
        for at, part in enumerate(content_of(item)):  # type: ignore[arg-type]  # it holds media, so it is no text
            where = f"input[{index}].{name}[{at}]"
            if isinstance(part, InputImage) and not can.images:
                raise _unsupported(model, where, "images")
            if isinstance(part, InputAudio) and not can.audio:
                raise _unsupported(model, where, "audio")


def _field(item: Item) -> str:
    return "content" if isinstance(item, Message) else "output"


def _unsupported(model: str, param: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"The model '{model}' does not support {what}.", param=param, code="unsupported_parameter")
