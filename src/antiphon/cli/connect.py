"""`antiphon connect`: settings of other clients for this server, printed, or written where a client has a file for them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.cli.agents import codex
from antiphon.cli.agents.choice import able_models, target_of
from antiphon.cli.agents.snippets import SNIPPETS, snippet
from antiphon.cli.agents.target import NAMED_KEY, AgentTarget
from antiphon.cli.chat import DEFAULT_URL
from antiphon.cli.options import KEY_VARIABLES

if TYPE_CHECKING:
    from antiphon.cli.client import Client, ListedModel, ListedModels

MARKUP = frozenset("\"'`$\\{}\n\r")
"""Characters that mean something in shells and programs, which no model's id needs."""


@click.command()
@click.argument("client", type=click.Choice(sorted(SNIPPETS)), metavar="CLIENT")
@click.option(
    "--url", envvar="ANTIPHON_URL", default=DEFAULT_URL, show_default=True, metavar="URL", help="URL of the server."
)
@click.option(
    "--key", metavar="KEY", default=NAMED_KEY, help=f"Text to print in place of the API key.  [default: {NAMED_KEY}]"
)
@click.option("--model", metavar="ID", help="Model id.  [default: the server's first model that can chat]")
@click.option("--write", is_flag=True, help="codex: write the profile `antiphon` into Codex's home.")
@click.option("--restore", is_flag=True, help="codex: delete what --write wrote.")
def connect(client: str, url: str, key: str, model: str | None, write: bool, restore: bool) -> None:
    """Print the configuration for a client that uses this server.

    \b
    CLIENT is one of:
      libraries     python javascript agents-sdk agents-sdk-js ai-sdk langchain pydantic-ai
                    anthropic anthropic-js claude-agent-sdk curl
      agents        claude codex opencode pi llm aider goose crush cline roo
      applications  vscode zed continue cursor jan raycast open-webui librechat n8n

    The printed text reads the key from ANTIPHON_API_KEY.

    \b
    Examples:
      antiphon connect python
      antiphon connect vscode --url http://gpu1:8080/v1 --model qwen3-coder
      antiphon connect codex --write && codex --profile antiphon
      eval "$(antiphon connect claude)"
    """
    from antiphon.cli.client import Client

    if (write or restore) and client != "codex":
        raise click.UsageError(f"--write and --restore know the files of codex only; {client}'s settings are printed")
    if restore:
        restore_codex()
        return
    server = Client(url, next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), ""))
    card, listed = listed_model(server, model)
    if MARKUP & set(card.id):
        raise click.ClickException(f"the model's id {card.id!r} cannot stand in a snippet; name another by --model")
    target = target_of(server, card, listed, key=key, model=card.id)
    if write:
        write_codex(target)
    else:
        click.echo(snippet(client, target), nl=False)


def listed_model(server: Client, wanted: str | None) -> tuple[ListedModel, ListedModels]:
    """Return the model of this id, or the server's first that can chat, or a stand-in where it can't be asked."""
    from antiphon.cli.client import ListedModel, ListedModels
    from antiphon.errors import APIError

    listed = ListedModels(data=[])
    with contextlib.suppress(APIError):
        listed = server.catalogue()
    able = able_models(listed.data)
    if wanted:
        return next((model for model in listed.data if model.id == wanted), ListedModel(id=wanted)), listed
    return able[0] if able else ListedModel(id="your-model"), listed


def codex_home() -> Path:
    """Return Codex's home."""
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")


def write_codex(target: AgentTarget) -> None:
    """Write the profile and the catalogue into Codex's home; a profile of the person's own is left. Raises ClickException."""
    home = codex_home()
    profile, catalogue = home / codex.PROFILE, home / codex.PROFILE_CATALOGUE
    if profile.exists() and not _ours(profile):
        raise click.ClickException(f"{profile} is not from `antiphon connect codex --write`: move it away first")
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        catalogue.write_text(codex.catalogue(target))
        profile.write_text(codex.MARK + codex.toml(target, str(catalogue)))
    except OSError as error:
        raise click.ClickException(f"{profile} cannot be written: {error.strerror}") from None
    click.echo(f"{profile}\nUse it: codex --profile antiphon (ANTIPHON_API_KEY in the environment)")


def restore_codex() -> None:
    """Delete what `write_codex` wrote. Raises ClickException where the profile is the person's own."""
    home = codex_home()
    profile = home / codex.PROFILE
    if profile.exists() and not _ours(profile):
        raise click.ClickException(f"{profile} is not from `antiphon connect codex --write`: it stays")
    for path in (profile, home / codex.PROFILE_CATALOGUE):
        path.unlink(missing_ok=True)
    click.echo(f"{home} is as it was before")


def _ours(profile: Path) -> bool:
    with profile.open() as file:
        return file.read(len(codex.MARK)) == codex.MARK
