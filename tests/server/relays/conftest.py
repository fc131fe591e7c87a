"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from antiphon.config import ModelConfig
from tests.server.relays.every_route import EveryRoute
from tests.server.relays.relay_requests import KEYS
from tests.server.whole import Client, upstream, whole_server


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    models = {"text-costly": ModelConfig(name="text-embedding-mini", price_input=400_000.0)}
    with upstream(EveryRoute) as url, whole_server(url, keys=KEYS, models=models, max_form=100_000) as server:
        yield Client(server.url, "all")


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    yield
    EveryRoute.broken.clear()
    EveryRoute.absent.clear()
