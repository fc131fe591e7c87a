"""Writes that wait for the end of a turn of the event loop."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

from antiphon.net.socket_writes import HIGH_WATER, Writes, writes_of


class Transport(asyncio.WriteTransport):
    def __init__(self, log: list[tuple[Any, bytes]]) -> None:
        super().__init__()
        self.log = log
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: Any) -> None:
        assert not self.closed
        self.log.append((self, data))


async def test_what_is_put_is_written_in_order_within_the_turn() -> None:
    log: list[tuple[Any, bytes]] = []
    writes, one, other = writes_of(asyncio.get_running_loop()), Transport(log), Transport(log)
    writes.put(one, b"a")
    writes.put(other, b"b")
    writes.put(one, b"c")
    assert log == []
    await asyncio.sleep(0)
    assert log == [(one, b"a"), (other, b"b"), (one, b"c")]
    writes.put(one, b"d")
    writes.flush()
    assert log[3:] == [(one, b"d")]
    await asyncio.sleep(0)
    assert len(log) == 4


async def test_a_transport_that_was_closed_gets_nothing_more() -> None:
    log: list[tuple[Any, bytes]] = []
    writes, one, other = Writes(asyncio.get_running_loop()), Transport(log), Transport(log)
    writes.put(one, b"a")
    writes.put(other, b"b")
    one.closed = True
    await asyncio.sleep(0)
    assert log == [(other, b"b")]


async def test_much_does_not_wait() -> None:
    log: list[tuple[Any, bytes]] = []
    writes, one = Writes(asyncio.get_running_loop()), Transport(log)
    writes.put(one, b"x" * HIGH_WATER)
    assert log == []
    writes.put(one, b"y")
    assert [data[:1] for _, data in log] == [b"x", b"y"]


def test_a_loop_is_not_kept() -> None:
    loop = asyncio.new_event_loop()
    kept = weakref.ref(writes_of(loop))
    assert writes_of(loop) is kept()
    loop.close()
    del loop
    gc.collect()
    assert kept() is None
