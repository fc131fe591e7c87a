"""`antiphon launch` and `antiphon connect`: agents and other clients on this server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.agents.profiles import AGENTS
from antiphon.cli.agents.profiles import launch as launch_of
from antiphon.cli.agents.snippets import SNIPPETS, snippet
from antiphon.cli.agents.target import CONTEXT, AgentTarget, Launch
from antiphon.cli.chat import DEFAULT_URL, connected
from antiphon.cli.options import PARTS, with_options

if TYPE_CHECKING:
    from antiphon.cli.client import Client, ListedModel

NO_KEY = "none"
MARKUP = frozenset("\"'`$\\{}\n\r")
"""Characters that mean something in shells and programs, which no model's id needs."""


@with_options(*(option for option in PARTS if option.name != "model"))
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("agent", type=click.Choice(AGENTS))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", envvar="ANTIPHON_URL", metavar="URL", help=f"Server to use.  [default: {DEFAULT_URL}]")
@click.option("--key", envvar="ANTIPHON_KEY", metavar="KEY", help="API key for that server.")
@click.option(
    "--model",
    metavar="ID|FILE.gguf|ORG/REPO",
    help="Model id; if a server is started: as for `antiphon serve`.  [default: asked for in a terminal, else the first]",
)
def launch(
    agent: str, arguments: tuple[str, ...], url: str | None, key: str | None, model: str | None, **given: Any
) -> None:
    """Start a coding agent that uses this server, configured for this run only.

    Your own configuration of the agent is neither read nor changed. Arguments after the agent's name are passed to it.
    If no server is running, one is started and stopped with the agent. Claude Code keeps its sessions for the next run
    in ~/.local/share/antiphon/claude; with a window of less than 24,576 tokens, as the demo model has, it needs --bare.

    \b
    Examples:
      antiphon launch claude
      antiphon launch claude --model qwen3-coder -- --continue
      antiphon launch claude -- --bare -p "Say hello."
      antiphon launch codex
      antiphon launch codex --model qwen3-coder -- exec "Fix the failing test."
      antiphon launch opencode --backend http://127.0.0.1:8000/v1
      antiphon launch llm -- "Say hello."
    """
    program_of(launch_of(agent, AgentTarget(url="", key="", model="")))
    with connected(url, key or "", model, given) as (client, wanted):
        card = chosen(client.listed(), wanted, client.url)
        target = AgentTarget(
            url=client.url, key=client.key or NO_KEY, model=wanted or card.id, context=card.context_length or CONTEXT
        )
        start = launch_of(agent, target)
        if target.context < start.window and start.bare not in arguments:
            raise click.ClickException(
                f"{target.model} has a window of {target.context:,} tokens; {agent} needs {start.window:,}, most of it for its"
                f" own prompt. Choose another model (--model), or add `-- {start.bare}`: a short prompt, three tools."
            )
        sys.exit(run(start, arguments))


def chosen(models: Sequence[ListedModel], wanted: str | None, url: str) -> ListedModel:
    """Return the model that is wanted; in a terminal it is asked for. An alias or a name that is not listed passes."""
    from antiphon.cli.client import ListedModel

    if wanted:
        return next((model for model in models if model.id == wanted), ListedModel(id=wanted))
    if not models:
        raise click.ClickException(f"{url} has no models at present")
    if len(models) == 1 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return models[0]
    for number, model in enumerate(models, 1):
        window = f"  {model.context_length:,} tokens" if model.context_length else ""
        click.echo(f"{number:3}  {model.id}{window}", err=True)
    number = click.prompt("Model", type=click.IntRange(1, len(models)), default=1, err=True)
    return models[number - 1]


def program_of(start: Launch) -> str:
    """Return the agent's program; one that is not there is told before a server is started for it."""
    program = shutil.which(start.command[0])
    if program is None:
        raise click.ClickException(f"{start.command[0]} is not installed: {start.install}")
    return program


def run(start: Launch, arguments: tuple[str, ...]) -> int:
    """Run an agent in a folder of its own; return its exit status."""
    program = program_of(start)
    with folder_of(start) as folder:
        write_files(Path(folder), start.files, kept=start.kept)
        variables = {name: value.replace("{folder}", folder) for name, value in start.variables.items()}
        inherited = {
            name: value for name, value in os.environ.items() if not (start.without and name.startswith(start.without))
        }
        command = [program, *start.command[1:], *arguments]
        try:
            return subprocess.run(command, env={**inherited, **variables}, check=False).returncode  # noqa: S603
        except KeyboardInterrupt:
            return 130


@contextlib.contextmanager
def folder_of(start: Launch) -> Iterator[str]:
    """Return an agent's folder: a temporary one, or one that is kept beside the server's store."""
    if not start.kept:
        with tempfile.TemporaryDirectory(prefix="antiphon-", ignore_cleanup_errors=True) as folder:
            yield folder
        return
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    kept = home / "antiphon" / start.command[0]
    try:
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{kept} cannot be made: {error.strerror}") from None
    yield str(kept)


def write_files(folder: Path, files: Mapping[str, str], *, kept: bool = False) -> None:
    """Write a profile, for the person's own eyes. In a kept folder what is there already stays."""
    for name, text in files.items():
        path = folder / name
        if not (kept and path.exists()):
            path.write_text(text.replace("{folder}", str(folder)))
            path.chmod(0o600)


@click.command()
@click.argument("client", type=click.Choice(sorted(SNIPPETS)))
@click.option(
    "--url", envvar="ANTIPHON_URL", default=DEFAULT_URL, show_default=True, metavar="URL", help="URL of the server."
)
@click.option(
    "--key", metavar="KEY", default="$ANTIPHON_KEY", show_default=True, help="Text to print in place of the API key."
)
@click.option("--model", metavar="ID", help="Model id.  [default: the server's first model]")
def connect(client: str, url: str, key: str, model: str | None) -> None:
    """Print the configuration for a client that uses this server.

    \b
    Examples:
      antiphon connect python
      antiphon connect vscode --url http://gpu1:8080/v1 --model qwen3-coder
      eval "$(antiphon connect claude)"
    """
    from antiphon.cli.client import Client

    server = Client(url, os.environ.get("ANTIPHON_KEY", ""))
    card = listed_model(server, model)
    if MARKUP & set(card.id):
        raise click.ClickException(f"the model's id {card.id!r} cannot stand in a snippet; name another by --model")
    target = AgentTarget(url=server.url, key=key, model=card.id, context=card.context_length or CONTEXT)
    click.echo(snippet(client, target), nl=False)


def listed_model(server: Client, wanted: str | None) -> ListedModel:
    """Return the model of this id, or the server's first, or a stand-in where it can't be asked."""
    from antiphon.cli.client import ListedModel
    from antiphon.errors import APIError

    models: Sequence[ListedModel] = ()
    with contextlib.suppress(APIError):
        models = server.listed()
    if wanted:
        return next((model for model in models if model.id == wanted), ListedModel(id=wanted))
    return models[0] if models else ListedModel(id="your-model")
