"""Where a server listens, behind which proxies, and for which hosts and pages."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.config.tables import Settings


class ListeningConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Settings of the socket; they stand at the top of the file."""

    host: Annotated[str, Meta(description="Address to listen on, or unix:/path/of/socket.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on.", ge=0, le=65535)] = 8080
    socket_mode: Annotated[str, Meta(description="Permissions of the unix socket, in octal digits.")] = "660"
    tls_cert: Annotated[
        str, Meta(description="File with the server's certificate and its chain (PEM): it speaks HTTPS; empty: HTTP.")
    ] = ""
    tls_key: Annotated[str, Meta(description="File with the private key (PEM), if not in the same file.")] = ""
    root_path: Annotated[
        str,
        Meta(
            description="Path below which a proxy serves this server, such as /ai; requests may come with or without it."
        ),
    ] = ""
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description="Proxies in front whose X-Forwarded-For, -Proto, -Host and -Prefix are believed: networks (CIDR),"
            " addresses, `unix`, `*`."
        ),
    ] = []
    allowed_hosts: Annotated[
        list[str],
        Meta(description="Allowed values of the Host header, such as *.example.com; see docs/keys.md."),
    ] = []
    cors_origins: Annotated[
        list[str],
        Meta(
            description="Web pages that may call this server (CORS, WebSocket), such as https://chat.example.com,"
            " https://*.example.com, http://localhost:* or *; `auto`: with keys all, without keys apps only; empty: none."
        ),
    ] = msgspec.field(default_factory=lambda: ["auto"])
