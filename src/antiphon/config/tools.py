"""Tables of settings of the tools that the server runs: `[tools.…]`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.config.tables import Settings
from antiphon.config.web_search import WebSearchConfig


class ToolsConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Tools that the server runs itself."""

    web_search: Annotated[WebSearchConfig, Meta(description="Web search.")] = msgspec.field(
        default_factory=WebSearchConfig
    )
