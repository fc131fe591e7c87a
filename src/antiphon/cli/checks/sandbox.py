"""`antiphon doctor sandbox`: tries what the code interpreter may run code in."""

from __future__ import annotations

import click

from antiphon.composition.from_settings import code_source
from antiphon.config import Config
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.sandbox.pool import Sandboxes


async def report_sandbox(config: Config) -> int:
    """Print which sandbox is used here, or why none is; return the exit code."""
    from antiphon.tools.mcp.servers import McpServers

    guard = UrlGuard(config.url_guard_allow)
    servers = McpServers(guard, config.mcp_servers, config.mcp_timeout, config.mcp_progress_timeout)
    source = code_source(config, lambda: servers)
    try:
        reason = await source.usable()
        if reason:
            click.echo(f"code_interpreter is off: {reason}")
            return 1
        if isinstance(source, Sandboxes):
            await _report(source)
        else:
            click.echo(f"{source.condition}: connections are apart, and nothing of this machine was reached")
        return 0
    finally:
        await source.close()


async def _report(sandboxes: Sandboxes) -> None:
    found = await sandboxes.find()
    known = found.kind.known
    click.echo(f"{found.kind.name} holds: {'the other' if known else 'all'} probes failed, as they should")
    for probe, meaning in known.items():
        click.echo(f"known of it: {probe}: {meaning}")
    click.echo(f"Python {found.version} ({found.interior.python})")
