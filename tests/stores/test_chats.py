"""What every Store promises about stored chat completions."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.base import Store
from antiphon.stores.nouns.chats import ChatFilter
from antiphon.stores.records import StoredChat

from .samples import ANN, BOB, NOW


def chat(number: int = 1, owner: str = ANN, **fields: object) -> StoredChat:
    made = StoredChat(
        id=f"chatcmpl-{number:03}",
        owner=owner,
        model="a-model",
        created_at=int(NOW),
        body=b'{"id":"chatcmpl-%03d","name":"\xc3\xb6"}' % number,
        messages=b'[{"role":"user","content":"Hi."}]',
        metadata=b'{"colour":"gr\xc3\xbcn"}',
    )
    return replace(made, **fields)


def ids(found: object) -> list[str]:
    assert isinstance(found, list)
    return [one.id[-1] for one in found]


async def test_a_completion_comes_back_as_it_was_put(store: Store) -> None:
    made = chat(expires_at=int(NOW) + 10)
    await store.chats.put(made)
    assert await store.chats.get(made.id, ANN, NOW) == made
    assert await store.chats.list(ANN, NOW) == [replace(made, messages=b"[]")]
    with pytest.raises(StoreConflict):
        await store.chats.put(replace(made, owner=BOB))
    changed = await store.chats.update(made.id, ANN, NOW, b'{"a":"b"}')
    assert changed == replace(made, metadata=b'{"a":"b"}') == await store.chats.get(made.id, ANN, NOW)
    assert await store.chats.delete(made.id, ANN)
    assert not await store.chats.delete(made.id, ANN)
    assert await store.chats.get(made.id, ANN, NOW) is None


async def test_anothers_completion_is_absent(store: Store) -> None:
    made = chat()
    await store.chats.put(made)
    assert await store.chats.get(made.id, BOB, NOW) is None
    assert await store.chats.update(made.id, BOB, NOW, b"{}") is None
    assert not await store.chats.delete(made.id, BOB)
    assert await store.chats.list(BOB, NOW) == []
    assert await store.chats.list(BOB, NOW, after=made.id) is None
    assert await store.chats.get(made.id, ANN, NOW) == made


async def test_one_that_has_expired_is_absent_and_purged(store: Store) -> None:
    for number in range(1, 4):
        await store.chats.put(chat(number, expires_at=int(NOW) + number if number < 3 else None))
    assert await store.chats.get("chatcmpl-001", ANN, NOW + 1) is None
    assert await store.chats.update("chatcmpl-001", ANN, NOW + 1, b"{}") is None
    assert ids(await store.chats.list(ANN, NOW + 1)) == ["2", "3"]
    assert await store.database.purge(int(NOW) + 2) == 2
    assert ids(await store.chats.list(ANN, NOW)) == ["3"]


async def test_completions_come_in_pages(store: Store) -> None:
    for number in range(1, 6):
        await store.chats.put(chat(number))
        await store.chats.put(chat(number + 100, BOB))
    assert ids(await store.chats.list(ANN, NOW, limit=2)) == ["1", "2"]
    assert ids(await store.chats.list(ANN, NOW, after="chatcmpl-002", limit=2)) == ["3", "4"]
    assert ids(await store.chats.list(ANN, NOW, after="chatcmpl-004")) == ["5"]
    assert ids(await store.chats.list(ANN, NOW, after="chatcmpl-005")) == []
    assert ids(await store.chats.list(ANN, NOW, descending=True, limit=2)) == ["5", "4"]
    assert ids(await store.chats.list(ANN, NOW, after="chatcmpl-004", descending=True)) == ["3", "2", "1"]
    assert await store.chats.list(ANN, NOW, after="chatcmpl-999") is None
    size = len(chat().body)
    for most, count in ((1, 1), (size, 1), (size + 1, 2), (2 * size + 1, 3)):
        assert len(await store.chats.list(ANN, NOW, most=most) or ()) == count
        assert len(await store.chats.list(ANN, NOW, most=most, descending=True) or ()) == count


PAIRS = {'a"b': "x", "nul\0": "\0", "%": "_", "ö": "ü", "empty": ""}


async def test_completions_are_found_by_model_and_metadata(store: Store) -> None:
    await store.chats.put(chat(1, metadata=json.dumps(PAIRS).encode()))
    await store.chats.put(chat(2, model="other", metadata=b'{"a":"b","c":"d"}'))
    await store.chats.put(chat(3, metadata=b"{}"))
    for name, value in PAIRS.items():
        assert ids(await store.chats.list(ANN, NOW, ChatFilter(metadata={name: value}))) == ["1"], name
        assert ids(await store.chats.list(ANN, NOW, ChatFilter(metadata={name: value + "?"}))) == []
    assert ids(await store.chats.list(ANN, NOW, ChatFilter(metadata=PAIRS))) == ["1"]
    assert ids(await store.chats.list(ANN, NOW, ChatFilter(metadata={**PAIRS, "a": "b"}))) == []
    assert ids(await store.chats.list(ANN, NOW, ChatFilter(model="other"), descending=True)) == ["2"]
    assert ids(await store.chats.list(ANN, NOW, ChatFilter(model="other", metadata={"c": "d"}))) == ["2"]
    assert ids(await store.chats.list(ANN, NOW, ChatFilter(model="a-model", metadata={"c": "d"}))) == []
    await store.chats.update("chatcmpl-003", ANN, NOW, b'{"c":"d"}')
    assert ids(await store.chats.list(ANN, NOW, ChatFilter(metadata={"c": "d"}))) == ["2", "3"]
    assert ids(await store.chats.list(ANN, NOW)) == ["1", "2", "3"]
