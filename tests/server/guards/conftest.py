"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.guards.models import SecretiveModel
from tests.server.whole import upstream


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(SecretiveModel) as url:
        yield url


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    SecretiveModel.asked.clear()
    SecretiveModel.moderated.clear()
    yield
    SecretiveModel.moderation_status, SecretiveModel.hesitates = 200, None
