"""The declaration of `web_search` and `web_search_preview` in a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.errors import InvalidRequest
from antiphon.tools.base import Declaration

Short = Annotated[str, Meta(max_length=256)]

CONTEXT = {"low": (3, 400), "medium": (5, 800), "high": (8, 1600)}
"""`search_context_size` → results of a search, and tokens of each; pages that are opened have ten times as many."""


class SearchFilters(msgspec.Struct, frozen=True):
    allowed_domains: Annotated[list[Short], Meta(max_length=100)] | None = None
    blocked_domains: Annotated[list[Short], Meta(max_length=100)] | None = None

    @property
    def allowed(self) -> tuple[str, ...]:
        """The domains that are allowed; none: all."""
        return tuple(map(domain_of, self.allowed_domains or ()))

    @property
    def blocked(self) -> tuple[str, ...]:
        """The domains that are not."""
        return tuple(map(domain_of, self.blocked_domains or ()))


class SearchLocation(msgspec.Struct, frozen=True):
    type: Literal["approximate"] = "approximate"
    country: Short | None = None
    region: Short | None = None
    city: Short | None = None
    timezone: Short | None = None

    @property
    def shown(self) -> str:
        """Where that is, for the model."""
        return ", ".join(part for part in (self.city, self.region, self.country) if part)


class WebSearchTool(msgspec.Struct, frozen=True):
    """The fields that matter here.

    `searches`, `pages`: how many of each may be made in a response, 0 for none; None: as the settings say. They are what
    another front end asks for, which declares searches and pages as two tools; `page_filters` are then the domains of pages.
    """

    external_web_access: bool | None = None
    filters: SearchFilters | None = None
    user_location: SearchLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    searches: Annotated[int, Meta(ge=0)] | None = None
    pages: Annotated[int, Meta(ge=0)] | None = None
    page_filters: SearchFilters | None = None

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that may be searched; none: all."""
        return self.filters.allowed if self.filters else ()


_tool = msgspec.json.Decoder(WebSearchTool)


def read(declared: Sequence[Declaration]) -> WebSearchTool:
    """Return the last declaration of a request; all are checked. Raises InvalidRequest."""
    found = WebSearchTool()
    for one in declared:
        try:
            found = _tool.decode(one.raw)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            param = f"{one.param}.{path.rstrip('`')}" if path else one.param
            raise InvalidRequest(f"Invalid '{param}': {reason}.", param=param, code="invalid_value") from None
    return found


def domain_of(text: str) -> str:
    """Return a domain as it is compared: also of one that was given as a URL."""
    return text.strip().lower().partition("://")[2].partition("/")[0] or text.strip().lower().rstrip("/").lstrip(".")


def is_within(host: str, domains: Sequence[str]) -> bool:
    """Tell whether a host is one of the domains, or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
