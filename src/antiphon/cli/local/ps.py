"""`antiphon ps`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from antiphon.cli.local.cache import columns
from antiphon.cli.options import KEY_VARIABLES

if TYPE_CHECKING:
    from antiphon.core.loaded_models import LoadedModel


@click.command()
@click.option("--url", default="http://127.0.0.1:8080/v1", show_default=True, metavar="URL", help="URL of the server.")
@click.option(
    "--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key with the scope admin, if the server has keys."
)
def ps(url: str, key: str | None) -> None:
    """List the models that a running server has loaded.

    SIZE is the memory that is set aside for a model, RUNNING the requests that it answers, UNTIL when it is unloaded unless it is
    called again (setting `engine.keep_alive`).

    \b
    Examples:
      antiphon ps
      antiphon ps --url http://gpu1:8080/v1 --key "$ADMIN_KEY"
    """
    import msgspec

    from antiphon.cli.client import Client
    from antiphon.core.loaded_models import LoadedModels
    from antiphon.errors import APIError

    try:
        loaded = msgspec.json.decode(Client(url, key or "", timeout=10.0).get("/admin/engine"), type=LoadedModels)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise APIError(502, f"{url} does not tell of loaded models as this server does") from None
    click.echo("\n".join(table(loaded.data, time.time())))


def table(models: Sequence[LoadedModel], now: float) -> list[str]:
    """Return the lines of a list of loaded models."""
    from antiphon.backends.llama.hub.progress import size

    rows = [
        (one.id, size(one.size), f"{one.context_length}", f"{one.running}/{one.parallel}", _until(one, now))
        for one in models
    ]
    return columns(("NAME", "SIZE", "CONTEXT", "RUNNING", "UNTIL"), rows)


def _until(model: LoadedModel, now: float) -> str:
    if model.state == "loading":
        return "loading…"
    if model.expires_at is None:
        return "answering" if model.running else "forever"
    left = max(model.expires_at - now, 0)
    return f"{left / 60:.0f} minutes from now" if left >= 120 else f"{left:.0f} seconds from now"
