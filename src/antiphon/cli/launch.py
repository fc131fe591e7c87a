"""`antiphon launch` and `antiphon connect`: agents and other clients on this server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from antiphon.cli.agents import AGENTS, SNIPPETS, AgentTarget, Launch, snippet
from antiphon.cli.agents import launch as launch_of
from antiphon.cli.chat import DEFAULT_URL, connected
from antiphon.cli.options import PARTS, with_options

NO_KEY = "none"


@with_options(*(option for option in PARTS if option.name != "model"))
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("agent", type=click.Choice(AGENTS))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", envvar="ANTIPHON_URL", metavar="URL", help=f"Server to use.  [default: {DEFAULT_URL}]")
@click.option("--key", envvar="ANTIPHON_KEY", metavar="KEY", help="API key for that server.")
@click.option(
    "--model", metavar="ID|FILE.gguf|ORG/REPO", help="Model id; if a server is started: as for `antiphon serve`."
)
def launch(
    agent: str, arguments: tuple[str, ...], url: str | None, key: str | None, model: str | None, **given: Any
) -> None:
    """Start a coding agent that uses this server, configured for this run only.

    Your own configuration of the agent is neither read nor changed. Arguments after the agent's name are passed to it.
    If no server is running, one is started and stopped with the agent.

    \b
    Examples:
      antiphon launch codex
      antiphon launch codex --model qwen3-coder -- exec "Fix the failing test."
      antiphon launch opencode --backend http://127.0.0.1:8000/v1
      antiphon launch llm -- "Say hello."
    """
    with connected(url, key or "", model, given) as (client, wanted):
        ids = client.models()
        if not ids and not wanted:
            raise click.ClickException(f"{client.url} has no models at present")
        target = AgentTarget(url=client.url, key=client.key or NO_KEY, model=wanted or ids[0])
        sys.exit(run(launch_of(agent, target), arguments))


def run(start: Launch, arguments: tuple[str, ...]) -> int:
    """Run an agent in a temporary folder of its own; return its exit status."""
    program = shutil.which(start.command[0])
    if program is None:
        raise click.ClickException(f"{start.command[0]} is not installed: {start.install}")
    with tempfile.TemporaryDirectory(prefix="antiphon-", ignore_cleanup_errors=True) as folder:
        write_files(Path(folder), start.files)
        variables = {name: value.replace("{folder}", folder) for name, value in start.variables.items()}
        command = [program, *start.command[1:], *arguments]
        try:
            return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode  # noqa: S603
        except KeyboardInterrupt:
            return 130


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write a profile, for the person's own eyes."""
    for name, text in files.items():
        path = folder / name
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
    """
    click.echo(snippet(client, AgentTarget(url=url, key=key, model=model or first_model(url))), nl=False)


def first_model(url: str) -> str:
    """Return the server's first model, or a stand-in where it can't be asked."""
    from antiphon.cli.client import Client
    from antiphon.errors import APIError

    try:
        ids = Client(url, os.environ.get("ANTIPHON_KEY", "")).models()
    except APIError:
        return "your-model"
    return ids[0] if ids else "your-model"
