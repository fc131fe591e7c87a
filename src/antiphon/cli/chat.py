"""`antiphon chat`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import KEY_VARIABLES, PARTS, with_options

if TYPE_CHECKING:
    from antiphon.cli.client import Client
    from antiphon.cli.talk import Talk

DEFAULT_URL = "http://127.0.0.1:8080/v1"
HELP = """\
/new          begin a new conversation
/model [ID]   show the models, or change to one
/help         this
//…           say something that begins with /
Ctrl-C stops an answer, Ctrl-D leaves."""


@with_options(*(option for option in PARTS if option.name != "model"))
@click.command()
@click.option("--url", envvar="ANTIPHON_URL", metavar="URL", help=f"Server to talk to.  [default: {DEFAULT_URL}]")
@click.option("--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key for that server.")
@click.option(
    "--model", metavar="ID|FILE.gguf|ORG/REPO", help="Model id; if a server is started: as for `antiphon serve`."
)
def chat(url: str | None, key: str | None, model: str | None, **given: Any) -> None:
    """Talk to a model in the terminal, through the Responses API.

    Without --url it uses the server on the default port. If none is running there, or if server options are given,
    it starts its own server.

    \b
    Examples:
      antiphon chat
      antiphon chat --url http://gpu1:8080/v1 --key "$KEY" --model hypernova-60b
      antiphon chat --backend http://127.0.0.1:11434/v1
      echo "Say hello in five words." | antiphon chat
    """
    from antiphon.cli.talk import Talk

    with connected(url, key or "", model, given) as (client, wanted):
        ids = client.models()
        if wanted and wanted not in ids:
            known = ", ".join(ids) or "none at present"
            click.echo(f"antiphon: unknown model '{wanted}' at {client.url}. Available: {known}", err=True)
        able = [model.id for model in client.listed() if model.capabilities.supports_responses]
        if not wanted and not able:
            raise click.ClickException(f"{client.url} has no models at present")
        talk = Talk(client, wanted or able[0], tty=sys.stdout.isatty())
        if not sys.stdin.isatty():
            sys.exit(0 if talk.ask(sys.stdin.read().strip()) else 1)
        converse(talk)


@contextlib.contextmanager
def connected(
    url: str | None, key: str, model: str | None, given: Mapping[str, Any]
) -> Iterator[tuple[Client, str | None]]:
    """Return a client of the server that is meant, and the model id. Raises ConfigError, APIError."""
    from antiphon.cli.client import Client
    from antiphon.cli.embedded import own_server
    from antiphon.errors import APIError

    if url or not _wants_own(given, model):
        client = Client(url or DEFAULT_URL, key)
        try:
            client.models()
        except APIError as error:
            if url or error.code != "unreachable":
                raise
        else:
            yield client, model
            return
    engine = _is_engine_model(model)
    with own_server({**given, "model": model if engine else None}) as client:
        yield client, None if engine else model


def _wants_own(given: Mapping[str, Any], model: str | None) -> bool:
    return any(value is not None and value != () for value in given.values()) or (model or "").endswith(".gguf")


def _is_engine_model(model: str | None) -> bool:
    """Tell a model for the engine from an id: a file, or `owner/repo` as hubs have them."""
    return model is not None and (model.endswith(".gguf") or "/" in model)


def converse(talk: Talk) -> None:
    """Read questions until the end of the input."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - arrow keys and history for input()
    click.echo(f"{talk.model} · /help for help", err=True)
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        if text.startswith("/") and not text.startswith("//"):
            command(talk, text)
        elif text:
            talk.ask(text.removeprefix("/"))


def command(talk: Talk, text: str) -> None:
    """Run a command such as `/new`."""
    name, _, rest = text.partition(" ")
    match name, rest.strip():
        case "/new", _:
            talk.forget()
            click.echo("A new conversation.")
        case "/model", "":
            for id in talk.client.models():
                click.echo(f"{'*' if id == talk.model else ' '} {id}")
        case "/model", id:
            talk.model = id
        case "/help", _:
            click.echo(HELP)
        case _:
            click.echo(f"There is no {name}.\n{HELP}")
