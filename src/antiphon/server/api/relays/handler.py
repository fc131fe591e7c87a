"""The one handler of all relayed routes: a request is read, admitted, passed on, and its answer checked, counted, handed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.access.caller import resolve
from antiphon.access.limits import Admission, Permit
from antiphon.access.tool_limits import Taken, ToolAdmission, rights_of
from antiphon.backends.base import Route, Router, whole_body
from antiphon.core.json_encoding import to_json
from antiphon.core.media.urls import BARE, UrlSlot, may_hold_urls, url_slots
from antiphon.core.model_types import EMBEDDING, RERANK, SPEECH, TEXT_GENERATION, TRANSCRIPTION
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.request.json_text import MOST_VALUES
from antiphon.core.request.validation import decode_any, missing
from antiphon.errors import InvalidRequest
from antiphon.responses.guards.guards import NO_GUARDS, Guards
from antiphon.responses.intake.abilities import MOST_MEDIA
from antiphon.responses.intake.media import Media
from antiphon.runtime.offload import by_size
from antiphon.server.api.relayed import content_type, kept_headers, pass_on
from antiphon.server.api.relays.asked import MOST_PICTURES, AskedRelay, read_json, read_relayed_form
from antiphon.server.api.relays.edits import with_stored_pictures
from antiphon.server.api.relays.passing import EVENTS, JSON, PassingAnswer, read_answer, wrong_answer
from antiphon.server.api.relays.table import RelayedRoute
from antiphon.server.api.relays.usage import seconds_in_body, usage_in_body
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import ClientGone, Handler, Header, Reply, Request
from antiphon.telemetry.request_record import calls_model, uses_tokens, uses_units
from antiphon.types.response import Usage

WORDLESS = frozenset((EMBEDDING, RERANK))
"""Types of models whose answers have no tokens."""


class RelayHandlers:
    """Makes a handler of each row. `most_form`: bytes of a form; `default_models`: by type, for requests that name none."""

    def __init__(
        self,
        router: Router,
        media: Media,
        limiter: Admission,
        meters: ToolAdmission,
        *,
        most_form: int,
        default_models: Callable[[], Mapping[str, str]],
        guards: Guards = NO_GUARDS,
    ) -> None:
        self._router = router
        self._media = media
        self._limiter = limiter
        self._meters = meters
        self._most_form = most_form
        self._default_models = default_models
        self._guards = guards

    def of(self, row: RelayedRoute) -> Handler:
        """Return the handler of a route."""

        async def handler(request: Request) -> Reply | None:
            return await self._handle(row, request)

        handler.__doc__ = row.summary  # for the API's document
        return handler

    async def _handle(self, row: RelayedRoute, request: Request) -> Reply | None:
        self._limiter.check(request.caller)
        asked = await self._read(row, request)
        await by_size(asked.size, row.shape.check, asked)
        route = resolve(self._router, self._model(row, asked, request), request.caller)
        if row.type == TEXT_GENERATION and self._guards.apply(route.card, request.owner):
            raise _not_guarded(row)
        calls_model(route.card.id)
        request.cancel_on_disconnect()
        if row.takes == "either":
            asked = await with_stored_pictures(asked, self._media, request.owner)
        asked = _with_defaults(await self._with_media(asked, request, route), row, route)
        relayed = RelayedRequest(
            route=f"/v1{row.path}",
            operation=row.operation,
            forms=row.shape.forms(asked),
            size=asked.weight,
            key=_key(asked),
        )
        most = 1 if row.type in WORDLESS else None
        permit = await self._limiter.admit(request.caller, route.card, lambda: asked.demand(most))
        taken: Taken | None = None
        try:
            taken = await self._pictures(row, asked, request, route)
            answer = PassingAnswer(await route.relay(relayed, request_hints(request)))
        except BaseException:
            permit.settle(None)
            if taken is not None:
                taken.settle({"images": 0}, 0)
            raise
        try:
            return await self._answer(row, asked, route, request, answer, permit)
        finally:
            answer.abort()
            permit.settle(None, max(answer.pieces, 1))

    async def _read(self, row: RelayedRoute, request: Request) -> AskedRelay:
        """Read the body, in a form that the route takes. Raises APIError."""
        is_form = (request.header(b"content-type") or b"").strip().lower().startswith(b"multipart/")
        if row.takes == "form" or (row.takes == "either" and is_form):
            return await read_relayed_form(request, self._most_form)
        return await read_json(request, values=row.values or MOST_VALUES)

    def _model(self, row: RelayedRoute, asked: AskedRelay, request: Request) -> str:
        """Return the model that is asked. Raises InvalidRequest where none is named and none stands in."""
        if asked.head.model is not None:
            return asked.head.model
        if not row.unnamed:
            raise missing("model")
        if default := self._default_models().get(row.type):
            return default
        fitting = [card for card in self._router.cards() if card.type == row.type and request.caller.may_call(card)]
        if len(fitting) != 1:
            raise missing("model")
        return fitting[0].id

    async def _with_media(self, asked: AskedRelay, request: Request, route: Route) -> AskedRelay:
        """Return the request with media that its JSON names by URL fetched, or checked: a backend must not reach all."""
        named = await by_size(asked.size, _that_may_hold_urls, asked.fields)
        if not named:
            return asked
        fields = dict(asked.fields)
        left = MOST_MEDIA
        for name in named:
            value, slots = await by_size(asked.size, _slots, name, fields[name])
            left -= len(slots)
            if left < 0:
                raise InvalidRequest(f"Too many URLs: at most {MOST_MEDIA} are allowed per request.", param=name)
            if slots:
                await self._media.admit_slots(slots, request.owner, inline=route.inline_images, path=name)
                fields[name] = Raw(await by_size(asked.size, to_json, value[name]))
        return replace(asked, fields=fields)

    async def _pictures(self, row: RelayedRoute, asked: AskedRelay, request: Request, route: Route) -> Taken | None:
        """Take the pictures that are asked for from the caller's limits. Raises APIError 429 or 402."""
        if not row.pictures:
            return None
        wanted = asked.head.n or 1
        if wanted > MOST_PICTURES:
            raise InvalidRequest(f"'n' is {wanted}; at most {MOST_PICTURES} are allowed.", param="n")
        return await self._meters.take(rights_of(request.caller), route.card, {"images": wanted})

    async def _answer(
        self,
        row: RelayedRoute,
        asked: AskedRelay,
        route: Route,
        request: Request,
        answer: PassingAnswer,
        permit: Permit,
    ) -> Reply | None:
        """Hand an answer on: events and sounds while they come, all else whole and checked. Raises BackendError."""
        kind = answer.kind
        uses_units(_units(row, asked))
        if not row.allows(kind, streams=asked.streams):
            raise wrong_answer(f"has the type '{kind[:100]}'")
        if kind.startswith(EVENTS):
            await pass_on(request, answer, permit.headers)
            _settle(permit, answer.usage(), answer.pieces)
            return None
        if row.gives == "sound":
            await _sound(request, answer, permit.headers)
            return None
        body = await whole_body(answer, row.most, request.hold)
        if kind.startswith(JSON):
            read = await by_size(len(body), read_answer, body, row.large)
            usage = await by_size(len(read.skeleton), usage_in_body, read.skeleton)
            if row.type == TRANSCRIPTION:
                uses_units(await by_size(len(read.skeleton), seconds_in_body, read.skeleton))
            body = await by_size(
                len(body),
                row.shape.answer,
                asked,
                asked.head.model or route.card.id,
                read,
                shorten=route.card.matryoshka,
            )
            _settle(permit, usage, 1)
        return Reply(body, answer.status, content_type(answer), [*permit.headers, *kept_headers(answer)])


def _not_guarded(row: RelayedRoute) -> InvalidRequest:
    return InvalidRequest(
        f"Answers of this model pass through content guards, which /v1{row.path} does not: call it through /v1/responses,"
        " /v1/chat/completions or /v1/messages.",
        param="model",
        code="unsupported_model",
    )


def _units(row: RelayedRoute, asked: AskedRelay) -> int:
    """Return the pictures that a request is for, or the characters that are to be spoken."""
    if row.pictures:
        return asked.head.n or 1
    spoken = decode_any(asked.fields["input"], "input") if row.type == SPEECH and "input" in asked.fields else ""
    return len(spoken) if isinstance(spoken, str) else 0


def _settle(permit: Permit, usage: Usage | None, seen: int) -> None:
    uses_tokens(usage)
    permit.settle(usage, max(seen, 1))


async def _sound(request: Request, answer: PassingAnswer, headers: Sequence[Header]) -> None:
    """Pass bytes on as they come. Where the backend breaks off, so does the answer: the client sees that it is not whole."""
    first = await answer.read()
    if not first:
        raise wrong_answer("is empty")
    sink = await request.stream(content_type(answer), answer.status, [*headers, *kept_headers(answer)])
    try:
        data = first
        while data:
            await sink.write(data)
            data = await answer.read()
    except ClientGone:
        return
    await sink.close()


def _that_may_hold_urls(fields: Mapping[str, Raw]) -> list[str]:
    return [name for name, value in fields.items() if name.endswith("url") or name in BARE or may_hold_urls(value)]


def _slots(name: str, raw: Raw) -> tuple[dict[str, Any], list[UrlSlot]]:
    """Return an object with a field of a request alone, and where URLs stand in it."""
    holder = {name: decode_any(raw, name)}
    return holder, [replace(slot, path=slot.path.removeprefix(".")) for slot in url_slots(holder, "")]


def _with_defaults(asked: AskedRelay, row: RelayedRoute, route: Route) -> AskedRelay:
    """Return the request with what the model's settings fill in."""
    filled = {
        name: Raw(msgspec.json.encode(value))
        for name, setting in row.defaults.items()
        if not asked.has(name) and (value := getattr(route.defaults, setting)) is not None
    }
    return replace(asked, fields={**asked.fields, **filled}) if filled else asked


def _key(asked: AskedRelay) -> str:
    """Return what ties requests to one backend: the prompt's cache key."""
    raw = asked.fields.get("prompt_cache_key")
    found = decode_any(raw, "prompt_cache_key") if raw is not None else None
    return found if isinstance(found, str) else ""
