"""Makes checks against one server, one after another, within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import msgspec

from antiphon.conformance.base import Check, CheckOutcome, Mark, NonConforming, NotOffered, ServerUnderTest
from antiphon.conformance.readable import readable
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import CheckRequest, Wire
from antiphon.errors import APIError, ConfigError

ANSWERS_OF_CHECK = 3
"""A check takes at most as long as this many answers may take."""
REASON = 400
"""Characters of a reason."""
KINDS = ("text_generation", "embedding", "moderation")
"""Types of models, as a list of models may name them."""


async def choose_models(wire: Wire) -> ServerUnderTest:
    """Return the target with the models that it does not name, of the server's list.

    Raises APIError where the server cannot be reached, ConfigError where it lists no model.
    """
    try:
        answer = await wire.send(CheckRequest("GET", "/models"))
    except NonConforming as error:
        raise APIError(503, f"{wire.target.url}: {error}") from None
    if answer.status in (401, 403):
        raise APIError(answer.status, f"{wire.target.url}: {answer.status} to GET /models: give the key with --api-key")
    value = answer.json
    listed = value.get("data") if isinstance(value, dict) else None
    found = [one for one in listed or () if isinstance(one, dict) and isinstance(one.get("id"), str)]
    listed_as = {kind: [one["id"] for one in found if one.get("type", "text_generation") == kind] for kind in KINDS}
    target = wire.target
    if not (target.model or listed_as["text_generation"]):
        raise ConfigError(f"{target.url} lists no model: name one with --model")
    return msgspec.structs.replace(
        target,
        model=target.model or listed_as["text_generation"][0],
        embedding_model=target.embedding_model or next(iter(listed_as["embedding"]), ""),
        moderation_model=next(iter(listed_as["moderation"]), ""),
    )


async def outcomes(wire: Wire, checks: Sequence[Check], seconds: float) -> AsyncIterator[CheckOutcome]:
    """Make the checks, and say of each what came of it; those for which no time is left are not tried."""
    end = time.monotonic() + seconds
    for check in checks:
        left = end - time.monotonic()
        if left <= 0:
            yield _outcome(check, Mark.NOT_TRIED, ["the time of the run is over"])
            continue
        yield await outcome(wire, check, min(left, ANSWERS_OF_CHECK * wire.target.timeout))


async def outcome(wire: Wire, check: Check, seconds: float) -> CheckOutcome:
    """Make one check within some seconds."""
    talk = CheckTalk(wire, check)
    begin = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            await check.run(talk)
        mark, reasons = (Mark.PART, talk.lacking) if talk.lacking else (Mark.YES, [])
    except NotOffered as error:
        mark, reasons = Mark.NOT_OFFERED, [str(error)]
    except NonConforming as error:
        mark, reasons = Mark.NO, [str(error), *talk.lacking]
    except TimeoutError:
        mark, reasons = Mark.NO, [f"it took more than {seconds:.0f} s", *talk.lacking]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # An answer that no check has foreseen: its shape is wrong where nobody looked.
        mark, reasons = Mark.NO, [f"an answer of an unexpected shape: {type(error).__name__} {error}"]
    try:
        async with asyncio.timeout(wire.target.timeout):
            await talk.clean()
    except TimeoutError:
        pass
    return _outcome(check, mark, reasons, talk, time.monotonic() - begin)


def _outcome(
    check: Check, mark: Mark, reasons: Sequence[str], talk: CheckTalk | None = None, seconds: float = 0.0
) -> CheckOutcome:
    shown = [readable(reason, REASON) for reason in reasons]
    exchanges = list(talk.exchanges) if talk is not None and mark is not Mark.YES else []
    return CheckOutcome(
        area=check.area,
        name=check.name,
        asks=check.asks,
        section=check.section,
        mark=mark,
        reasons=shown,
        exchanges=exchanges,
        seconds=round(seconds, 3),
    )
