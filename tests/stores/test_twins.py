"""Whatever is done to two stores, they answer alike."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from antiphon.core.gcra import Charge, Meter
from antiphon.errors import StoreError
from antiphon.stores.base import Store
from antiphon.stores.open import open_memory, open_postgres, open_sqlite
from antiphon.stores.records import Slot, StoredKey

from .postgres_server import Postgres
from .samples import ANN, BOB, base, conversation, delivery, event, file, item, response

pytestmark = pytest.mark.slow

owners = st.sampled_from([ANN, ANN, ANN, BOB])
old = st.integers(0, 30)  # counted back from the newest response
names = st.sampled_from("abcdef")
name_lists = st.lists(names, max_size=4)


class Twins(RuleBasedStateMachine):
    """Runs every rule on both stores and compares what they return or raise."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.stores: list[Store] = [open_memory()]
        self.count = 0
        self.now = 0.0

    @initialize()
    def open(self) -> None:
        self.stores.append(self.runner.run(self._open()))

    async def _open(self) -> Store:
        return open_sqlite(Path(self.folder.name) / "store.db")

    def same(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        async def outcome(store: Store) -> Any:
            try:
                return await call(store)
            except StoreError as error:
                return type(error)

        first, second = (self.runner.run(outcome(store)) for store in self.stores)
        assert first == second
        return first

    def id(self, back: int) -> str:
        return response(max(0, self.count - back)).id

    # Responses

    @rule(behind=st.none() | old, owner=owners, expires=st.none() | st.integers(0, 20), x=st.booleans())
    def put(self, behind: int | None, owner: str, expires: int | None, x: bool) -> None:
        self.count += 1
        fields = {"foreign_ids": {"x": 0}, "input": b'[{"id":"x","n":%d}]' % self.count} if x else {}
        previous = None if behind is None else self.id(behind + 1)
        row = response(self.count, owner=owner, previous_response_id=previous, expires_at=expires, **fields)
        self.same(lambda store: store.responses.put(row))

    @rule(back=old, text=st.sampled_from(["new", "newer"]), fence=st.integers(0, 3), outputs=st.integers(0, 3))
    def replace(self, back: int, text: str, fence: int, outputs: int) -> None:
        known = self.same(lambda store: store.responses.get(self.id(back), ANN))
        if known is not None:
            row = response(
                int(known.id[5:], 16),
                outputs=outputs,
                text=text,
                previous_response_id=known.previous_response_id,
            )
            self.same(lambda store: store.responses.put(row, fence=fence))

    @rule(back=old, owner=owners)
    def read(self, back: int, owner: str) -> None:
        self.same(lambda store: store.responses.get(self.id(back), owner))
        self.same(lambda store: store.responses.history(self.id(back), owner))
        ids = [self.id(back).replace("resp_", "msg_") + end for end in ("0000", "0002", "i0000")]
        self.same(lambda store: store.responses.items([*ids, "x", "a", "b"], owner))

    @rule(back=old, owner=owners)
    def delete(self, back: int, owner: str) -> None:
        self.same(lambda store: store.responses.delete(self.id(back), owner))

    @rule(now=st.integers(0, 25))
    def purge(self, now: int) -> None:
        self.same(lambda store: store.database.purge(now))

    # Conversations

    @rule(number=st.integers(1, 3), owner=owners, names=name_lists)
    def create_conversation(self, number: int, owner: str, names: list[str]) -> None:
        self.same(lambda store: store.conversations.create(conversation(number, owner), [item(name) for name in names]))

    @rule(number=st.integers(1, 3), owner=owners, names=name_lists)
    def add_items(self, number: int, owner: str, names: list[str]) -> None:
        self.same(lambda store: store.conversations.add_items(f"conv_{number}", owner, [item(name) for name in names]))

    @rule(number=st.integers(1, 3), names=name_lists)
    def put_into_conversation(self, number: int, names: list[str]) -> None:
        self.count += 1
        row = response(self.count, conversation_id=f"conv_{number}")
        self.same(lambda store: store.responses.put(row, conversation_items=[item(name) for name in names]))

    @rule(number=st.integers(1, 3), owner=owners, name=names)
    def delete_item(self, number: int, owner: str, name: str) -> None:
        self.same(lambda store: store.conversations.delete_item(f"conv_{number}", name, owner))

    @rule(number=st.integers(1, 3), owner=owners)
    def delete_conversation(self, number: int, owner: str) -> None:
        self.same(lambda store: store.conversations.delete(f"conv_{number}", owner))

    @rule(number=st.integers(1, 3), owner=owners, after=st.none() | names, limit=st.none() | st.integers(0, 20))
    def list_items(self, number: int, owner: str, after: str | None, limit: int | None) -> None:
        for descending in (False, True):
            self.same(
                lambda store, descending=descending: store.conversations.list_items(
                    f"conv_{number}", owner, after=after, limit=limit, descending=descending
                )
            )
        self.same(lambda store: store.conversations.get_item(f"conv_{number}", "a", owner))

    @rule(number=st.integers(1, 3), owner=owners, metadata=st.sampled_from([b"{}", b'{"x":"y"}']))
    def update_conversation(self, number: int, owner: str, metadata: bytes) -> None:
        self.same(lambda store: store.conversations.update(f"conv_{number}", owner, metadata))
        self.same(lambda store: store.conversations.get(f"conv_{number}", ANN))

    # Background

    @rule(again=st.booleans(), behind=old, due=st.sampled_from([0.0, 20.0, 60.0]))
    def enqueue(self, again: bool, behind: int, due: float) -> None:
        self.count += 0 if again else 1
        previous = response(self.count).id if self.count == behind else None
        row = response(self.count, background=True, previous_response_id=previous)
        self.same(lambda store: store.responses.enqueue(row, base(self.count).encode(), [event(0)], due=due))

    @rule(
        seconds=st.integers(0, 12),
        lease=st.sampled_from([5.0, 10.0]),
        back=st.none() | old,
        clean=st.booleans(),
        due=st.booleans(),
        busy=st.lists(owners, max_size=2),
    )
    def claim(self, seconds: int, lease: float, back: int | None, clean: bool, due: bool, busy: list[str]) -> None:
        self.now += seconds
        id = None if back is None else self.id(back)
        self.same(lambda store: store.jobs.claim("worker", self.now, lease, id, clean=clean, due=due, busy=busy))

    @rule(
        back=st.integers(0, 5),
        fence=st.integers(1, 3),
        action=st.sampled_from(["heartbeat", "finish", "cancel", "release"]),
    )
    def hold(self, back: int, fence: int, action: str) -> None:
        match action:
            case "heartbeat":
                self.same(lambda store: store.jobs.heartbeat(self.id(back), fence, self.now, 10.0))
            case "finish":
                self.same(lambda store: store.jobs.finish(self.id(back), fence))
            case "cancel":
                self.same(lambda store: store.jobs.cancel(self.id(back), ANN))
            case "release":
                self.same(lambda store: store.jobs.release(self.id(back), fence))

    @rule(
        back=st.integers(0, 5),
        fence=st.integers(1, 2),
        numbers=st.lists(st.integers(0, 9), max_size=4),
        checkpoint=st.none() | st.just(b"{}"),
    )
    def append(self, back: int, fence: int, numbers: list[int], checkpoint: bytes | None) -> None:
        events = [event(number) for number in numbers]
        self.same(lambda store: store.jobs.append_events(self.id(back), fence, events, checkpoint))

    @rule(back=st.integers(0, 5), owner=owners, after=st.integers(-1, 9), limit=st.integers(1, 5))
    def follow(self, back: int, owner: str, after: int, limit: int) -> None:
        self.same(lambda store: store.jobs.events(self.id(back), owner, after, limit))
        self.same(lambda store: store.jobs.checkpoint(self.id(back)))

    # Files and deliveries

    @rule(number=st.integers(0, 9), owner=owners, expires=st.none() | st.integers(1, 20), vision=st.booleans())
    def upload(self, number: int, owner: str, expires: int | None, vision: bool) -> None:
        row = file(number, owner=owner, purpose="vision" if vision else "user_data", expires_at=expires)
        self.same(lambda store: store.files.put(row, b"content %d" % number))

    @rule(
        number=st.integers(0, 9),
        owner=owners,
        rows=st.lists(st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=3)),
    )
    def upload_rows(self, number: int, owner: str, rows: list[list[bytes]]) -> None:
        row = file(number, owner=owner, size=sum(len(one) for content in rows for one in content))

        async def whole(store: Store) -> None:
            contents = []
            for content in rows:
                contents.append(await store.files.begin(owner, 10))
                for place, one in enumerate(content):
                    await store.files.append(contents[-1], sum(map(len, content[:place])), one)
            await store.files.finish(row, contents)

        self.same(whole)
        self.same(lambda store: store.files.usage(owner))

    @rule(
        number=st.integers(0, 9), owner=owners, now=st.integers(0, 20), start=st.integers(0, 30), delete=st.booleans()
    )
    def read_file(self, number: int, owner: str, now: int, start: int, delete: bool) -> None:
        id = file(number).id
        self.same(lambda store: store.files.get(id, owner, now))
        self.same(lambda store: store.files.content(id, owner, now, start))
        if delete:
            self.same(lambda store: store.files.delete(id, owner))

    @rule(
        owner=owners,
        now=st.integers(0, 20),
        purpose=st.sampled_from([None, "vision"]),
        after=st.none() | st.integers(0, 9),
        limit=st.integers(1, 5),
        descending=st.booleans(),
    )
    def list_files(self, owner: str, now: int, after: int | None, **page: Any) -> None:
        behind = None if after is None else file(after).id
        self.same(lambda store: store.files.list(owner, now, after=behind, **page))

    @rule(numbers=st.lists(st.integers(0, 3), max_size=3), due=st.integers(0, 1000))
    def put_deliveries(self, numbers: list[int], due: int) -> None:
        self.count += 1
        times = (
            due + (self.count + place) / 1024 for place in range(3)
        )  # of two that are due at once either may be first
        rows = [delivery(number, due=time) for number, time in zip(numbers, times, strict=False)]
        self.same(lambda store: store.deliveries.put(rows))

    @rule(now=st.integers(0, 1000), end=st.sampled_from(["finish", "postpone", "die"]), seconds=st.integers(1, 500))
    def deliver(self, now: int, end: str, seconds: int) -> None:
        self.count += 1
        lease = seconds + self.count / 1_000_000
        taken = self.same(lambda store: store.deliveries.claim(now, lease))
        if taken is not None and end == "finish":
            self.same(lambda store: store.deliveries.finish(taken.id, taken.url))
        elif taken is not None and end == "postpone":
            self.same(lambda store: store.deliveries.postpone(taken.id, taken.url, now + lease / 2))
        self.same(lambda store: store.deliveries.next_due())

    # Keys and limits

    @rule(number=st.integers(0, 3), digest=st.integers(0, 3))
    def put_key(self, number: int, digest: int) -> None:
        row = StoredKey(id=f"key_{number}", owner=ANN, digest=b"%d" % digest, created_at=number / 2, body=b"{}")
        self.same(lambda store: store.keys.put(row))
        self.same(lambda store: store.keys.find(b"%d" % digest))
        self.same(lambda store: store.keys.list())

    @rule(names=st.sets(names, min_size=1), amount=st.integers(-3, 5), now=st.integers(0, 30), enforce=st.booleans())
    def charge(self, names: set[str], amount: int, now: int, enforce: bool) -> None:
        kinds = {"a": 60.0, "b": 10.0}
        meters = [
            Meter(name=name, limit=6, window=kinds.get(name, 0.0), expires_at=0 if name in kinds else 20)
            for name in sorted(names)
        ]
        self.same(lambda store: store.limits.charge([Charge(meter, amount) for meter in meters], now, enforce=enforce))

    @rule(name=names, holder=names, now=st.integers(0, 30), action=st.sampled_from(["take", "take", "free", "renew"]))
    def slot(self, name: str, holder: str, now: int, action: str) -> None:
        slot = Slot(name=name, holder=holder, most=2)
        match action:
            case "take":
                self.same(lambda store: store.limits.take_slot(slot, now, 10.0))
            case "free":
                self.same(lambda store: store.limits.free_slot(slot))
            case "renew":
                self.same(lambda store: store.limits.renew_slots(holder, now, 10.0))

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        self.folder.cleanup()


Twins.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
test_twins = pytest.mark.timeout(60)(Twins.TestCase)


def test_postgres_twins(postgres: Postgres, postgres_url: str) -> None:
    class PostgresTwins(Twins):
        async def _open(self) -> Store:
            postgres.empty("shared")
            return open_postgres(postgres_url)

    run_state_machine_as_test(PostgresTwins, settings=settings(Twins.TestCase.settings, max_examples=12))  # type: ignore[no-untyped-call]
