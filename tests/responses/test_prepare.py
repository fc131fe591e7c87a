"""The one recipe for a response: what comes before what, and which steps the ways in leave out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from antiphon.access.caller import Caller
from antiphon.access.limits import FREE
from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.turn import Hints
from antiphon.errors import APIError
from antiphon.responses.delta_trace import DeltaTrace
from antiphon.responses.intake.asked import Asked
from antiphon.responses.plan import Identity
from antiphon.responses.prepare import Preparer
from antiphon.types.items import Message
from antiphon.types.request import CreateResponse

CALLER = Caller(owner="ann")
HINTS = Hints(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Noting:
    """A decoder that takes a body for the user's words."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.model: str | None = None

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        self.bodies.append(body)
        self.model = model
        request = CreateResponse(model=model or "scripted", store=False)
        return Asked(request=request, items=[Message(role="user", content=body.decode())], size=len(body))


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    backend = BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")
    parts = Parts(Config(store="memory", backends={"b": backend}))
    async with parts.app.running():
        yield parts


def preparer(parts: Parts, decoder: Any = None) -> Preparer:
    return Preparer(parts.services, parts.intake, decoder or Noting())


async def test_a_response_has_its_hints_and_a_permit(parts: Parts) -> None:
    prepared = await preparer(parts).prepare(b"Hello.", CALLER, HINTS)
    hints = prepared.plan.turn.hints
    assert (hints.owner, hints.response) == ("ann", prepared.plan.response.id)
    assert hints.traceparent == HINTS.traceparent
    assert prepared.trace is None and prepared.plan.owner == "ann"
    run = preparer(parts).run(prepared, mute=True)
    assert run.plan is prepared.plan and isinstance(run.stream.emitter, MuteEmitter)


async def test_a_traced_response_goes_through_a_route_that_listens(parts: Parts) -> None:
    prepared = (await preparer(parts).prepare(b"Hello.", CALLER)).traced()
    assert isinstance(prepared.trace, DeltaTrace) and prepared.plan.route is prepared.trace.route


async def test_what_goes_on_after_a_crash_has_no_hints_and_keeps_its_name(parts: Parts) -> None:
    plan = await preparer(parts).plan_again(b"Hello.", "ann", Identity("0" * 48, 17))
    assert (plan.response.id, plan.response.created_at) == (f"resp_{'0' * 48}", 17)
    assert plan.turn.hints == Hints(owner="ann", response=plan.response.id)


async def test_a_count_may_leave_the_model_out(parts: Parts) -> None:
    decoder = Noting()
    prepared = await preparer(parts, decoder).prepare_count(b"Hello.", CALLER)
    assert decoder.model == prepared.plan.response.model == "scripted"
    assert prepared.permit is FREE


async def test_who_may_not_go_on_is_refused_before_anything_is_decoded(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(caller: Caller) -> None:
        raise APIError(429, "Slow down.")

    monkeypatch.setattr(parts.limiter, "check", refuse)
    decoder = Noting()
    for prepare in (preparer(parts, decoder).prepare, preparer(parts, decoder).prepare_count):
        with pytest.raises(APIError, match="Slow down"):
            await prepare(b"Hello.", CALLER)
    assert decoder.bodies == []
