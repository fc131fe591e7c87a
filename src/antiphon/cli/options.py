"""Command-line options of a server, shared by the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from antiphon.config.loading import Loaded

Command = TypeVar("Command", bound=Callable[..., Any])

ENGINE_OPTIONS = ("model", "mmproj", "context", "threads", "gpu_layers")
_OF_TABLES = {name: f"engine.{name}" for name in ENGINE_OPTIONS} | {
    "api_key": "api_keys",
    "admin_key": "admin_keys",
    "web_search": "tools.web_search.provider",
}

KEY_VARIABLES = ("ANTIPHON_API_KEY", "ANTIPHON_KEY")
"""Variables with the key that commands send to a server; the second is its old name."""

PARTS: tuple[click.Option, ...] = (
    click.Option(
        ["--backend"],
        multiple=True,
        metavar="[NAME=]URL",
        help="Base URL of an inference server, such as http://127.0.0.1:8000/v1; all its models are served. Repeatable.",
    ),
    click.Option(
        ["--backend-key"],
        multiple=True,
        metavar="KEY",
        help="API key for --backend: one for all, or one per --backend, in order.",
    ),
    click.Option(
        ["--backend-api"],
        multiple=True,
        metavar="chat|responses|anthropic|scripted|NAME",
        help="API that the backends speak (NAME: added by another package): one for all, or one per --backend."
        "  [default: chat]",
    ),
    click.Option(
        ["--model"],
        metavar="FILE.gguf|ORG/REPO[:QUANT]",
        help="Model for the embedded engine: a file or a hub repository.",
    ),
    click.Option(["--mmproj"], metavar="FILE.gguf", help="Image projector for --model."),
    click.Option(
        ["--context"],
        type=int,
        metavar="TOKENS",
        help="Context window for --model in tokens; 0: the model's own, capped at 8192.",
    ),
    click.Option(["--threads"], type=int, metavar="N", help="CPU threads; 0: all cores."),
    click.Option(["--gpu-layers"], type=int, metavar="N", help="Number of layers on the GPU; -1: as many as fit."),
    click.Option(["--config"], metavar="FILE", help="Settings file (TOML).  [default: ./antiphon.toml if it exists]"),
)

SERVER: tuple[click.Option, ...] = (
    click.Option(
        ["--host"], metavar="ADDRESS", help="Address to listen on, or unix:/path/of/socket.  [default: 127.0.0.1]"
    ),
    click.Option(["--port"], type=int, metavar="PORT", help="Port to listen on; 0: a free one.  [default: 8080]"),
    click.Option(["--root-path"], metavar="PATH", help="Path below which a proxy serves the server, such as /ai."),
    click.Option(
        ["--api-key"],
        multiple=True,
        metavar="KEY",
        help="API key that clients must send. Repeatable.  [default: none needed]",
    ),
    click.Option(
        ["--admin-key"],
        multiple=True,
        metavar="KEY",
        help="API key of the operator: every scope, metrics and `antiphon top` included. Repeatable.",
    ),
    click.Option(
        ["--store"],
        metavar="PATH|URL|memory",
        help="Store of responses: SQLite file, PostgreSQL URL or memory.  [default: ~/.local/share/antiphon/antiphon.db]",
    ),
    click.Option(["--workers"], type=int, metavar="N", help="Number of worker processes.  [default: 1]"),
    click.Option(
        ["--tls-cert"], metavar="FILE.pem", help="Certificate with its chain: serve HTTPS.  [default: none, HTTP]"
    ),
    click.Option(["--tls-key"], metavar="FILE.pem", help="Private key of --tls-cert, if not in the same file."),
    click.Option(
        ["--web-search"],
        metavar="searxng=URL|brave|tavily|exa|serper|kagi|wikipedia|mcp:LABEL/TOOL|off",
        help="Web search provider for models.  [default: wikipedia on loopback without keys, else off]",
    ),
    click.Option(
        ["--url-guard-allow"],
        multiple=True,
        metavar="CIDR",
        help="Private network that URLs in requests may point to. Repeatable.",
    ),
    click.Option(
        ["--log-level"],
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Minimum log level.  [default: info]",
    ),
)


def with_options(*options: click.Option) -> Callable[[click.Command], click.Command]:
    """Add options to a command, before its own."""

    def add(command: click.Command) -> click.Command:
        command.params[:0] = options
        return command

    return add


def flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, by key path: what `loading.load` takes."""
    return {
        _OF_TABLES.get(name, name): list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None and value != ()
    }


def arguments(given: Mapping[str, Any]) -> list[str]:
    """Return the options that were given as they stand on a command line."""
    words: list[str] = []
    for name, value in given.items():
        for one in value if isinstance(value, tuple) else [value] if value is not None else []:
            words += [f"--{name.replace('_', '-')}={one}"]
    return words


def load_settings(given: Mapping[str, Any]) -> Loaded:
    """Load the settings of the options, the environment and the file. Raises ConfigError."""
    from antiphon.config.loading import load

    return load(flags(given), os.environ)
