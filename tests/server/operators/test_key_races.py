"""Keys that others change while they are rotated, and the rights that work of an earlier moment has by them."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.access import keys as keyring_module
from antiphon.access.caller import Caller
from antiphon.access.keys import Keyring, Rights
from antiphon.config import Config
from antiphon.errors import APIError
from antiphon.server.auth.standing import Standing
from antiphon.stores.memory.keys import MemoryKeys
from antiphon.stores.open import open_memory, open_sqlite
from antiphon.stores.records import KeyQuery
from antiphon.stores.sqlite import keys as sqlite_keys

NOW = 1000.0


class Raced(MemoryKeys):
    """Keys of which one is changed by others, just before it is changed."""

    def __init__(self) -> None:
        super().__init__()
        self.race: Callable[[], Awaitable[Any]] | None = None

    async def change(self, id: str, before: bytes, body: bytes) -> bool:
        race, self.race = self.race, None
        if race is not None:
            await race()
        return await super().change(id, before, body)


def keyring(store: Any) -> Keyring:
    return Keyring(store, lambda: NOW)


@pytest.mark.parametrize(
    "changes",
    [{"scopes": ("read",)}, {"models": ("gpt-*",)}, {"limits": ("1 requests/day",)}, {"expires_at": NOW + 5}],
    ids=str,
)
async def test_a_rotated_key_has_the_rights_that_the_old_one_has_at_the_end(changes: Mapping[str, Any]) -> None:
    store = Raced()
    ring = keyring(store)
    old = await ring.create(Rights(owner="ann"))
    store.race = lambda: ring.update(old.key.id, changes)
    made = await ring.rotate(old.key.id, 60.0)
    found = await ring.find(made.secret.encode())
    assert found == made.key and {name: getattr(found, name) for name in changes} == changes
    ended = await ring.get(old.key.id)
    assert ended.expires_at == min(NOW + 60, changes.get("expires_at", NOW + 60))


async def test_a_key_that_is_revoked_while_it_is_rotated_has_no_successor() -> None:
    store = Raced()
    ring = keyring(store)
    old = await ring.create(Rights(owner="ann"))
    store.race = lambda: ring.revoke(old.key.id)
    with pytest.raises(APIError) as raised:
        await ring.rotate(old.key.id, 60.0)
    assert (raised.value.status, raised.value.code) == (409, "key_revoked")
    assert [key.state(NOW) for key in await ring.list()] == ["revoked", "revoked"]


async def test_a_key_that_is_always_changed_by_others_has_no_successor() -> None:
    class Busy(MemoryKeys):
        async def change(self, id: str, before: bytes, body: bytes) -> bool:
            return False

    ring = keyring(Busy())
    old = await ring.create(Rights(owner="ann"))
    with pytest.raises(APIError) as raised:
        await ring.rotate(old.key.id, 60.0)
    assert (raised.value.status, raised.value.code) == (409, "conflict")
    assert sorted(key.state(NOW) for key in await ring.list()) == ["active", "revoked"]


@pytest.mark.parametrize("known", [True, False], ids=["by its id", "by its line"])
async def test_standing_reads_no_more_keys_than_it_needs(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "HEIRS", 3)
    store = open_memory()
    ring = keyring(store.keys)
    standing = Standing(Config, ring)
    old = await ring.create(Rights(owner="ann", models=("a",)))
    for number in range(8):  # of the owner, and of another, newer than all
        await ring.create(Rights(owner="ann" if number % 2 else "bob"))
    monkeypatch.setattr(store.keys, "list", None, raising=False) if known else None
    caller = Caller(owner="ann", meter=old.key.id, key=old.key.id if known else "")
    assert (await standing.now(caller)).models == ("a",)
    monkeypatch.undo()
    new = await ring.rotate(old.key.id, 0.0)
    await ring.update(new.key.id, {"models": ("b",)})
    assert (await standing.now(caller)).models == ("b",)
    with pytest.raises(APIError):
        await standing.now(Caller(owner="bob", meter=old.key.id, key=old.key.id))
    await ring.revoke(new.key.id)
    with pytest.raises(APIError) as raised:
        await standing.now(caller)
    assert raised.value.status == 401


async def test_long_reads_of_keys_leave_the_event_loop_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, threading.Thread] = {}
    for name in ("read_page", "everything", "count"):
        real = getattr(sqlite_keys, name)

        def noted(*arguments: Any, name: str = name, real: Any = real) -> Any:
            threads[name] = threading.current_thread()
            return real(*arguments)

        monkeypatch.setattr(sqlite_keys, name, noted)
    store = open_sqlite(tmp_path / "store.db")
    ring = keyring(store.keys)
    made = await ring.create(Rights(owner="ann"))
    assert await ring.page(KeyQuery(limit=1, owner="ann")) == [made.key] == await ring.list()
    assert threads.keys() == {"read_page", "everything", "count"}
    assert threading.main_thread() not in threads.values()
    await store.close()
