"""Three real servers on one PostgreSQL: a container moves with its files when the server that held it is killed by `kill -9`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from antiphon.stores.postgres.connection.preparation import blocking
from tests.acceptance.command import Command, serving
from tests.bounds import bound
from tests.server.coder import Coder
from tests.server.whole import Client, Json, upstream
from tests.stores.postgres_server import running

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgresql"), pytest.mark.needs("bwrap")]

REPLICAS, LEASE = 3, 3.0
CONFIG = """
store = "{store}"
log_level = "error"
background_lease = {lease}
[backends.m]
url = "{url}/v1"
[tools.code_interpreter]
call_seconds = 120
"""
WORKING = "print('begun', flush=True)\nopen('half', 'w').write('x')\nimport time\ntime.sleep(100)"
HELD = "SELECT holder FROM antiphon.containers WHERE held_until > extract(epoch FROM now())"
LEFT = "import os\nsorted(os.listdir('/mnt/data')), open('/mnt/data/kept').read(), 'x' in globals()"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[tuple[Sequence[Command], str]]:
    with ExitStack() as stack:
        url = stack.enter_context(running()).create("containers")
        model = stack.enter_context(upstream(Coder))
        (tmp_path / "antiphon.toml").write_text(CONFIG.format(store=url, url=model, lease=LEASE))
        yield [stack.enter_context(serving(tmp_path, "--config", "antiphon.toml")) for _ in range(REPLICAS)], url


def holders(url: str) -> list[str]:
    import asyncpg

    async def fetch() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return [row["holder"] for row in await connection.fetch(HELD)]
        finally:
            await connection.close()

    return blocking(fetch)


def run(server: Command, code: str, container: str | None = None, previous: str | None = None) -> Json:
    """Run code through a server, in a container; return the response."""
    tool = {"type": "code_interpreter", "container": container or {"type": "auto"}}
    fields: Json = {"model": "m", "input": code, "tools": [tool], "include": ["code_interpreter_call.outputs"]}
    if previous is not None:
        fields["previous_response_id"] = previous
    return Client(server.url).create(**fields)


def logs(response: Json) -> str:
    (call,) = [item for item in response["output"] if item["type"] == "code_interpreter_call"]
    return "".join(output["logs"] for output in call["outputs"])


def test_a_container_moves_with_its_files_when_its_server_is_killed(group: tuple[Sequence[Command], str]) -> None:
    (first, second, third), url = group
    begun = run(first, "x = 1\nopen('/mnt/data/kept', 'w').write('content')")
    container = begun["output"][0]["container_id"]
    # Between two calls: the next server has the files at once, and says that variables are gone.
    first.process.kill()
    first.process.wait()
    moved = run(second, LEFT, previous=begun["id"])
    assert "(['kept'], 'content', False)" in logs(moved) and "started anew" in logs(moved)
    assert moved["output"][0]["container_id"] == container
    # During a call: it is free after the lease, long before the call could have ended.
    working = threading.Thread(target=_broken_off, args=(second, container))
    working.start()
    end = time.monotonic() + bound(60)
    while not holders(url):
        assert time.monotonic() < end, "the call does not begin"
        time.sleep(0.05)
    time.sleep(2 * LEASE)  # it is held for longer than a lease, as it is renewed
    assert holders(url)
    second.process.kill()
    second.process.wait()
    killed = time.monotonic()
    again = run(third, LEFT, container=container)
    assert "(['kept'], 'content', False)" in logs(again)
    assert time.monotonic() - killed < bound(60)
    working.join()
    files = Client(third.url).get(f"/v1/containers/{container}/files")[1]["data"]
    assert [file["path"] for file in files] == ["/mnt/data/kept"]


def _broken_off(server: Command, container: str) -> None:
    try:
        run(server, WORKING, container=container)
    except (OSError, ValueError):
        return  # its server is gone
    raise AssertionError("the call has ended")
