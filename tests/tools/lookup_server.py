"""A server with the tool `lookup`, in a process of its own: `python -m tests.tools.lookup_server STORE BACKEND_URL`."""

from __future__ import annotations

import sys

from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from tests.server.serving import serving
from tests.tools.lookup import Lookup


def main(store: str, url: str) -> None:
    """Serve until the standard input ends; the first line of the output is the server's URL."""
    config = Config(store=store, backends={"upstream": BackendConfig(url=url)}, background_lease=1.0)
    with serving(app.build(config, [Lookup()]), config) as served:
        print(served.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
