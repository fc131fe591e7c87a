"""`antiphon launch`: agents on this server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from antiphon.cli.agents.choice import chosen, remember, target_of
from antiphon.cli.agents.profiles import AGENTS
from antiphon.cli.agents.profiles import launch as launch_of
from antiphon.cli.agents.target import CONTEXT, AgentTarget, Launch
from antiphon.cli.chat import DEFAULT_URL, connected
from antiphon.cli.options import KEY_VARIABLES, PARTS, with_options

NO_KEY = "none"
DEMO = "antiphon-demo"


@with_options(*(option for option in PARTS if option.name != "model"))
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("agent", type=click.Choice(AGENTS))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", envvar="ANTIPHON_URL", metavar="URL", help=f"Server to use.  [default: {DEFAULT_URL}]")
@click.option("--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key for that server.")
@click.option(
    "--model",
    metavar="ID|FILE.gguf|ORG/REPO",
    help="Model id; if a server is started: as for `antiphon serve`.  [default: asked for in a terminal, else the last one or"
    " the first that can chat]",
)
@click.option("--isolated", is_flag=True, help="Codex: a home of its own for this run, not yours.")
def launch(
    agent: str,
    arguments: tuple[str, ...],
    url: str | None,
    key: str | None,
    model: str | None,
    isolated: bool,
    **given: Any,
) -> None:
    """Start a coding agent that uses this server, configured for this run only.

    Your own configuration of the agent is not changed. Codex and opencode use it beside ours: sessions, MCP servers and
    AGENTS.md stay in use (--isolated: Codex gets a home of its own for this run). llm and pi get a folder of their own,
    Claude Code one that keeps its sessions: ~/.local/share/antiphon/claude. Arguments after the agent's name are passed to
    it. If no server is running, one is started and stopped with the agent. With a window of less than 24,576 tokens, as the
    demo model has, Claude Code needs --bare.

    \b
    Examples:
      antiphon launch claude
      antiphon launch claude --model qwen3-coder -- --continue
      antiphon launch claude -- --bare -p "Say hello."
      antiphon launch codex
      antiphon launch codex --model qwen3-coder -- exec "Fix the failing test."
      antiphon launch codex -- resume --last
      antiphon launch opencode --backend http://127.0.0.1:11434/v1
      antiphon launch llm -- "Say hello."
    """
    program_of(launch_of(agent, AgentTarget(url="", key="", model="")))
    with connected(url, key or "", model, given) as (client, wanted):
        listed = client.catalogue()
        card = chosen(listed.data, wanted, client.url, agent)
        target = target_of(client, card, listed, key=client.key or NO_KEY, model=wanted or card.id)
        start = launch_of(agent, target, isolated=isolated)
        _check(agent, start, target, given_model=bool(wanted), bare=bool(start.bare) and start.bare in arguments)
        remember(agent, card.id)
        sys.exit(run(start, arguments))


def _check(agent: str, start: Launch, target: AgentTarget, *, given_model: bool, bare: bool) -> None:
    """Refuse a model that the agent cannot work with, and warn of a small window. Raises ClickException."""
    if start.tools and not bare and not given_model and target.model == DEMO:
        raise click.ClickException(
            f"{DEMO} is too small for {agent}: it knows next to nothing. Use a real model: --backend URL of a server that you"
            f" run, or --model FILE.gguf, --model OWNER/REPO. To try the connection all the same: --model {DEMO}."
        )
    if target.context < start.window and not bare:
        raise click.ClickException(
            f"{target.model} has a window of {target.context:,} tokens; {agent} needs {start.window:,}, most of it for its"
            f" own prompt. Choose another model (--model), or add `-- {start.bare}`: a short prompt, three tools."
        )
    if start.tools and target.context < CONTEXT:
        click.echo(
            f"antiphon: {target.model} has a window of {target.context:,} tokens; agents need {CONTEXT:,} or more, and may"
            " stop in the middle of a task. A larger one: --context for --model, or the engine's own setting.",
            err=True,
        )


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
        command = [program, *(word.replace("{folder}", folder) for word in start.command[1:]), *arguments]
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
