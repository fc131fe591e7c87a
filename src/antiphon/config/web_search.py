"""`[tools.web_search]`: which provider searches the web, and whether any does."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.config.tables import SECRET, Settings

PROVIDER_NAMES = ("searxng", "brave", "tavily", "exa", "serper", "kagi", "wikipedia")
KEYED = frozenset(("brave", "tavily", "exa", "serper", "kagi"))
"""Providers that need a key."""

OFF = "off"
MCP_PREFIX = "mcp:"


class WebSearchConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Web search."""

    provider: Annotated[
        str,
        Meta(
            description="Who searches: `searxng` (or `searxng=URL`), `brave`, `tavily`, `exa`, `serper`, `kagi`, `wikipedia`,"
            " `mcp:LABEL/TOOL`, `off`. Empty: `wikipedia` for a server on loopback without keys, else `off`."
        ),
    ] = ""
    url: Annotated[str, Meta(description="Base URL of the provider; needed for `searxng`. It may be private.")] = ""
    key: Annotated[str, Meta(description="Key for the provider.", extra=SECRET)] = ""
    language: Annotated[str, Meta(description="Language of Wikipedia, such as en.", pattern="^[a-z-]{2,12}$")] = "en"
    results: Annotated[int, Meta(description="Maximum number of results of a search.", ge=1, le=20)] = 8
    per_response: Annotated[int, Meta(description="Maximum number of searches in a response.", ge=1)] = 10
    timeout: Annotated[float, Meta(description="Timeout of a search, and of a page, in seconds.", gt=0)] = 15.0
    page_bytes: Annotated[int, Meta(description="Maximum size of a page in bytes.", ge=1024, le=64 << 20)] = 4 << 20
    open_only_found: Annotated[
        bool,
        Meta(description="Open pages only whose URLs a search, the user's input or an opened page has named."),
    ] = True
    allowed_domains: Annotated[
        list[str], Meta(description="Domains, with those below them, that pages may come from; empty: all.")
    ] = msgspec.field(default_factory=list)
    blocked_domains: Annotated[list[str], Meta(description="Domains that pages may not come from.")] = msgspec.field(
        default_factory=list
    )
    guard_allow: Annotated[
        list[str], Meta(description="Private networks (CIDR) and hosts whose pages may be opened; empty: none.")
    ] = msgspec.field(default_factory=list)


class WebSearchChoice(msgspec.Struct, frozen=True):
    """The provider in effect. `provider` is "" where web search is off, and `reason` then tells why."""

    provider: str
    url: str = ""
    tool: str = ""
    reason: str = ""

    @property
    def shown(self) -> str:
        """What the banner says of it."""
        return f"web_search by {self.provider}{f':{self.tool}' if self.tool else ''}" if self.provider else ""


def chosen(settings: WebSearchConfig, *, alone: bool) -> WebSearchChoice:
    """Return the provider in effect; `alone`: only this machine can reach the server, and it asks for no key."""
    name, _, url = settings.provider.partition("=")
    url = settings.url or url
    if name == OFF:
        return WebSearchChoice("", reason="it is switched off: `provider` in [tools.web_search]")
    if not name:
        if alone:
            return WebSearchChoice("wikipedia", url)
        return WebSearchChoice("", reason="no provider is set: `provider` in [tools.web_search], or --web-search")
    if name.startswith(MCP_PREFIX):
        return WebSearchChoice("mcp", tool=name.removeprefix(MCP_PREFIX))
    return WebSearchChoice(name, url)
