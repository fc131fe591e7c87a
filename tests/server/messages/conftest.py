"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.messages.planned import Planned
from tests.server.whole import Client, upstream, whole_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Planned) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with whole_server(url) as served:
        yield served
