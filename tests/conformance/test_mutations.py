"""Each check of the suite finds what is wrong: answers of a good server are changed, and the check says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.conformance.base import CheckOutcome, Mark, ServerUnderTest
from antiphon.conformance.suite import outcome
from antiphon.conformance.table import checks_of
from tests.acceptance.command import serving
from tests.conformance.able import able_settings
from tests.conformance.mutated import MutatedWire, Mutation
from tests.conformance.mutations import ROWS, Row

pytestmark = pytest.mark.slow

CHECKS = {(check.area, check.name): check for check in checks_of()}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUnderTest]:
    folder = Path(tmp_path_factory.mktemp("able"))
    with able_settings(folder) as file, serving(folder, "--config", str(file), "--store", "memory") as command:
        yield ServerUnderTest(
            url=f"{command.url}/v1",
            model="capable",
            embedding_model="text-embedding-mini",
            moderation_model="text-moderation-small",
        )


def run(target: ServerUnderTest, area: str, name: str, *mutations: Mutation) -> tuple[CheckOutcome, int]:
    """Make one check with answers that are changed; return what came of it, and how many were."""

    async def made() -> tuple[CheckOutcome, int]:
        wire = MutatedWire(target, mutations)
        try:
            return await outcome(wire, CHECKS[area, name], 60), wire.met
        finally:
            await wire.close()

    return asyncio.run(made())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.area}, {row.name}: {row.words}")
def test_a_changed_answer_is_found(target: ServerUnderTest, row: Row) -> None:
    found, met = run(target, row.area, row.name, row.mutation)
    assert met
    assert found.mark == row.mark, found.reasons
    assert re.search(row.words, " ".join(found.reasons)), found.reasons
    assert found.exchanges


def test_each_check_has_a_row() -> None:
    assert {(row.area, row.name) for row in ROWS} == set(CHECKS)


@pytest.mark.parametrize("key", CHECKS, ids=lambda key: ", ".join(key))
def test_a_server_that_fails_is_never_right(target: ServerUnderTest, key: tuple[str, str]) -> None:
    found, _ = run(
        target, *key, Mutation(".", status=500, raw=b"oops"), Mutation("SOCKET", answer=lambda _: {"type": "x"})
    )
    if key[0] in ("streaming", "websocket") or "stream" in key[1]:
        return  # these have no whole answer that is changed here
    assert found.mark in (Mark.NO, Mark.NOT_OFFERED), found
