"""Who gets an answer as one PlainAnswer: those who look at no Deltas, where nothing has to be kept from them."""

from __future__ import annotations

import ast
import json
from typing import Any, cast

import pytest

from antiphon.backends.responses.backend import RelayStream
from antiphon.backends.routing.leases import Lease, LeasedStream
from antiphon.core.deltas import Delta, PlainAnswer, Relay
from antiphon.core.fast_path import unwatch
from antiphon.core.turn import TurnOptions
from antiphon.net.http.response import HttpResponse
from tests.backends.turns import turn
from tests.core.relay.relay_streams import CALL
from tests.core.relay.test_plain import PLAIN, answer
from tests.test_map import SOURCE


class Whole:
    """An HttpResponse that came whole."""

    counts_itself = False

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def pour(self, take: Any) -> bool:
        for at in range(0, len(self._body), 100):
            take(self._body[at : at + 100])
        return True

    def alive(self) -> None:
        """Do nothing."""

    release = abort = alive


async def given(*, watched: bool, output: Any = PLAIN, forced: bool = False, **wishes: Any) -> list[Delta]:
    body = json.dumps(answer(output), indent=1).encode()
    source = LeasedStream(
        RelayStream.of(
            cast(HttpResponse, Whole(body)), turn(*([] if "items" in wishes else ["x"]), **wishes), forced=forced
        ),
        Lease(None),
        "",
    )
    if not watched:
        unwatch(source)
    deltas: list[Delta] = []

    def take(some: Any) -> bool:
        deltas.extend(some)
        return True

    assert await source.pour(take)
    return deltas


@pytest.mark.parametrize("output", [PLAIN, CALL], ids=["text", "call"])
async def test_an_answer_is_plain_where_nobody_looks(output: Any) -> None:
    assert [type(delta) for delta in await given(watched=False, output=output)] == [PlainAnswer]
    assert [type(delta) for delta in await given(watched=True, output=output)] == [Relay]


async def test_an_answer_that_is_looked_at_by_the_stream_itself_is_not_plain() -> None:
    assert [type(delta) for delta in await given(watched=False, forced=True)] == [Relay]
    assert [type(delta) for delta in await given(watched=False, parallel_tool_calls=False)] == [Relay]


async def test_an_answer_that_repeats_what_was_begun_is_not_plain() -> None:
    begun = [{"type": "message", "role": role, "content": text} for role, text in (("user", "x"), ("assistant", "Hel"))]
    (delta,) = await given(watched=False, items=begun, options=TurnOptions(continues=True))
    assert isinstance(delta, Relay)
    assert delta.fields["response"]["output"][0]["content"][0]["text"] == "lo"


def test_who_looks_at_deltas_does_not_say_that_nobody_does() -> None:
    streams = {
        f"{path.relative_to(SOURCE).as_posix()}:{node.name}": {one.name for one in node.body if hasattr(one, "name")}
        for path in SOURCE.rglob("*.py")
        if "def pour(" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }
    pouring = {name for name, methods in streams.items() if "pour" in methods}
    assert len(pouring) > 8
    passing = {name for name, methods in streams.items() if "unwatched" in methods}
    assert passing == {"backends/responses/backend.py:RelayStream", "backends/routing/leases.py:LeasedStream"}
