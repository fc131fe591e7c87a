"""Tables of settings of who may call: API keys, tokens of an identity provider."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.config.tables import SECRET, Settings

KeyScope = Literal[
    "responses",
    "chat",
    "read",
    "admin",
    "embeddings",
    "moderations",
    "images",
    "audio",
    "tools",
    "web_search",
    "file_search",
    "code_interpreter",
    "shell",
    "image_generation",
]


class KeyConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """An API key with its own scopes and limits."""

    key: Annotated[str, Meta(description="The API key.", extra=SECRET)]
    owner: Annotated[str, Meta(description="Owner of the objects made with the key; default: an owner of its own.")] = (
        ""
    )
    scopes: Annotated[
        list[KeyScope],
        Meta(description="Scopes, what the key may do: see docs/keys.md."),
    ] = msgspec.field(default_factory=lambda: ["responses", "chat", "tools"])
    models: Annotated[list[str], Meta(description="Allowed models, such as gpt-*; empty: all.")] = []
    mcp_servers: Annotated[
        list[str],
        Meta(description="Allowed MCP servers, by label or URL, such as https://mcp.me/*; empty: all."),
    ] = []
    limits: Annotated[
        list[str],
        Meta(
            description='Rate limits and budgets, such as "60 requests/min", "20 cost/month on gpt-*" or "100 searches/day".'
        ),
    ] = []


class JwtConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """An identity provider whose JSON Web Tokens are accepted."""

    issuer: Annotated[str, Meta(description="Issuer: the required `iss` of tokens.")]
    audience: Annotated[list[str], Meta(description="Audiences: the `aud` of a token must be one of them.")]
    jwks_url: Annotated[
        str, Meta(description="URL of the JWKS; default: found through the issuer (OIDC discovery).")
    ] = ""
    key_file: Annotated[str, Meta(description="File with the public keys (PEM or JWKS), instead of a URL.")] = ""
    algorithms: Annotated[
        list[Literal["RS256", "ES256", "EdDSA"]], Meta(description="Accepted signature algorithms.")
    ] = msgspec.field(default_factory=lambda: ["RS256", "ES256", "EdDSA"])
    leeway: Annotated[float, Meta(description="Allowed clock skew in seconds.", ge=0)] = 60.0
    owner_claim: Annotated[str, Meta(description="Claim with the owner of objects.")] = "sub"
    scopes_claim: Annotated[str, Meta(description="Claim with the scopes; empty: `scopes` for all tokens.")] = ""
    scopes: Annotated[list[KeyScope], Meta(description="Scopes without that claim.")] = msgspec.field(
        default_factory=lambda: ["responses", "chat", "tools"]
    )
    models_claim: Annotated[str, Meta(description="Claim with the allowed models; empty: `models` for all tokens.")] = (
        ""
    )
    models: Annotated[list[str], Meta(description="Allowed models without that claim; empty: all.")] = []
    mcp_servers_claim: Annotated[
        str, Meta(description="Claim with the allowed MCP servers; empty: `mcp_servers` for all tokens.")
    ] = ""
    mcp_servers: Annotated[list[str], Meta(description="Allowed MCP servers without that claim; empty: all.")] = []
    limits: Annotated[list[str], Meta(description="Rate limits and budgets of each owner, as in `keys`.")] = []


class OwnerConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Limits of an owner."""

    limits: Annotated[
        list[str], Meta(description="Rate limits and budgets of all keys of the owner together, as in `keys`.")
    ] = []
