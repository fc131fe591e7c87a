"""Calls to a server of OpenAI's kind: its address and key, requests that it must accept, its list of models."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.backends.base import BackendModel
from antiphon.backends.model_list import parse_models
from antiphon.backends.refusals import refused
from antiphon.config import BackendConfig
from antiphon.config.reading import quoted
from antiphon.core.turn import Hints
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts
from antiphon.net.proxies import proxy_for
from antiphon.net.tls import client_context

ENDPOINTS = (
    "/chat/completions",
    "/completions",
    "/responses",
    "/messages",
    "/embeddings",
    "/rerank",
    "/moderations",
    "/images/generations",
    "/audio/speech",
    "/audio/transcriptions",
)
"""Paths that URLs are pasted with from providers' pages."""

MESSAGES = "anthropic"
"""The `api` of servers whose paths all begin with /v1, and whose key has a header of its own."""

JSON_LIMIT = 64 * 1024 * 1024
"""Bytes of the answer of an endpoint such as `/embeddings`."""

LIST_LIMIT = 8 * 1024 * 1024
"""Bytes of a list of models."""


def connect(name: str, config: BackendConfig, socket: str = "") -> HttpClient:
    """Return a client for a configured backend; `socket` is the path of a unix socket. Raises ConfigError."""
    path = f"backends.{quoted(name)}."
    address = parse_url(config.url, socket)
    for endpoint in ENDPOINTS:
        address = replace(address, path=address.path.removesuffix(endpoint))
    if config.api == MESSAGES and not address.path.endswith("/v1"):
        address = replace(address, path=f"{address.path}/v1")
    timeouts = Timeouts(connect=config.connect_timeout, first_byte=config.first_token_timeout, idle=config.idle_timeout)
    return HttpClient(
        address,
        headers=_key_header(config) | {name.lower(): value for name, value in config.headers.items()},
        timeouts=timeouts,
        max_idle=config.max_connections,
        max_answer=config.max_answer,
        tls=client_context(config.ca, config.client_cert, config.client_key, path=path) if address.tls else None,
        proxy=proxy_for(address, config.proxy, f"{path}proxy"),
    )


def _key_header(config: BackendConfig) -> dict[str, str]:
    """Return the header that carries the key: a bearer token, or the bare key in a header of another name."""
    if not config.key:
        return {}
    name = config.key_header.lower()
    if name == "auto":
        name = "x-api-key" if config.api == MESSAGES else "authorization"
    return {name: f"Bearer {config.key}" if name == "authorization" else config.key}


async def accepted(response: HttpResponse, *, ours: bool = True) -> HttpResponse:
    """Return an answer that is a success. Raises BackendError for any other. `ours`: see `refused`."""
    if 200 <= response.status < 300:
        return response
    try:
        raise await refused(response, ours=ours)
    finally:
        response.abort()


def trace_header(hints: Hints) -> bytes:
    """Return the header that ties a backend's own trace to ours, or nothing (W3C Trace Context)."""
    return b"traceparent: %b\r\n" % hints.traceparent.encode("ascii") if hints.traceparent else b""


async def post_json(client: HttpClient, endpoint: str, body: bytes) -> bytes:
    """Send JSON to an endpoint below the base URL; return the answer. Raises BackendError."""
    response = await accepted(await client.send("POST", client.address.target(endpoint), body))
    try:
        return await response.read_all(JSON_LIMIT)
    finally:
        response.abort()


async def list_models(client: HttpClient) -> Sequence[BackendModel]:
    """Ask for the models. Raises BackendError."""
    response = await accepted(await client.send("GET", client.address.target("/models")))
    try:
        return parse_models(await response.read_all(LIST_LIMIT))
    finally:
        response.abort()
