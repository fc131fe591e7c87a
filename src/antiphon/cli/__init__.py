"""The command line: parse arguments, print; nothing else. Heavy imports stay inside the commands."""

from __future__ import annotations

from importlib import import_module

import click

from antiphon import __version__
from antiphon.errors import APIError, ConfigError

COMMANDS = {
    "serve": "serve.serve",
    "chat": "chat.chat",
    "run": "local.run.run",
    "pull": "local.cache.pull",
    "list": "local.cache.list_models",
    "ps": "local.ps.ps",
    "stop": "local.stop.stop",
    "rm": "local.cache.rm",
    "check": "checks.check.check",
    "doctor": "checks.doctor.doctor",
    "conform": "checks.conform.conform",
    "models": "models.models",
    "keys": "keys.keys",
    "usage": "usage.usage",
    "audit": "audit.audit",
    "top": "monitor.top.top",
    "launch": "launch.launch",
    "connect": "connect.connect",
    "config": "config.config",
    "db": "db.db",
}
"""Where each command is in this folder: its module, and its name there. A module is imported when its command is wanted."""


class _Commands(click.Group):
    """Commands whose known errors are one line on stderr; those of `COMMANDS` are imported when they are wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            # Of an unknown one, click names the nearest of all.
            for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
                module, _, function = COMMANDS[name].rpartition(".")
                self.add_command(getattr(import_module(f"antiphon.cli.{module}"), function), name)
        return self.commands.get(cmd_name)

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


def main() -> None:
    """Run the command line."""
    cli(prog_name="antiphon")
