"""A few minutes' worth of `scripts/attack` with fixed seeds. What is found is written to the test's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack import fuzz
from tests.attack.growth import run_growth
from tests.attack.kill import run_kill
from tests.attack.parts import common_target
from tests.attack.report import Report
from tests.attack.tenants import routes, run_tenants
from tests.stores.postgres_server import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BUSY = 2.0
"""Seconds that the event loop may be late here: tests run beside others. `scripts/attack growth` asks for 50 ms."""


def judge(report: Report) -> None:
    """Fail with what was found."""
    assert not report.kinds, [
        (one.part, one.fault, one.case, one.sent[:300], one.came[:500]) for one in report.findings
    ]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "findings")


async def test_mutants_over_http_and_websocket(report: Report) -> None:
    async with common_target() as target:
        await fuzz.run_fuzz(target, report, seed=20261128, count=4000)
    judge(report)


async def test_no_input_costs_more_than_its_size(report: Report) -> None:
    async with common_target() as target:
        await run_growth(target, report, delay=BUSY)
    judge(report)


async def test_nobody_reads_what_is_anothers_on_sqlite(report: Report, tmp_path: Path) -> None:
    await run_tenants(tmp_path, report, "antiphon.db", "sqlite")
    judge(report)


@pytest.fixture
def postgres_url() -> object:
    with running() as postgres:
        yield postgres.create("tenants")


@pytest.mark.needs("postgresql")
async def test_nobody_reads_what_is_anothers_on_postgresql(report: Report, tmp_path: Path, postgres_url: str) -> None:
    await run_tenants(tmp_path, report, postgres_url, "postgres")
    judge(report)


def test_the_table_of_tenants_holds_every_route() -> None:
    assert len(routes()) > 25
    assert any("{item_id}" in route.path for route in routes())


async def test_nothing_is_lost_by_kill_9(report: Report, tmp_path: Path) -> None:
    await run_kill(tmp_path, report, seed=20261128, count=5)
    judge(report)
