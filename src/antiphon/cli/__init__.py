"""The command line: parse arguments, print; nothing else. Heavy imports stay inside the commands."""

from __future__ import annotations

import click

from antiphon import __version__
from antiphon.cli.audit import audit
from antiphon.cli.chat import chat
from antiphon.cli.checks.check import check
from antiphon.cli.checks.conform import conform
from antiphon.cli.checks.doctor import doctor
from antiphon.cli.config import config
from antiphon.cli.connect import connect
from antiphon.cli.db import db
from antiphon.cli.keys import keys
from antiphon.cli.launch import launch
from antiphon.cli.local.cache import list_models, pull, rm
from antiphon.cli.local.ps import ps
from antiphon.cli.local.run import run
from antiphon.cli.local.stop import stop
from antiphon.cli.models import models
from antiphon.cli.monitor.top import top
from antiphon.cli.serve import serve
from antiphon.cli.usage import usage
from antiphon.errors import APIError, ConfigError


class _Commands(click.Group):
    """Commands whose known errors are one line on stderr."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ConfigError, APIError) as error:
            click.echo(f"antiphon: error: {error}", err=True)
            raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Documentation: /docs/guide of a running server, or `antiphon COMMAND --help`.",
)
@click.version_option(__version__, "-V", "--version", message="antiphon %(version)s")
def cli() -> None:
    """The self-hosted server for the Responses API. Any model, one complete API.

    \b
    antiphon serve                                      the embedded demo model
    antiphon serve --backend http://127.0.0.1:8000/v1   vLLM, llama.cpp, Ollama …
    antiphon serve --model FILE.gguf                    your model, in the embedded engine
    antiphon run OWNER/REPO                             download a model and talk to it
    antiphon chat                                       talk to it in the terminal
    antiphon launch codex                               let an agent use it
    antiphon top                                        watch a running server
    """


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"antiphon {__version__}")


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes this command line in a shell.

    \b
    Examples:
      eval "$(antiphon completion bash)"                                # in ~/.bashrc
      eval "$(antiphon completion zsh)"                                 # in ~/.zshrc
      antiphon completion fish > ~/.config/fish/completions/antiphon.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "antiphon", "_ANTIPHON_COMPLETE").source())


COMMANDS = (
    serve,
    chat,
    run,
    pull,
    list_models,
    ps,
    stop,
    rm,
    check,
    doctor,
    conform,
    models,
    keys,
    usage,
    audit,
    top,
    launch,
    connect,
    config,
    db,
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli(prog_name="antiphon")
