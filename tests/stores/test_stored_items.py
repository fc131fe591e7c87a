"""Items and texts of stored responses, by id; conversations."""

from __future__ import annotations

import pytest

from antiphon.core.tools.call_thoughts import thoughts_id
from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import Store

from .samples import ANN, BOB, base, conversation, item, response

# Items


async def test_items_by_id_alone(store: Store) -> None:
    row = response(outputs=20, inputs=3)
    await store.responses.put(row)
    wanted = [f"msg_{base(1)}0000", f"msg_{base(1)}0013", f"msg_{base(1)}i0002"]
    assert await store.responses.items(wanted, ANN) == {
        f"msg_{base(1)}0000": f'{{"id":"msg_{base(1)}0000","text":"text of 1 ö 0"}}'.encode(),
        f"msg_{base(1)}0013": f'{{"id":"msg_{base(1)}0013","text":"text of 1 ö 19"}}'.encode(),
        f"msg_{base(1)}i0002": f'{{"id":"msg_{base(1)}i0002","text":"text of 1 ? 2"}}'.encode(),
    }


@pytest.mark.parametrize(
    "id",
    [
        *(f"msg_{base(1)}{end}" for end in ("0001", "i0001", "zzzz", "i", "")),
        *(f"rs_{base(1)}0000", f"msg_{base(2)}0000", "msg_0000", "msg_", "", "_", "i", "x" * 300, "msg_ä"),
        "'; DROP TABLE responses",
    ],
)
async def test_no_such_item(store: Store, id: str) -> None:
    await store.responses.put(response())
    assert await store.responses.items([id], ANN) == {}


async def test_an_id_base_that_ends_like_a_separator(store: Store) -> None:
    name = "a" * 31 + "i"
    row = response(
        id=f"resp_{name}",
        body=b'{"output":[{"id":"msg_%b0000"}]}' % name.encode(),
        output_span=(10, 61),
        input=b'[{"id":"msg_%bi0000"}]' % name.encode(),
    )
    assert row.output == b'[{"id":"msg_%b0000"}]' % name.encode()
    await store.responses.put(row)
    assert len(await store.responses.items([f"msg_{name}0000", f"msg_{name}i0000"], ANN)) == 2


async def test_foreign_ids(store: Store) -> None:
    row = response(
        body=b'{"output":[{"id":"out_0"},{"id":"out_1"}]}',
        output_span=(10, 41),
        input=b'[{"id":"in_0"},{"id":"in_1"}]',
        foreign_ids={"in_1": 1, "out_0": 2, "out_1": 3},
    )
    await store.responses.put(row)
    assert await store.responses.items(["in_1", "out_0", "out_1", "in_0"], ANN) == {
        "in_1": b'{"id":"in_1"}',
        "out_0": b'{"id":"out_0"}',
        "out_1": b'{"id":"out_1"}',
    }


async def test_thoughts_by_call(store: Store) -> None:
    """An id made of a call's finds what stands at its place, whatever id that has; for the owner alone, and no longer than it."""
    id = thoughts_id("call_1", 0)
    row = response(body=b'{"output":[{"id":"rs_1"},{"id":"fc_1"}]}', output_span=(10, 39), foreign_ids={id: 1})
    await store.responses.put(row)
    assert await store.responses.items([id, thoughts_id("call_2", 0)], ANN) == {id: b'{"id":"rs_1"}'}
    assert await store.responses.items([id], BOB) == {}
    await store.responses.delete(row.id, ANN)
    assert await store.responses.items([id], ANN) == {}


async def test_who_has_thoughts_by_call(store: Store) -> None:
    """No thoughts are missed; a store that cannot tell says that everybody has some."""
    unsure = await store.responses.may_have_thoughts("nobody")
    row = response(body=b'{"output":[{"id":"rs_1"}]}', output_span=(10, 25), foreign_ids={thoughts_id("call_1", 0): 0})
    await store.responses.put(row)
    await store.responses.put(row)
    await store.responses.put(response(2, foreign_ids={"theirs": 0}, owner=BOB))
    assert await store.responses.may_have_thoughts(ANN)
    assert await store.responses.may_have_thoughts(BOB) == unsure
    await store.responses.delete(row.id, ANN)
    assert await store.responses.may_have_thoughts(ANN) == unsure


async def test_the_newest_of_a_foreign_id_wins(store: Store) -> None:
    for number in (1, 2, 3):
        await store.responses.put(response(number, input=b'[{"id":"x","n":%d}]' % number, foreign_ids={"x": 0}))
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":3}'}
    await store.responses.put(response(1, input=b'[{"id":"x","n":4}]', foreign_ids={"x": 0}))
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":4}'}
    await store.responses.put(response(1, input=b"[]"))
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":3}'}
    await store.responses.delete(response(3).id, ANN)
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":2}'}
    assert await store.responses.items(["x"], BOB) == {}


async def test_texts_for_the_model_are_kept_beside_the_items(store: Store) -> None:
    first, second = f"ws_{base(1)}0000", f"ws_{base(2)}0001"
    one = response(1, model_texts=b'{"%b":{"text":"seen \xc3\xb6"}}' % first.encode())
    await store.responses.put(one)
    await store.responses.put(response(2, model_texts=b'{"%b":{"text":"two"},"other":{"text":"?"}}' % second.encode()))
    await store.responses.put(response(3))
    assert await store.responses.get(one.id, ANN) == one
    wanted = [first, second, f"ws_{base(3)}0000", f"ws_{base(4)}0000", "nothing of ours", f"ws_{base(1)}0001"]
    assert await store.responses.model_texts(wanted, ANN) == {
        first: '{"text":"seen ö"}'.encode(),
        second: b'{"text":"two"}',
    }
    assert await store.responses.model_texts([first], BOB) == {}
    await store.responses.put(response(1))
    await store.responses.delete(response(2).id, ANN)
    assert await store.responses.model_texts(wanted, ANN) == {}
    assert await store.responses.model_texts([], ANN) == {}


# Conversations


async def test_a_conversation(store: Store) -> None:
    await store.conversations.create(conversation(), [item("a"), item("b")])
    assert await store.conversations.get("conv_1", ANN) == conversation()
    assert await store.conversations.list_items("conv_1", ANN) == [item("a"), item("b")]
    changed = await store.conversations.update("conv_1", ANN, b'{"c":"d"}')
    assert changed is not None and changed.metadata == b'{"c":"d"}'
    assert await store.conversations.get("conv_1", ANN) == changed
    with pytest.raises(StoreConflict):
        await store.conversations.create(conversation())
    assert await store.conversations.delete("conv_1", ANN)
    assert not await store.conversations.delete("conv_1", ANN)
    assert await store.conversations.get("conv_1", ANN) is None
    assert await store.responses.items(["a"], ANN) == {}


async def test_items_of_a_conversation(store: Store) -> None:
    await store.conversations.create(conversation(), [item("a"), item("b")])
    await store.conversations.create(conversation(2), [item("z")])
    assert await store.conversations.add_items("conv_1", ANN, [item("c"), item("a"), item("d")])
    assert await store.conversations.list_items("conv_1", ANN) == [item(name) for name in "abcd"]
    assert await store.conversations.get_item("conv_1", "c", ANN) == item("c")
    assert await store.conversations.get_item("conv_1", "z", ANN) is None
    assert await store.conversations.delete_item("conv_1", "b", ANN)
    assert not await store.conversations.delete_item("conv_1", "b", ANN)
    assert await store.conversations.add_items("conv_1", ANN, [item("b")])
    assert await store.conversations.list_items("conv_1", ANN) == [item(name) for name in "acdb"]
    assert await store.conversations.list_items("conv_2", ANN) == [item("z")]


async def test_pages_of_a_conversation(store: Store) -> None:
    names = [f"item_{number:03}" for number in range(100)]
    await store.conversations.create(conversation(), [item(name) for name in names])

    async def page(**arguments: object) -> list[str] | None:
        items = await store.conversations.list_items("conv_1", ANN, **arguments)  # type: ignore[arg-type]
        return None if items is None else [each.id for each in items]

    assert await page(limit=3) == names[:3]
    assert await page(after="item_002", limit=3) == names[3:6]
    assert await page(after="item_010", limit=60) == names[11:71]
    assert await page(descending=True, limit=2) == ["item_099", "item_098"]
    assert await page(descending=True, after="item_098") == names[97::-1]
    assert await page(after="item_099") == []
    assert await page(limit=0) == []
    assert await page(after="item_100") is None


async def test_anothers_conversation_is_absent(store: Store) -> None:
    await store.conversations.create(conversation(owner=BOB), [item("a")])
    assert await store.conversations.get("conv_1", ANN) is None
    assert await store.conversations.update("conv_1", ANN, b"{}") is None
    assert not await store.conversations.delete("conv_1", ANN)
    assert not await store.conversations.add_items("conv_1", ANN, [item("b")])
    assert await store.conversations.list_items("conv_1", ANN) is None
    assert await store.conversations.get_item("conv_1", "a", ANN) is None
    assert not await store.conversations.delete_item("conv_1", "a", ANN)
    assert await store.responses.items(["a"], ANN) == {}
    assert await store.responses.items(["a"], BOB) == {"a": item("a").body}
    with pytest.raises(StoreUnknown):
        await store.responses.put(response(conversation_id="conv_1"), conversation_items=[item("c")])


async def test_a_response_joins_its_conversation(store: Store) -> None:
    await store.conversations.create(conversation(), [item("a")])
    row = response(conversation_id="conv_1")
    await store.responses.put(row, conversation_items=[item("in"), item("out")])
    assert await store.conversations.list_items("conv_1", ANN) == [item("a"), item("in"), item("out")]
    await store.responses.delete(row.id, ANN)
    assert await store.responses.items(["out"], ANN) == {"out": item("out").body}
    await store.conversations.delete("conv_1", ANN)
    with pytest.raises(StoreUnknown):
        await store.responses.put(response(2, conversation_id="conv_1"), conversation_items=[item("in")])
    assert await store.responses.get(response(2).id, ANN) is None


async def test_an_item_in_two_conversations(store: Store) -> None:
    for number in (1, 2):
        await store.conversations.create(conversation(number), [item("a")])
    assert await store.responses.items(["a"], ANN) == {"a": item("a").body}
    await store.conversations.delete("conv_2", ANN)
    assert await store.responses.items(["a"], ANN) == {"a": item("a").body}
