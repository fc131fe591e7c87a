"""`antiphon db backup` and `restore`: whole copies while a server writes; a copy does no work twice; nothing is overwritten."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from antiphon.errors import ConfigError
from antiphon.stores import upkeep
from antiphon.stores.open import open_store
from tests.stores.samples import delivery, response

STEPS: list[tuple[int, int]] = []


def told(done: int, total: int) -> None:
    STEPS.append((done, total))


async def filled(path: Path, responses: int = 3) -> None:
    store = open_store(str(path))
    for number in range(responses):
        await store.responses.put(response(number))
    await store.close()
    path.with_suffix(".key").write_text("secret")


def rows(path: Path, table: str = "responses") -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_copy_is_whole_and_private(tmp_path: Path) -> None:
    store, copy = tmp_path / "antiphon.db", tmp_path / "kept" / "copy.db"
    await filled(store)
    upkeep.backup(str(store), copy, told)
    assert rows(copy) == 3 and STEPS[-1][0] == STEPS[-1][1]
    assert names(copy.parent) == ["copy.db", "copy.key"]
    assert all(stat.S_IMODE((copy.parent / name).stat().st_mode) == 0o600 for name in names(copy.parent))
    again = tmp_path / "again.db"
    assert upkeep.restore(copy, str(again), told, keep_work=True) == upkeep.Detached(0, 0)
    assert rows(again) == 3 and (tmp_path / "again.key").read_text() == "secret"


async def test_a_copy_is_made_while_a_server_writes(tmp_path: Path) -> None:
    path, copy = tmp_path / "antiphon.db", tmp_path / "copy.db"
    store = open_store(str(path))
    stop = False

    async def write() -> int:
        number = 0
        while not stop:
            await store.responses.put(response(number))
            number += 1
        return number

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    await asyncio.to_thread(upkeep.backup, str(path), copy, told)
    stop = True
    written = await writing
    await store.close()
    assert 0 < rows(copy) <= written == rows(path)
    assert upkeep.check(str(copy)) is None


@pytest.mark.parametrize("keep", [False, True])
async def test_a_restored_copy_does_no_work_twice(tmp_path: Path, keep: bool) -> None:
    store, copy = tmp_path / "antiphon.db", tmp_path / "copy.db"
    await filled(store)
    live = open_store(str(store))
    await live.deliveries.put([delivery()])
    await live.close()
    found = upkeep.restore(store, str(copy), told, keep_work=keep)
    assert found == (upkeep.Detached(0, 0) if keep else upkeep.Detached(0, 1))
    assert rows(copy, "deliveries") == (1 if keep else 0) and rows(store, "deliveries") == 1


async def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    store, copy = tmp_path / "antiphon.db", tmp_path / "copy.db"
    await filled(store)
    copy.write_text("mine")
    for call in (
        lambda: upkeep.backup(str(store), copy, told),
        lambda: upkeep.restore(store, str(copy), told, keep_work=False),
        lambda: upkeep.backup(str(tmp_path / "none.db"), tmp_path / "x.db", told),
        lambda: upkeep.restore(tmp_path / "none.db", str(tmp_path / "x.db"), told, keep_work=False),
        lambda: upkeep.backup("memory", tmp_path / "x.db", told),
        lambda: upkeep.backup("postgresql://db/x", tmp_path / "x.db", told),
    ):
        with pytest.raises(ConfigError):
            call()
    assert copy.read_text() == "mine"
    broken = tmp_path / "broken.db"
    data = bytearray(store.read_bytes())
    data[4096 * 2 : 4096 * 4] = b"\xff" * 8192
    broken.write_bytes(data)
    with pytest.raises(ConfigError, match=r"damaged|malformed|cannot be copied"):
        upkeep.restore(broken, str(tmp_path / "x.db"), told, keep_work=False)
    assert {name for name in names(tmp_path) if "-" not in name} == {
        "antiphon.db",
        "antiphon.key",
        "copy.db",
        "broken.db",
    }


@pytest.mark.slow
def test_the_commands(tmp_path: Path) -> None:
    store, copy, other = tmp_path / "antiphon.db", tmp_path / "copy.db", tmp_path / "other.db"
    asyncio.run(filled(store))
    lines = []
    for words in (
        ("path", "--store", str(store)),
        ("backup", str(copy), "--store", str(store)),
        ("restore", str(copy), "--store", str(other)),
    ):
        command = [sys.executable, "-m", "antiphon", "db", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        lines.append(done.stdout.splitlines()[-1])
    assert lines == [
        str(store),
        f"{copy}: a whole copy",
        f"{other}: restored; 0 background responses are cancelled, 0 webhook events dropped",
    ]
    assert rows(other) == 3
