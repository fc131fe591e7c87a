"""`kill -9` of the real command while it works on a batch; and of a replica."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.background import running
from tests.acceptance.batches import CountingModel, work
from tests.stores.postgres_server import running as running_postgres

pytestmark = pytest.mark.slow


def test_a_server_is_killed_while_it_works_on_a_batch(tmp_path: Path) -> None:
    with running(CountingModel) as url:
        work(tmp_path, url, "antiphon.db", kills=3)


@pytest.mark.needs("postgresql")
def test_a_replica_is_killed_while_it_works_on_a_batch(tmp_path: Path) -> None:
    with running(CountingModel) as url, running_postgres() as postgres:
        work(tmp_path, url, postgres.create("batches"), kills=2, replicas=2)
