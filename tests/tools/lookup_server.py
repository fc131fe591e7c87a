"""A server with the tool `lookup`, in a process of its own: `python -m tests.tools.lookup_server STORE BACKEND_URL [LIMIT]`."""

from __future__ import annotations

import sys

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig
from tests.server.serving import serving
from tests.tools.lookup import Lookup


def main(store: str, url: str, limit: str = "") -> None:
    """Serve until the standard input ends; the first line of the output is the server's URL. With a limit there is a key."""
    keys = {"ann": KeyConfig(key="sk-ann", limits=[limit])} if limit else {}
    config = Config(store=store, backends={"upstream": BackendConfig(url=url)}, background_lease=1.0, keys=keys)
    with serving(app.build(config, [Lookup()]), config) as served:
        print(served.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
