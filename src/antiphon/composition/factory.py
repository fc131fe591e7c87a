"""The server as an application for other programs: `create_app`."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable

from antiphon.composition.app import Parts
from antiphon.config import Config
from antiphon.config.loading import complete, load
from antiphon.config.rules import check
from antiphon.server.asgi import AntiphonApp
from antiphon.tools.base import HostedTool


def load_config(file: str | os.PathLike[str] | None = None) -> Config:
    """Return the settings as `antiphon serve` finds them: environment, then the file, then defaults. Raises ConfigError.

    Without `file`: that of `ANTIPHON_CONFIG`, else `antiphon.toml` in the current folder if it is there.
    """
    return load({} if file is None else {"config": os.fspath(file)}, os.environ).config


def create_app(config: Config | None = None, *, hosted_tools: Iterable[HostedTool] = ()) -> AntiphonApp:
    """Return the server as an ASGI application, for another program's process. Raises ConfigError.

    The settings are checked by the rules of `antiphon serve`; without a backend it serves the demo model. None: what
    `load_config` finds. `hosted_tools` are tools that the server runs within a response, one of each kind (`hosted_kind`).
    The host runs its ASGI lifespan, or enters `async with app.running():`.
    """
    if config is None:
        config = load_config()
    else:
        config = copy.deepcopy(config)
        complete(config, os.environ)
        check(config)
    return Parts(config, hosted=hosted_tools).app
