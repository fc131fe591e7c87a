"""open_store: what the setting `store` means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antiphon.errors import ConfigError
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.open import open_store
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase


def test_memory() -> None:
    assert isinstance(open_store("memory").database, MemoryDatabase)


async def test_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store("~/a/b/store.db")
    assert isinstance(store.database, SQLiteDatabase)
    assert (tmp_path / "a" / "b" / "store.db").is_file()
    await store.close()


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        open_store(str(tmp_path))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"The store .*file/store.db cannot be opened: (Not a directory|File exists)"):
        open_store(str(tmp_path / "file" / "store.db"))


def test_a_place_that_nobody_may_write() -> None:
    path = "/proc/antiphon/store.db" if os.path.isdir("/proc") else "/dev/null/store.db"
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_store(path)
