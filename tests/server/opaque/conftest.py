"""A server in front of a provider that sends what only it can read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.providers import Provider
from tests.server.whole import Client, upstream, whole_server


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with upstream(Provider) as url:
        yield url


@pytest.fixture(scope="module")
def client(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with whole_server(backend, store=str(tmp_path_factory.mktemp("store") / "antiphon.db")) as client:
        yield client
