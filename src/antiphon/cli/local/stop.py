"""`antiphon stop`."""

from __future__ import annotations

import click

from antiphon.cli.options import KEY_VARIABLES


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--url", default="http://127.0.0.1:8080/v1", show_default=True, metavar="URL", help="URL of the server.")
@click.option(
    "--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key with the scope admin, if the server has keys."
)
def stop(models: tuple[str, ...], url: str, key: str | None) -> None:
    """Unload models of a running server, to free their memory.

    What a model answers at the moment ends first. A model that was stopped is loaded again when it is called.

    \b
    Examples:
      antiphon stop qwen3-4b
      antiphon stop qwen3-4b --url http://gpu1:8080/v1 --key "$ADMIN_KEY"
    """
    import msgspec

    from antiphon.cli.client import Client
    from antiphon.core.loaded_models import NOT_LOADED, StoppedModel
    from antiphon.errors import APIError

    client = Client(url, key or "", timeout=10.0)
    for model in models:
        try:
            told = msgspec.json.decode(client.post("/admin/engine/stop", {"model": model}), type=StoppedModel)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise APIError(502, f"{url} does not stop models as this server does") from None
        click.echo(f"{model}: {'not loaded' if told.state == NOT_LOADED else 'unloaded when its answers have ended'}")
