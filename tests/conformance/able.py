"""A server that can do all that the suite asks for: the settings, and the backends behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.upstream import Upstream
from tests.server.relays.every_route import EveryRoute
from tests.server.whole import upstream

SETTINGS = """
[backends.upstream]
url = "{upstream}"
[backends.everything]
url = "{everything}"
[default_models]
moderation = "text-moderation-small"
"""
MODELS = ("--model", "capable", "--embedding-model", "text-embedding-mini")


@contextmanager
def able_settings(folder: Path) -> Iterator[Path]:
    """Run the backends, and write the settings of a server in front of them."""
    with upstream(Upstream) as chat, upstream(EveryRoute) as everything:
        file = folder / "able.toml"
        file.write_text(SETTINGS.format(upstream=chat, everything=everything))
        yield file
