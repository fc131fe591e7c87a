"""`antiphon run`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.chat import DEFAULT_URL, converse
from antiphon.cli.local.cache import fetch, model_cache
from antiphon.cli.options import KEY_VARIABLES, PARTS, with_options

if TYPE_CHECKING:
    from antiphon.cli.client import Client

ENGINE_OPTIONS = ("context", "threads", "gpu_layers", "config")


@with_options(*(option for option in PARTS if option.name in ENGINE_OPTIONS))
@click.command()
@click.argument("model", metavar="OWNER/REPO[:QUANT]|FILE.gguf|ID")
@click.argument("prompt", nargs=-1)
@click.option("--url", envvar="ANTIPHON_URL", metavar="URL", help=f"Server to talk to.  [default: {DEFAULT_URL}]")
@click.option("--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key for that server.")
def run(model: str, prompt: Sequence[str], url: str | None, key: str | None, **given: Any) -> None:
    """Talk to a model, downloading it first where it is not here.

    With PROMPT, or with text on stdin, it prints the answer and exits; otherwise it is a conversation. A running server that
    has the model answers; where none has it, a server of its own is started for as long as the command runs.

    \b
    Examples:
      antiphon run Qwen/Qwen3-4B-GGUF
      antiphon run unsloth/gemma-3-4b-it-GGUF:Q8_0 "Say hello in five words."
      cat notes.txt | antiphon run ./model.gguf "Summarise this:"
    """
    from antiphon.cli.talk import Talk

    with _server_of(model, url, key or "", given) as (client, id):
        talk = Talk(client, id, tty=sys.stdout.isatty())
        piped = "" if sys.stdin.isatty() else sys.stdin.read().strip()
        text = "\n\n".join(filter(None, (" ".join(prompt), piped)))
        if text:
            sys.exit(0 if talk.ask(text) else 1)
        if sys.stdin.isatty():
            converse(talk)


@contextlib.contextmanager
def _server_of(model: str, url: str | None, key: str, given: Mapping[str, Any]) -> Iterator[tuple[Client, str]]:
    """Return a client of a server that has the model, and the model's id there. Raises APIError."""
    from antiphon.cli.client import Client
    from antiphon.cli.embedded import own_server
    from antiphon.errors import APIError

    own = any(value is not None for value in given.values())
    if url or not own:
        client = Client(url or DEFAULT_URL, key)
        try:
            id = _id_at(client, model)
        except APIError:
            if url:
                raise
            id = None  # no server, or one that wants a key
        if url and id is None:
            raise APIError(
                404, f"unknown model '{model}' at {client.url}. Available: {', '.join(client.models()) or 'none'}"
            )
        if id is not None:
            yield client, id
            return
    with own_server({**given, "model": _at_hand(model, given.get("config"))}) as client:
        yield client, next(one.id for one in client.listed() if one.capabilities.supports_responses)


def _id_at(client: Client, model: str) -> str | None:
    """Return a model's id at a server, which may list it with its quantisation."""
    from antiphon.backends.llama.hub.local_model import plain_name

    wanted, ids = plain_name(model).lower(), client.models()
    exact = next((id for id in ids if id.lower() == wanted), None)
    return exact or next((id for id in ids if id.lower().startswith(f"{wanted}:")), None)


def _at_hand(model: str, config: str | None) -> str:
    """Return what `--model` takes for a model, which is downloaded first where it is not here."""
    from antiphon.backends.llama.hub.local_model import matching
    from antiphon.backends.llama.hub.models import is_hub_name, local_models

    if model.endswith(".gguf") and not is_hub_name(model):
        return model
    cache = model_cache(config)
    found = matching(local_models(cache), model)
    return (found or fetch(model, cache)).name
