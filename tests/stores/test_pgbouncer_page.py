"""The configuration of PgBouncer on its page in docs/operate: a server's store works through it, as the page says."""

from __future__ import annotations

import asyncio
import re

import pytest

from antiphon.errors import ConfigError
from antiphon.stores.open import open_postgres
from tests.guide.blocks import DOCS, blocks
from tests.stores.pgbouncer import pooled
from tests.stores.samples import ANN, response

pytestmark = [pytest.mark.slow, pytest.mark.needs("pgbouncer", "postgresql")]

PAGE = (DOCS / "operate/pgbouncer.md").read_text()
HERE = {
    r"^antiphon = .*$": "* = host={folder} port=5432",
    r"^listen_port = .*$": "listen_port = {port}\nunix_socket_dir =",
    r"^auth_file = .*$": "auth_file = {users}",
}
"""What differs on this machine: where the database is, a free port, the file of users."""


def page_ini() -> str:
    (ini,) = [block.text for block in blocks(PAGE) if block.language == "ini"]
    for line, other in HERE.items():
        ini, found = re.subn(line, other, ini, flags=re.MULTILINE)
        assert found == 1, line
    return ini


async def test_a_store_works_through_it(postgres_url: str) -> None:
    with pooled(postgres_url, "transaction", ini=page_ini()) as url:
        store = open_postgres(f"{url}&pgbouncer=true")
        try:
            await asyncio.gather(*(store.responses.put(response(number)) for number in range(30)))
            assert await store.responses.get(response(29).id, ANN) == response(29)
        finally:
            await store.close()


async def test_the_parameter_is_asked_for(postgres_url: str) -> None:
    with pooled(postgres_url, "transaction", ini=page_ini()) as url, pytest.raises(ConfigError, match="pgbouncer=true"):
        open_postgres(url)
