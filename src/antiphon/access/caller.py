"""Caller: identity, scopes, allowed models and limits of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from fnmatch import fnmatchcase
from typing import Literal, cast, get_args

import msgspec

from antiphon.backends.base import ModelCard, Route, Router, unknown_model
from antiphon.config.keys import KeyScope
from antiphon.core.model_types import TEXT_GENERATION
from antiphon.errors import APIError

Unit = Literal["requests", "tokens", "cost", "streams", "searches", "code_seconds", "images", "stored_bytes"]
Period = Literal["minute", "day", "month", ""]

LOCAL_OWNER = "local"
"""Whose everything is on a server without keys."""

RESPONSES, CHAT, READ, ADMIN, TOOLS = "responses", "chat", "read", "admin", "tools"
EMBEDDINGS, MODERATIONS, IMAGES, AUDIO = "embeddings", "moderations", "images", "audio"
SCOPES: tuple[str, ...] = get_args(KeyScope)
"""What a key may do: the API but what is passed on to backends; that (`chat`), or one kind of it; only read; everything, the
operator's views too; hosted tools."""

TOOL_SCOPES = SCOPES[SCOPES.index(TOOLS) :]
"""What lets a key use hosted tools in responses: all of them, or one by its kind."""

USUAL_SCOPES = frozenset((RESPONSES, CHAT, TOOLS))

TOOL_UNITS = frozenset(("searches", "code_seconds", "images", "stored_bytes"))
"""Units that calls of hosted tools and uploads use, not responses."""

_LIMIT = re.compile(
    r"(?P<most>\d[\d_]*(?:\.\d+)?)"
    r" (?P<unit>requests|tokens|cost|streams|searches|code_seconds|images|stored_bytes)"
    r"(?:/(?P<period>minute|min|day|month))?(?: on (?P<models>\S+))?(?P<soft> soft)?"
)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Rate limit or budget: at most `most` units per period; with `models` (a pattern) for each matching model, else for all.

    A `soft` one refuses nothing. `counted_as` is the name under which it is counted, where that is not the caller's `meter`.
    """

    most: float
    unit: Unit
    period: Period
    models: str = ""
    soft: bool = False
    counted_as: str = ""

    def __str__(self) -> str:
        """Return the limit as it is written."""
        per = f"/{self.period}" if self.period else ""
        on = f" on {self.models}" if self.models else ""
        return f"{self.most:.15g} {self.unit}{per}{on}{' soft' if self.soft else ''}"

    def concerns(self, card: ModelCard) -> bool:
        """Tell whether a call of this model counts."""
        return not self.models or fits(card, (self.models,))


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Identity, scopes and limits of a request. `owner` is the same in every replica and after a restart.

    No `models` means all; they are patterns such as `gpt-*`. No `mcp_servers` means all; they are patterns of labels of the
    configuration, and of URLs. `meter` is the name under which the limits are counted; `key` is the key's id, or its name in the
    configuration as `config/NAME`, "" where it has none.
    """

    owner: str
    scopes: Set[str] = USUAL_SCOPES
    models: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    meter: str = ""
    key: str = ""

    def may(self, scopes: Set[str]) -> bool:
        """Tell whether one of the scopes is the caller's."""
        return not scopes.isdisjoint(self.scopes) or ADMIN in self.scopes

    def may_call(self, card: ModelCard) -> bool:
        """Tell whether a model may be called, and is shown."""
        return not self.models or fits(card, self.models)

    def may_use(self, server: str) -> bool:
        """Tell whether an MCP server may be used, by its label in the configuration or by its URL."""
        return not self.mcp_servers or any(_names(pattern, server) for pattern in self.mcp_servers)


def _names(pattern: str, server: str) -> bool:
    """Tell whether a pattern of MCP servers names one. The host of a URL is compared apart: no `*` reaches into the path."""
    scheme, is_url, address = server.partition("://")
    wanted, of_url, rest = pattern.partition("://")
    if pattern == "*" or not (is_url or of_url):
        return fnmatchcase(server, pattern)
    if not (is_url and of_url):
        return False
    host, _, path = address.partition("/")
    wanted_host, has_path, wanted_path = rest.partition("/")
    return (
        fnmatchcase(scheme, wanted)
        and fnmatchcase(host, wanted_host)
        and (not has_path or fnmatchcase(path, wanted_path))
    )


NOBODY = Caller(owner="", scopes=frozenset())
"""Who asks on public paths, where it does not matter."""


def resolve(router: Router, model: str, caller: Caller) -> Route:
    """Return the Route of a model that the caller may call; any other is as good as absent. Raises what `Router` does."""
    if not caller.models:
        return router.resolve(model)
    cards = [card for card in router.cards() if caller.may_call(card)]
    try:
        route = router.resolve(model)
        if caller.may_call(route.card):
            return route
    except APIError:
        if any(model == card.id or model in card.aliases for card in cards):
            raise
    raise unknown_model(model, [card.id for card in cards])


def only_model(router: Router, caller: Caller, *, chat: bool = False) -> str | None:
    """Return the model that a request without one means: where its caller may call a single one that gives texts; else None.

    `chat`: it is called through chat completions.
    """
    found = [
        card.id
        for card in router.cards()
        if card.type == TEXT_GENERATION
        and caller.may_call(card)
        and (card.capabilities.chat_completions if chat else card.capabilities.responses)
    ]
    return found[0] if len(found) == 1 else None


def fits(card: ModelCard, patterns: tuple[str, ...]) -> bool:
    """Tell whether a model's id or an alias of it fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in (card.id, *card.aliases))


def parse_limit(text: str) -> Limit:
    """Read `60 requests/min`, `4 streams`, `20 cost/month`, `1000 tokens/day on gpt-*`. Raises ValueError."""
    found = _LIMIT.fullmatch(" ".join(text.split()))
    if found is None:
        raise ValueError(
            f"'{text}' is not a limit such as '60 requests/min', '4 streams' or '1000000 tokens/day on gpt-*'"
        )
    if not text.isprintable():
        raise ValueError("a limit must have printable characters only")
    unit = cast(Unit, found["unit"])
    period = cast(Period, "minute" if found["period"] == "min" else found["period"] or "")
    if (unit == "streams") == bool(period):
        raise ValueError(
            f"'{text}': streams must not have a period"
            if period
            else f"'{text}': a period is missing, such as {unit}/min, {unit}/day or {unit}/month"
        )
    if unit == "cost" and period == "minute":
        raise ValueError(f"'{text}': cost must be limited per day or month")
    if unit == "stored_bytes" and found["models"]:
        raise ValueError(f"'{text}': stored_bytes are of no model")
    if found["soft"] and period not in ("day", "month"):
        raise ValueError(f"'{text}': a soft limit must be per day or month")
    most = float(found["most"].replace("_", ""))
    if most <= 0:
        raise ValueError(f"'{text}': a limit must be above 0")
    return Limit(most=most, unit=unit, period=period, models=found["models"] or "", soft=bool(found["soft"]))


def parse_limits(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Read limits, no two of a kind. Raises ValueError."""
    limits: dict[tuple[str, str, str, bool], Limit] = {}
    for text in texts:
        limit = parse_limit(text)
        kind = (limit.unit, limit.period, limit.models, limit.soft)
        if kind in limits:
            raise ValueError(f"'{text}' and '{limits[kind]}' are limits of the same kind")
        limits[kind] = limit
    return tuple(limits.values())
