"""`antiphon check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import PARTS, SERVER, load_settings, with_options

if TYPE_CHECKING:
    from antiphon.backends.base import Backend
    from antiphon.cli.checks.probes import Finding
    from antiphon.config import BackendConfig, Config
    from antiphon.errors import APIError


@with_options(*PARTS, *SERVER)
@click.command()
@click.option("--offline", is_flag=True, help="Only validate the configuration; call no backend.")
def check(offline: bool, **given: Any) -> None:
    """Validate the configuration and probe each backend.

    \b
    Examples:
      antiphon check --backend http://127.0.0.1:8000/v1
      antiphon check --config prod.toml --offline

    The exit code is 1 when a backend cannot be used, and 2 when the configuration is wrong.
    """
    import asyncio

    loaded = load_settings(given)
    _line(True, "configuration", str(loaded.file) if loaded.file else "no file; flags, environment and defaults")
    if not offline and not asyncio.run(_check_all(loaded.config)):
        raise SystemExit(1)


async def _check_all(config: Config) -> bool:
    return all([await check_backends(config), await check_web_search(config)])


async def check_web_search(config: Config) -> bool:
    """Make one search, printing what is wrong with the provider; return whether it can be used."""
    from antiphon.config.rules import web_search_choice
    from antiphon.net.url_guard import UrlGuard
    from antiphon.tools.mcp.servers import McpServers
    from antiphon.tools.web.provider_calls import SearchFailed
    from antiphon.tools.web.providers import Wish
    from antiphon.tools.web.search import client_of

    choice, settings = web_search_choice(config), config.tools.web_search
    if not choice.provider or not settings.provider:
        return True  # nobody has asked for the one that is there by itself
    click.echo(f"\n{choice.shown}")
    servers = McpServers(UrlGuard(), config.mcp_servers, config.mcp_timeout, config.mcp_progress_timeout)
    client = client_of(settings, choice, servers)
    try:
        found = await client.search(Wish(query="weather", results=3, language=settings.language))
    except SearchFailed as error:
        _line(False, "search", f"{error} {error.hint}".strip())
        return False
    finally:
        await client.close()
    _line(bool(found), "search", f"{len(found)} results" if found else "it finds nothing for 'weather'")
    return bool(found)


async def check_backends(config: Config) -> bool:
    """Check all backends, printing as it goes; return whether all can be used. Raises ConfigError."""
    import asyncio

    from antiphon.composition.backends import make_backends

    backends = make_backends(config)
    try:
        return all([await _check(backend, config) for backend in backends.values()])
    finally:
        await asyncio.gather(*(backend.close() for backend in backends.values()))


async def _check(backend: Backend, config: Config) -> bool:
    from antiphon.cli.checks.probes import one_line, probe
    from antiphon.errors import APIError

    click.echo(f"\n{_title(backend.name, config)}")
    try:
        listed = [model.id for model in await backend.models()]
    except APIError as error:
        listed = []
        _line(False, "models", f"{one_line(error.message)} {_hint(error)}".strip())
    else:
        _line(bool(listed), "models", ", ".join(listed[:8]) + (" …" if len(listed) > 8 else "") or "it lists none")
    wanted = configured(backend.name, config)
    for id, name in wanted.items():
        if listed and name not in listed:
            _line(False, f"models.{id}", f"the backend does not list '{name}'")
    tried = next((name for name in wanted.values() if not listed or name in listed), listed[0] if listed else None)
    if tried is None:
        return False
    findings = await probe(backend, tried)
    report(findings)
    return all(finding.ok for finding in findings if finding.needed)


def report(findings: Sequence[Finding], *, err: bool = False) -> None:
    """Print findings."""
    for finding in findings:
        _line(finding.ok, finding.name, finding.note, err=err)


def configured(backend: str, config: Config) -> Mapping[str, str]:
    """Return the configured models of a backend, and its own names for them."""
    return {id: model.name or id for id, model in config.models.items() if backend in model.backends}


def _title(name: str, config: Config) -> str:
    from antiphon.config import mask

    given = config.backends.get(name)
    if given is None:
        return f"{name}  the embedded engine"
    return f"{name}  {mask(given.url)} ({given.api}){through(given)}"


def through(config: BackendConfig) -> str:
    """Return how a backend is reached, where that is through a proxy."""
    from antiphon.config.apis import api_of
    from antiphon.net.http.address import parse_url
    from antiphon.net.proxies import proxy_for

    proxy = proxy_for(parse_url(config.url), config.proxy) if api_of(config.api).http else None
    return f" through the proxy {proxy}" if proxy is not None else ""


def _hint(error: APIError) -> str:
    if "key" in error.message:
        return "Give its key with --backend-key."
    if "client certificate" in error.message:
        return "Name one: client_cert in [backends.NAME]."
    if "certificate" in error.message:
        return "Name the file of its authority: ca in [backends.NAME]."
    if error.status in (503, 504):
        return "Does it run, and is the URL right?"
    return "Is the URL right, with /v1 at its end?"


def _line(ok: bool | None, name: str, note: str, *, err: bool = False) -> None:
    sign = "–" if ok is None else click.style("✓", fg="green") if ok else click.style("✗", fg="red")
    click.echo(f"  {sign} {name:<15}{note}".rstrip(), err=err)
