"""Calls to a server of OpenAI's kind: its address and key, requests that it must accept, its list of models."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.base import BackendModel
from antiphon.backends.model_list import parse_models
from antiphon.backends.refusals import refused
from antiphon.config import BackendConfig
from antiphon.core.turn import Hints
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts, parse_url

LIST_LIMIT = 8 * 1024 * 1024
"""Bytes of a list of models."""


def connect(config: BackendConfig, socket: str = "") -> HttpClient:
    """Return a client for a configured backend; `socket` is the path of a unix socket. Raises ConfigError."""
    headers = {"authorization": f"Bearer {config.key}"} if config.key else {}
    timeouts = Timeouts(connect=config.connect_timeout, first_byte=config.first_token_timeout, idle=config.idle_timeout)
    return HttpClient(
        parse_url(config.url, socket),
        headers=headers | {name.lower(): value for name, value in config.headers.items()},
        timeouts=timeouts,
        max_idle=config.max_connections,
        max_answer=config.max_answer,
    )


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


async def list_models(client: HttpClient) -> Sequence[BackendModel]:
    """Ask for the models. Raises BackendError."""
    response = await accepted(await client.send("GET", f"{client.address.path}/models"))
    try:
        return parse_models(await response.read_all(LIST_LIMIT))
    finally:
        response.abort()
