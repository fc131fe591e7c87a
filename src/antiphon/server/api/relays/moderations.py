"""`/v1/moderations`: inputs → verdicts, in OpenAI's shape, whichever way the model judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from antiphon.access.caller import Caller
from antiphon.access.limits import Admission, Demand
from antiphon.core.media.urls import UrlSlot
from antiphon.core.request.validation import decode, invalid
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.media import Media
from antiphon.responses.moderation.base import MOST_INPUTS, ModeratedInput, ModerationVerdicts
from antiphon.responses.moderation.moderators import Moderators
from antiphon.runtime.offload import by_size
from antiphon.server.api.relays.asked import BYTES_PER_TOKEN
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.telemetry.request_record import calls_model, uses_tokens
from antiphon.types.request import ModelName


class _PictureUrl(msgspec.Struct):
    url: str


class ModeratedPart(msgspec.Struct, frozen=True):
    """A part of an input that has pictures."""

    type: str
    text: str = ""
    image_url: _PictureUrl | None = None


class ModerationRequest(msgspec.Struct, frozen=True):
    """A request. `input`: a text, several texts, or the parts of one input. Without a `model` the operator's is asked."""

    input: str | list[str | ModeratedPart]
    model: ModelName | None = None


_request = msgspec.json.Decoder(ModerationRequest)


class Moderations:
    """The handler."""

    def __init__(
        self, moderators: Moderators, media: Media, limiter: Admission, new_id_base: Callable[[], str]
    ) -> None:
        self._moderators = moderators
        self._media = media
        self._limiter = limiter
        self._new_id_base = new_id_base

    async def create(self, request: Request) -> Reply:
        """POST /v1/moderations: verdicts on texts and pictures, with a score for each category."""
        body = await request.body()
        self._limiter.check(request.caller)
        asked = await by_size(len(body), decode, _request, body)
        inputs = _inputs(asked.input)
        moderator = self._moderators.of(asked.model, request.caller)
        calls_model(moderator.card.id)
        request.cancel_on_disconnect()
        inputs = await self._with_media(inputs, request.caller)
        permit = await self._limiter.admit(
            request.caller, moderator.card, lambda: Demand(len(body) // BYTES_PER_TOKEN, 1)
        )
        try:
            judged = await moderator.moderate(inputs, request_hints(request))
        except BaseException:
            permit.settle(None)
            raise
        uses_tokens(judged.usage)
        permit.settle(judged.usage, 1)
        answer = _answer(f"modr-{self._new_id_base()}", asked.model or moderator.card.id, judged)
        return json_reply(answer, headers=permit.headers)

    async def _with_media(self, inputs: list[ModeratedInput], caller: Caller) -> list[ModeratedInput]:
        """Return the inputs with their pictures as data: neither a backend nor a model fetches what a client names."""
        found = []
        for one in inputs:
            holder: list[Any] = list(one.images)
            slots = [UrlSlot(holder, index, "image_url", f"input[{index}]") for index in range(len(holder))]
            if slots:
                await self._media.admit_slots(slots, caller.owner, inline=True, path="input")
            found.append(ModeratedInput(one.text, tuple(holder)))
        return found


def _inputs(value: str | list[str | ModeratedPart]) -> list[ModeratedInput]:
    """Return what is to be judged: one input for each text, or one of all parts. Raises InvalidRequest."""
    entries: list[str | ModeratedPart] = [value] if isinstance(value, str) else value
    if not 1 <= len(entries) <= MOST_INPUTS:
        raise InvalidRequest(f"'input' has {len(entries)} entries; 1 to {MOST_INPUTS} are allowed.", param="input")
    texts = [entry for entry in entries if isinstance(entry, str)]
    if len(texts) == len(entries):
        return [ModeratedInput(text) for text in texts]
    if texts:
        raise invalid("Expected `array` of texts or of parts, got both - at `$.input`")
    parts = [entry for entry in entries if isinstance(entry, ModeratedPart)]
    for index, part in enumerate(parts):
        if part.type not in ("text", "image_url") or (part.type == "image_url" and part.image_url is None):
            raise InvalidRequest(
                f"'input[{index}]' must be a part of the type text, or of the type image_url with its URL.",
                param=f"input[{index}]",
            )
    images = [part.image_url.url for part in parts if part.type == "image_url" and part.image_url is not None]
    text = "\n".join(part.text for part in parts if part.type == "text")
    return [ModeratedInput(text, tuple(images))]


def _answer(id: str, model: str, judged: ModerationVerdicts) -> dict[str, Any]:
    results = [
        {
            "flagged": verdict.flagged,
            "categories": verdict.categories,
            "category_scores": verdict.scores,
            "category_applied_input_types": verdict.applied,
        }
        for verdict in judged.verdicts
    ]
    answer: dict[str, Any] = {"id": id, "model": model, "results": results}
    if judged.usage is not None:
        counts = judged.usage
        answer["usage"] = {"input_tokens": counts.input_tokens, "output_tokens": counts.output_tokens}
        answer["usage"]["total_tokens"] = counts.input_tokens + counts.output_tokens
    return answer
