"""`antiphon serve`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import PARTS, SERVER, load_settings, with_options

if TYPE_CHECKING:
    from antiphon.config import Config
    from antiphon.server.process.settings_source import Source


@with_options(*SERVER[:2], *PARTS, *SERVER[2:])
@click.command(
    epilog="Every option is also a setting of the settings file and an environment variable: see `antiphon config docs`.",
)
@click.option("--reload", "watch", is_flag=True, help="Reload settings when the settings file changes.")
@click.option("-q", "--quiet", is_flag=True, help="Print no banner.")
def serve(watch: bool, quiet: bool, **given: Any) -> None:
    """Serve the Responses API.

    \b
    Examples:
      antiphon serve
      antiphon serve --backend http://127.0.0.1:11434/v1
      antiphon serve --backend https://api.example.com/v1 --backend-key "$KEY"
      antiphon serve --backend a=http://gpu1:8000/v1 --backend b=http://gpu2:8000/v1
      antiphon serve --model Qwen/Qwen3-4B-GGUF:Q4_K_M --context 16384
      antiphon serve --host 0.0.0.0 --api-key "$(openssl rand -hex 24)" --tls-cert cert.pem --tls-key key.pem
      antiphon serve --host unix:/run/antiphon.sock

    Without --backend and --model it serves a tiny demo model.
    Ctrl-C stops the server after running responses have ended; a second Ctrl-C stops it at once. SIGHUP reloads the settings.
    """
    gc.disable()  # until all is loaded (`server.process`): to look for garbage in it is a sixth of a start
    from antiphon.server.process.settings_source import Source
    from antiphon.telemetry.log import set_up

    loaded = load_settings(given)
    config = loaded.config
    set_up(config.log_level, config.log_format)
    source = Source(lambda: load_again(config, given), loaded.file if watch else None)
    sys.exit(run(config, source, banner=not quiet and config.log_format == "text"))


def load_again(running: Config, given: Mapping[str, Any]) -> Config:
    """Load the settings anew and return those that a running server takes over. Raises ConfigError."""
    from antiphon.composition.reloading import changed, validate

    config = changed(running, load_settings(given).config)
    validate(config)
    return config


def run(config: Config, source: Source, *, banner: bool) -> int:
    """Serve until a signal comes; return the exit code. Raises ConfigError."""
    from antiphon.cli.banner import Banner
    from antiphon.composition import app
    from antiphon.net.http.address import UNIX
    from antiphon.server.process import run as server
    from antiphon.server.process.sockets import open_listeners

    if config.workers > 1:
        if banner and config.port and not config.host.startswith(UNIX) and "LISTEN_FDS" not in os.environ:
            Banner(config, config.port).start()
        return server.serve("antiphon.composition.app:build", config, source)
    listeners = open_listeners(config, os.environ)
    try:
        application = app.build(config)
        serving = server.make_server(application, config, source)
    except BaseException:
        listeners.remove()
        raise
    if banner and not listeners.alone:
        Banner(config, listeners.sockets[0].getsockname()[1]).start()
    else:
        listeners.announce(tls=bool(config.tls_cert))
    return server.run(application, serving, listeners)
