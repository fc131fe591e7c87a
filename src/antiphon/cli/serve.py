"""`antiphon serve`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import PARTS, SERVER, load_settings, with_options

if TYPE_CHECKING:
    from antiphon.config import Config


@with_options(*SERVER[:2], *PARTS, *SERVER[2:])
@click.command(
    epilog="Every option is also a setting of the file and a variable: see `antiphon config docs`.",
)
@click.option("-q", "--quiet", is_flag=True, help="No banner.")
def serve(quiet: bool, **given: Any) -> None:
    """Serve the Responses API.

    \b
    Examples:
      antiphon serve
      antiphon serve --backend http://127.0.0.1:11434/v1
      antiphon serve --backend https://api.example.com/v1 --backend-key "$KEY"
      antiphon serve --backend a=http://gpu1:8000/v1 --backend b=http://gpu2:8000/v1
      antiphon serve --model Qwen/Qwen3-4B-GGUF:Q4_K_M --context 16384
      antiphon serve --host 0.0.0.0 --api-key "$(openssl rand -hex 24)"

    Without --backend and --model it serves a tiny demo model.
    Ctrl-C ends it once running answers are complete; twice, at once.
    """
    from antiphon.log import set_up

    config = load_settings(given).config
    set_up(config.log_level, config.log_format)
    sys.exit(run(config, banner=not quiet and config.log_format == "text"))


def run(config: Config, *, banner: bool) -> int:
    """Serve until a signal comes; return the exit code. Raises ConfigError."""
    from antiphon import app
    from antiphon.cli.banner import Banner
    from antiphon.server import run as server

    if config.workers > 1:
        if banner and config.port:
            Banner(config, config.port).start()
        return server.serve("antiphon.app:build", config)
    sockets = server.listen(config.host, config.port)
    application = app.build(config)
    if banner:
        Banner(config, sockets[0].getsockname()[1]).start()
    else:
        server.announce(sockets)
    return server.run(application, config, sockets)
