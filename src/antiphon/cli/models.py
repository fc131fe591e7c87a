"""`antiphon models`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import KEY_VARIABLES, PARTS, load_settings, with_options

if TYPE_CHECKING:
    from antiphon.backends.base import ModelCard
    from antiphon.config import Config


@with_options(*PARTS)
@click.command()
@click.option("--url", metavar="URL", help="Ask a running server instead, such as http://127.0.0.1:8080/v1.")
@click.option("--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key for that server.")
def models(url: str | None, key: str | None, **given: Any) -> None:
    """List the models of the configuration, or of a running server.

    \b
    Examples:
      antiphon models --backend http://127.0.0.1:11434/v1
      antiphon models --url http://127.0.0.1:8080/v1
    """
    if url:
        from antiphon.cli.client import Client

        ids = Client(url, key or "").models()
        click.echo("\n".join(ids) if ids else "The server has no models at present.")
        return
    import asyncio

    cards = asyncio.run(find(load_settings(given).config))
    if not cards:
        click.echo("antiphon: error: no backend lists a model; run `antiphon check` to see why", err=True)
        raise SystemExit(1)
    for card in cards:
        click.echo(line(card))


async def find(config: Config) -> Sequence[ModelCard]:
    """Ask the backends. Raises ConfigError."""
    from antiphon.composition.backends import make_backends, make_registry

    registry = make_registry(config, make_backends(config))
    try:
        await registry.refresh()
        return registry.cards()
    finally:
        await registry.close()


def line(card: ModelCard) -> str:
    """Return a model's line: id, window, aliases."""
    window = f"  {card.context_length:,} tokens" if card.context_length else ""
    aliases = f"  (also {', '.join(card.aliases)})" if card.aliases else ""
    return f"{card.id}{window}{aliases}"
