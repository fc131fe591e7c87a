"""What every Store promises about keys, and about limits that servers share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.core import gcra
from antiphon.core.gcra import Charge, Meter
from antiphon.errors import StoreConflict
from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite
from antiphon.stores.records import KeyQuery, Slot, StoredKey

from .samples import ANN, BOB, NOW

MINUTE = Meter(name="ann/requests", limit=3, window=60.0)
MONTH = Meter(name="ann/month", limit=100, expires_at=NOW + 1000)
SLOT = Slot(name="ann/streams", holder="one", most=2)
OTHER = Slot(name="ann/streams", holder="two", most=2)


def key(number: int = 1, owner: str = ANN, body: bytes = b'{"name":"\xc3\xa4"}') -> StoredKey:
    return StoredKey(id=f"key_{number}", owner=owner, digest=b"digest %d" % number, created_at=NOW + number, body=body)


# Keys


async def test_a_key_is_found_by_its_digest(store: Store) -> None:
    await store.keys.put(key(1))
    await store.keys.put(key(2, BOB))
    assert await store.keys.find(b"digest 2") == key(2, BOB)
    assert await store.keys.find(b"digest 3") is None


async def test_keys_are_listed_by_age(store: Store) -> None:
    for number in (3, 1, 2):
        await store.keys.put(key(number))
    assert await store.keys.list() == [key(1), key(2), key(3)]


async def test_a_key_is_replaced(store: Store) -> None:
    await store.keys.put(key(1))
    changed = StoredKey(id="key_1", owner=BOB, digest=b"new", created_at=NOW, body=b"{}")
    await store.keys.put(changed)
    assert await store.keys.list() == [changed]
    assert await store.keys.find(b"digest 1") is None
    assert await store.keys.find(b"new") == changed


async def test_a_digest_belongs_to_one_key(store: Store) -> None:
    await store.keys.put(key(1))
    with pytest.raises(StoreConflict):
        await store.keys.put(StoredKey(id="key_2", owner=BOB, digest=b"digest 1", created_at=NOW, body=b"{}"))
    assert await store.keys.list() == [key(1)]


async def test_the_first_proposal_of_a_secret_wins(store: Store) -> None:
    assert await store.keys.secret("pepper", b"first\x00") == b"first\x00"
    assert await store.keys.secret("pepper", b"second") == b"first\x00"
    assert await store.keys.secret("salt", b"third") == b"third"


# Meters


async def test_a_window_lets_through_its_limit_and_no_more(store: Store) -> None:
    one = [Charge(MINUTE, 1)]
    values = [(await store.limits.charge(one, NOW))[0] for _ in range(5)]
    assert [gcra.fits(one[0], value, NOW) for value in values] == [True, True, True, False, False]
    assert values == [0.0, NOW + 20, NOW + 40, NOW + 60, NOW + 60]
    assert await store.limits.charge(one, NOW + 20) == [NOW + 60]
    assert await store.limits.charge(one, NOW + 20) == [NOW + 80]


async def test_a_sum_counts_until_it_expires(store: Store) -> None:
    assert await store.limits.charge([Charge(MONTH, 150)], NOW) == [0.0]
    assert await store.limits.charge([Charge(MONTH, 1)], NOW + 999) == [150.0]
    assert await store.limits.charge([Charge(MONTH, 1)], NOW + 1000) == [0.0]


async def test_all_charges_or_none(store: Store) -> None:
    await store.limits.charge([Charge(MONTH, 100)], NOW)
    both = [Charge(MINUTE, 1), Charge(MONTH, 1)]
    assert await store.limits.charge(both, NOW) == [0.0, 100.0]
    assert await store.limits.charge(both, NOW) == [0.0, 100.0]


async def test_what_is_settled_is_not_refused(store: Store) -> None:
    await store.limits.charge([Charge(MONTH, 100)], NOW)
    await store.limits.charge([Charge(MINUTE, 6), Charge(MONTH, 20)], NOW, enforce=False)
    assert await store.limits.charge([Charge(MINUTE, 1), Charge(MONTH, 1)], NOW) == [NOW + 120, 120.0]
    await store.limits.charge([Charge(MINUTE, -5), Charge(MONTH, -200)], NOW, enforce=False)
    assert await store.limits.charge([Charge(MINUTE, 1), Charge(MONTH, 1)], NOW) == [NOW + 20, 0.0]


async def test_many_at_once_get_the_limit(store: Store) -> None:
    one = [Charge(MINUTE, 1)]
    answers = await asyncio.gather(*(store.limits.charge(one, NOW) for _ in range(50)))
    assert sum(gcra.fits(one[0], values[0], NOW) for values in answers) == 3


# Slots


async def test_places_are_taken_and_given_back(store: Store) -> None:
    assert [await store.limits.take_slot(slot, NOW, 30) for slot in (SLOT, OTHER, SLOT)] == [True, True, False]
    await store.limits.free_slot(OTHER)
    assert [await store.limits.take_slot(SLOT, NOW, 30), await store.limits.take_slot(OTHER, NOW, 30)] == [True, False]
    await store.limits.free_slot(SLOT)
    await store.limits.free_slot(SLOT)
    await store.limits.free_slot(SLOT)
    assert [await store.limits.take_slot(OTHER, NOW, 30) for _ in range(3)] == [True, True, False]


async def test_a_dead_holders_places_are_free_again(store: Store) -> None:
    assert await store.limits.take_slot(SLOT, NOW, 30) and await store.limits.take_slot(SLOT, NOW, 30)
    await store.limits.renew_slots("two", NOW + 20, 30)
    assert not await store.limits.take_slot(OTHER, NOW + 29, 30)
    await store.limits.renew_slots("one", NOW + 29, 30)
    assert not await store.limits.take_slot(OTHER, NOW + 58, 30)
    assert await store.limits.take_slot(OTHER, NOW + 59, 30)
    await store.limits.renew_slots("one", NOW + 60, 30)
    assert not await store.limits.take_slot(Slot(name="ann/streams", holder="three", most=3), NOW + 60, 30)


async def test_purge_keeps_what_is_in_force(store: Store) -> None:
    await store.limits.charge([Charge(MINUTE, 3), Charge(MONTH, 5)], NOW)
    await store.limits.take_slot(SLOT, NOW, 30)
    await store.limits.take_slot(SLOT, NOW, 30)
    assert await store.database.purge(int(NOW) + 29) == 0
    assert not await store.limits.take_slot(OTHER, NOW + 29, 30)
    assert await store.limits.charge([Charge(MINUTE, 1), Charge(MONTH, 1)], NOW + 20) == [NOW + 60, 5.0]
    assert await store.database.purge(int(NOW) + 2000) == 0
    assert await store.limits.take_slot(OTHER, NOW, 30)
    assert await store.limits.charge([Charge(MONTH, 1)], NOW) == [0.0]


# Shared


async def test_two_servers_on_one_file_share_keys_and_limits(tmp_path: Path) -> None:
    one, two = open_sqlite(tmp_path / "store.db"), open_sqlite(tmp_path / "store.db")
    await one.keys.put(key())
    assert await two.keys.find(b"digest 1") == key()
    assert await one.keys.secret("pepper", b"1") == await two.keys.secret("pepper", b"2")
    charge = [Charge(MINUTE, 1)]
    values = await asyncio.gather(*(store.limits.charge(charge, NOW) for _ in range(5) for store in (one, two)))
    assert sum(gcra.fits(charge[0], value[0], NOW) for value in values) == 3
    await one.close()
    await two.close()


# What operators ask of keys


async def test_keys_are_paged_the_newest_first(store: Store) -> None:
    for number in (1, 2, 3, 4):
        await store.keys.put(key(number, BOB if number == 2 else ANN))
    assert await store.keys.page(KeyQuery(limit=2)) == [key(4), key(3)]
    assert await store.keys.page(KeyQuery(limit=9, after="key_3")) == [key(2, BOB), key(1)]
    assert await store.keys.page(KeyQuery(limit=9, owner=ANN, after="key_4")) == [key(3), key(1)]
    assert await store.keys.page(KeyQuery(limit=9, after="key_9")) is None
    assert await store.keys.get("key_2") == key(2, BOB) and await store.keys.get("key_9") is None
    assert [await store.keys.count(most) for most in (1, 9)] == [1, 4]


async def test_a_key_is_changed_only_as_it_was_known(store: Store) -> None:
    await store.keys.put(key(1))
    assert not await store.keys.change("key_1", b"other", b"{}")
    assert not await store.keys.change("key_9", key().body, b"{}")
    assert await store.keys.change("key_1", key().body, b"{}")
    assert await store.keys.find(b"digest 1") == key(1, body=b"{}")


async def test_the_last_use_of_a_key_only_grows_and_stays_when_it_is_changed(store: Store) -> None:
    for number in (1, 2):
        await store.keys.put(key(number))
    await store.keys.used({"key_1": NOW, "key_9": NOW})
    await store.keys.used({"key_1": NOW - 5, "key_2": NOW + 1})
    await store.keys.used({})
    await store.keys.put(key(1, body=b"{}"))
    assert [one.last_used_at for one in await store.keys.list()] == [NOW, NOW + 1]
