"""Models as clients of the Messages API name and list them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from antiphon.backends.base import ModelCard, Router
from antiphon.errors import NotFound
from antiphon.server.api.models import Models
from antiphon.server.api.paging import whole_number
from antiphon.server.http.messages import Handler, Header, Reply, Request, json_reply
from antiphon.server.messages.decoder import PREFIX, own_model
from antiphon.server.messages.errors import fault

VERSION = b"anthropic-version"
"""Every client of Anthropic's sends this header, on shared paths too."""

MOST = 1000


class ModelNames:
    """Names that clients are configured with → models of this server: patterns of the setting `messages_models`, in order."""

    def __init__(self, router: Router, patterns: Callable[[], Mapping[str, str]]) -> None:
        self._router = router
        self._patterns = patterns

    def resolve(self, name: str) -> str:
        """Return the model that a name means: one that exists means itself, with or without what Claude Code adds to it."""
        patterns, cards = self._patterns(), self._router.cards()
        for wanted in dict.fromkeys((name, own_model(name))):
            if any(wanted == card.id or wanted in card.aliases for card in cards):
                return wanted
        name = own_model(name)
        return next((model for pattern, model in patterns.items() if fnmatchcase(name, pattern)), name)


class AnthropicModels:
    """The handlers of `/v1/models` where the client is Anthropic's; others get OpenAI's shape."""

    def __init__(self, router: Router, models: Models, names: ModelNames) -> None:
        self._router = router
        self._models = models
        self._names = names

    @property
    def list(self) -> Handler:
        """GET /v1/models."""
        return self._list

    async def _list(self, request: Request) -> Reply:
        if request.header(VERSION) is None:
            return await self._models.list(request)
        cards = self._cards(request)
        entries = [entry for card in cards for entry in _entries(card)]
        limit = whole_number(request, "limit", 20, 1, MOST)
        after, before = (request.query.get(name, ("",))[-1] for name in ("after_id", "before_id"))
        ids = [str(entry["id"]) for entry in entries]
        if after in ids:
            entries = entries[ids.index(after) + 1 :]
        elif before in ids:
            entries = entries[: ids.index(before)][-limit:]
        page = entries[:limit]
        first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        more = len(entries) > limit
        return json_reply({"data": page, "has_more": more, "first_id": first, "last_id": last}, headers=_id(request))

    async def read(self, request: Request) -> Reply:
        """GET /v1/models/{id}: by any name that a request for an answer may have."""
        if request.header(VERSION) is None:
            return await self._models.read(request)
        wanted = request.params["id"]
        meant = self._names.resolve(wanted)
        for card in self._cards(request):
            if meant in (card.id, *card.aliases):
                return json_reply(_entry(card, wanted), headers=_id(request))
        reply = fault(NotFound(f"model: {wanted}", code="model_not_found"), request.request_id)
        own = [header for header in reply.headers if header[0] != b"x-request-id"]  # the path's own form sends that
        return Reply(reply.body, reply.status, headers=[*own, *_id(request)])

    def _cards(self, request: Request) -> Sequence[ModelCard]:
        return [card for card in self._router.cards() if request.caller.may_call(card)]


def _id(request: Request) -> list[Header]:
    """Return the header in which Anthropic's clients look for a request's id."""
    return [(b"request-id", request.request_id.encode())]


def _entries(card: ModelCard) -> Sequence[dict[str, object]]:
    """Return a model, and once more under a name that clients show which list nothing but Anthropic's models."""
    if card.id.startswith(("claude", "anthropic")):
        return [_entry(card, card.id)]
    return [_entry(card, card.id), _entry(card, PREFIX + card.id)]


def _entry(card: ModelCard, id: str) -> dict[str, object]:
    return {
        "type": "model",
        "id": id,
        "display_name": card.id,
        "created_at": datetime.fromtimestamp(min(max(card.created, 0), 2**32), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "max_input_tokens": card.context_length,
        "max_tokens": card.context_length,
        "capabilities": None,
        "lifecycle": "active",
    }
