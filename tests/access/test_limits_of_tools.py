"""Limits of hosted tools and of owners."""

from __future__ import annotations

import msgspec
import pytest

from antiphon.access.caller import TOOL_SCOPES, TOOLS, USUAL_SCOPES, Caller, parse_limits
from antiphon.access.tool_limits import ToolMeters, ToolRights, rights_of, scope_of
from antiphon.config import KeyConfig
from antiphon.core.kinds import BY_NAME, KINDS, MCP
from antiphon.core.tools.deferred_tools import HOSTED_TOOL_SEARCH
from antiphon.errors import APIError
from antiphon.responses.plan import Identity
from tests.access.limits_bench import CARD, OTHER, Bench, told

# Tools


def tools_of(bench: Bench) -> tuple[ToolMeters, ToolRights]:
    return ToolMeters(bench.store.limits, bench.clock, bench.limiter.correct, bench.limiter.alerts), rights_of(
        bench.caller
    )


async def test_limits_of_tools_are_not_those_of_responses() -> None:
    bench = Bench("1 searches/day", "1 code_seconds/min", "1 images/day", "1 stored_bytes/day", "3 requests/min")
    for _ in range(3):
        permit = await bench.admit()
    assert {name.rpartition("-")[2] for name in told(permit.headers)} == {"requests"}


async def test_code_takes_its_most_and_gives_the_rest_back() -> None:
    bench = Bench("60 code_seconds/min")
    meters, rights = tools_of(bench)
    taken = await meters.take(rights, CARD, {"code_seconds": 60.0})
    with pytest.raises(APIError) as caught:
        await meters.take(rights, CARD, {"code_seconds": 60.0})
    assert (caught.value.status, caught.value.message) == (
        429,
        "The limit of 60 code_seconds/minute is reached. Try again in 1m0s.",
    )
    taken.settle({"code_seconds": 3.0}, 7.0)
    taken.settle({"code_seconds": 50.0}, 7.0)  # the second time means nothing
    await bench.settled()
    assert told(await meters.told(rights, CARD, ("code_seconds",), ()))["x-ratelimit-remaining-code-seconds"] == "57"
    (await meters.take(rights, CARD, {"code_seconds": 40.0})).settle({}, 7.0)  # cancelled: it ran for so long
    await bench.settled()
    assert told(await meters.told(rights, CARD, ("code_seconds",), ()))["x-ratelimit-remaining-code-seconds"] == "50"


async def test_one_spent_limit_takes_nothing_of_another() -> None:
    bench = Bench("100 code_seconds/day", "10 stored_bytes/day")
    meters, rights = tools_of(bench)
    await meters.store(bench.caller, 12)
    with pytest.raises(APIError) as caught:
        await meters.take(rights, CARD, {"code_seconds": 60.0, "stored_bytes": 0})
    assert caught.value.status == 402 and "10 stored_bytes/day" in caught.value.message
    assert told(await meters.told(rights, CARD, ("code_seconds",), ()))["x-ratelimit-remaining-code-seconds"] == "100"


async def test_a_limit_of_tools_on_a_pattern() -> None:
    bench = Bench("1 searches/day on gpt-*")
    meters, rights = tools_of(bench)
    await meters.take(rights, CARD, {"searches": 1})
    await meters.take(rights, OTHER, {"searches": 1})
    with pytest.raises(APIError):
        await meters.take(rights, CARD, {"searches": 1})


def test_rights_are_kept_with_a_job() -> None:
    rights = rights_of(
        Caller(owner="ann", scopes={"responses"}, limits=parse_limits(["1 searches/day"]), meter="key_1")
    )
    kept = msgspec.json.decode(msgspec.json.encode(Identity("0", 1, rights)), type=Identity)
    assert kept.rights == rights and not kept.rights.may_run("web_search")
    old = msgspec.json.decode(b'{"id_base":"0","created_at":1}', type=Identity)
    assert old.rights.may_run("web_search") and msgspec.json.encode(old) == b'{"id_base":"0","created_at":1}'


def test_each_hosted_tool_has_a_scope() -> None:
    hosted = {
        scope_of(kind.name) for kind in KINDS if kind.serve is not None and kind.name not in (MCP, HOSTED_TOOL_SEARCH)
    }
    assert hosted <= set(TOOL_SCOPES) <= {TOOLS, *BY_NAME}
    assert set(KeyConfig(key="k").scopes) == USUAL_SCOPES
