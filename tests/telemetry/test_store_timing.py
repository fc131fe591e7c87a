"""The store's operations in `/metrics`: their labels, and that a timed store does what the store does."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from antiphon.errors import StoreConflict
from antiphon.stores.open import open_memory
from antiphon.telemetry.store_timing import label, operations, timed_store
from tests.stores.samples import ANN, conversation, file

LABELS = """
put get delete history items may_have_thoughts model_texts enqueue
create_conversation get_conversation conversations update_conversation delete_conversation
add_items conversation_summary conversation_items get_item delete_item
claim release_job heartbeat finish_job cancel_job append_events append_batches events wait_for_events checkpoint
put_file get_file file_content files delete_file begin_file append_file finish_file drop_file file_row file_usage
uploads.put uploads.get uploads.pending uploads.add uploads.parts uploads.end
put_deliveries claim_delivery postpone_delivery finish_delivery next_delivery
batches.create batches.get batches.list batches.cancel batches.delete batches.claim batches.heartbeat batches.release
batches.clear_lines batches.add_lines batches.advance batches.begin_line batches.finish_line batches.outcomes batches.settle
webhook_endpoints.create webhook_endpoints.get webhook_endpoints.list webhook_endpoints.update webhook_endpoints.delete
secret put_key find_key keys keys.get keys.page keys.count keys.change keys.used
charge values take_slot free_slot renew_slots purge census close
vector_stores.create vector_stores.get vector_stores.list vector_stores.count vector_stores.update vector_stores.touch
vector_stores.delete vector_stores.attach vector_stores.file vector_stores.files vector_stores.set_attributes
vector_stores.detach vector_stores.batch vector_stores.cancel_batch vector_stores.content vector_stores.claim
vector_stores.heartbeat vector_stores.release vector_stores.complete vector_stores.fail vector_stores.sweep
vector_stores.attributes vector_stores.search vector_stores.drafted vector_stores.draft vector_stores.nearest
containers.claim containers.count containers.delete containers.delete_file containers.file_content containers.files
containers.get containers.list containers.put containers.put_file containers.release containers.touch
containers.put_skill containers.skill_content containers.skills
audit.add audit.list audit.drop
usage.add usage.read usage.drop
response_log log_entry unlogged_responses outdated_entries fill_log
chats.put chats.get chats.list chats.update chats.delete
skills.add_version skills.content skills.count skills.create skills.delete skills.delete_version skills.get skills.list
skills.set_default skills.version skills.versions
""".split()


class Timer:
    """Notes what was called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __call__(self, operation: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noting(*args: Any, **kwargs: Any) -> Any:
            self.called.append(operation)
            return await call(*args, **kwargs)

        return noting


def test_labels_are_what_dashboards_know() -> None:
    found = [each for labels in operations().values() for each in labels.values()]
    assert sorted(found) == sorted(LABELS)
    assert label("vector_stores", "put") == "vector_stores.put"


async def test_a_timed_store_does_what_the_store_does() -> None:
    store, timer = open_memory(), Timer()
    timed = timed_store(store, timer)
    await timed.files.put(file(1), b"text")
    with pytest.raises(StoreConflict):
        await timed.files.put(file(1), b"text")
    await timed.conversations.create(conversation(1))
    assert await store.files.content(file(1).id, ANN, 0.0) == b"text"
    assert await timed.database.purge(0) == 0
    timed.jobs.on_cancel(print)
    assert timed.database.condition is store.database.condition
    assert not timed.database.remote
    await timed.close()
    assert timer.called == ["put_file", "put_file", "create_conversation", "purge", "close"]


def test_every_operation_of_a_noun_is_a_coroutine_function_but_for_what_waits_for_nothing() -> None:
    calls = {name for kind in operations() for name in operations()[kind]}
    assert "on_cancel" not in calls and "measures" not in calls
    assert inspect.iscoroutinefunction(open_memory().jobs.claim)
