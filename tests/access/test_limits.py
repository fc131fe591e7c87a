"""Limits: how they are written, what is reserved and settled, what clients are told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from antiphon.access.caller import TOOL_SCOPES, TOOLS, USUAL_SCOPES, Caller, parse_limit, parse_limits
from antiphon.access.limits import FREE, Demand, Limiter, Permit
from antiphon.access.periods import window
from antiphon.access.prices import prices
from antiphon.access.quota import duration
from antiphon.access.tool_limits import ToolMeters, ToolRights, rights_of, scope_of
from antiphon.backends.base import ModelCard
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig
from antiphon.core.kinds import BY_NAME, KINDS, MCP
from antiphon.errors import APIError
from antiphon.responses.plan import Identity
from antiphon.stores.base import Store
from antiphon.stores.memory.limits import MemoryLimits
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.open import open_memory, open_sqlite
from antiphon.types.response import InputTokensDetails, Usage
from tests.bounds import bound
from tests.server.handlers import Answer, call
from tests.server.serving import serving, wait_until

CARD = ModelCard(id="gpt-small", aliases=("tiny",))
OTHER = ModelCard(id="llama")
NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Bench:
    """A limiter and a caller."""

    def __init__(self, *limits: str, store: Store | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.store = store or open_memory()
        priced = {"gpt-small": ModelConfig(price_input=2.0, price_output=10.0, price_cached=0.5)}
        self.limiter = Limiter(self.store.limits, self.clock, prices(priced))
        self.caller = Caller(owner="ann", limits=parse_limits(limits), meter="key_1")

    async def admit(self, input: int = 100, output: int | None = 100, card: ModelCard = CARD) -> Permit:
        return await self.limiter.admit(self.caller, card, lambda: Demand(input, output))

    async def refused(self, input: int = 100, output: int | None = 100, card: ModelCard = CARD) -> APIError:
        with pytest.raises(APIError) as caught:
            await self.admit(input, output, card)
        return caught.value

    async def use(
        self, input: int, output: int, *, reserved: tuple[int, int | None] = (100, 100), **fields: Any
    ) -> None:
        """Make a response."""
        permit = await self.admit(*reserved)
        permit.settle(Usage(input_tokens=input, output_tokens=output, **fields))
        await self.settled()

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


def told(headers: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


# How limits are written


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("60 requests/min", "60 requests/minute"),
        ("60  requests/minute", "60 requests/minute"),
        ("1_000_000 tokens/day on gpt-*", "1000000 tokens/day on gpt-*"),
        ("4 streams", "4 streams"),
        ("12.5 cost/month", "12.5 cost/month"),
        ("2 streams on *", "2 streams on *"),
        ("600 code_seconds/day", "600 code_seconds/day"),
        ("20 searches/min on gpt-*", "20 searches/minute on gpt-*"),
        ("1_000_000 stored_bytes/month", "1000000 stored_bytes/month"),
    ],
)
def test_a_limit_is_read_and_spelt(text: str, spelt: str) -> None:
    assert str(parse_limit(text)) == spelt
    assert parse_limit(spelt) == parse_limit(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("60", "is not a limit such as"),
        ("60 requests", "a period is missing, such as requests/min"),
        ("-1 requests/min", "is not a limit"),
        ("0 requests/min", "above 0"),
        ("4 streams/min", "streams must not have a period"),
        ("4 cost/min", "per day or month"),
        ("4 searches", "a period is missing, such as searches/min"),
        ("4 stored_bytes/day on gpt-*", "stored_bytes are of no model"),
        ("4 requests/hour", "is not a limit"),
        ("4 requests/min on", "is not a limit"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_limit(text)


def test_two_limits_of_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="limits of the same kind"):
        parse_limits(["60 requests/min", "70 requests/minute"])
    assert len(parse_limits(["60 requests/min", "70 requests/min on gpt-*", "60 requests/day"])) == 3


def test_days_and_months_end() -> None:
    assert window("day", NOON).name == "2026-11-25" and window("day", NOON).end == NOON + 12 * 3600
    month = window("month", NOON)
    assert (month.name, month.end) == ("2026-11", NOON + 5 * 86400 + 12 * 3600)
    assert window("month", month.end).name == "2026-12"
    assert window("month", month.end + 31 * 86400).name == "2027-01"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.12, "120ms"), (1, "1s"), (1.5, "1.5s"), (90, "1m30s"), (7200, "2h0m0s")]
)
def test_times_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# Requests


async def test_callers_without_limits_pass_untouched() -> None:
    bench = Bench()
    assert await bench.admit() is FREE
    started = time.thread_time()
    for _ in range(2000):
        await bench.limiter.admit(bench.caller, CARD, lambda: Demand(1, 1))
    assert (time.thread_time() - started) / 2000 < bound(20e-6)  # 0.2 µs when nothing else runs


async def test_requests_per_minute() -> None:
    bench = Bench("3 requests/min")
    left = [told((await bench.admit()).headers)["x-ratelimit-remaining-requests"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    error = await bench.refused()
    assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert error.headers == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
        "retry-after": "20",
    }
    assert error.message == "The limit of 3 requests/minute is reached. Try again in 20s."
    bench.clock.now += 20
    await bench.admit()
    await bench.refused()


class Counting(MemoryLimits):
    """Limits that count what they are asked."""

    asked = 0

    async def charge(self, charges: Any, now: float, *, enforce: bool = True) -> Any:
        self.asked += 1
        return await super().charge(charges, now, enforce=enforce)


async def test_who_goes_on_asking_costs_the_store_nothing() -> None:
    counting = Counting(MemoryDatabase())
    bench = Bench("2 requests/min", store=replace(open_memory(), limits=counting))
    for _ in range(2):
        await bench.admit()
    errors = [await bench.refused() for _ in range(100)]
    assert counting.asked == 3
    bench.clock.now += 9.5
    later = await bench.refused()
    assert (errors[-1].headers["retry-after"], later.headers["retry-after"]) == ("30", "21")
    with pytest.raises(APIError):
        bench.limiter.check(bench.caller)
    bench.clock.now += 1
    await bench.refused()
    assert counting.asked == 4  # limits may have been raised: from time to time it is asked again
    bench.clock.now += 19.5
    bench.limiter.check(bench.caller)
    await bench.admit()


async def test_what_may_be_given_back_is_asked_for_again() -> None:
    bench = Bench("1000 tokens/min", "5 requests/min on gpt-*", "9 requests/min")
    permit = await bench.admit(100, 900)
    await bench.refused()
    permit.settle(None)
    await bench.settled()
    await bench.admit()


async def test_requests_per_day_are_a_429_until_the_day_ends() -> None:
    bench = Bench("1 requests/day")
    await bench.admit()
    error = await bench.refused()
    assert (error.status, error.headers["retry-after"]) == (429, str(12 * 3600))
    bench.clock.now += 12 * 3600
    await bench.admit()


async def test_a_limit_on_a_pattern_counts_each_model_apart() -> None:
    bench = Bench("1 requests/min on gpt-*", "3 requests/min")
    await bench.admit()
    await bench.refused()
    await bench.admit(card=ModelCard(id="gpt-large"))
    await bench.admit(card=OTHER)
    assert "3 requests" in (await bench.refused(card=OTHER)).message


async def test_an_alias_fits_a_pattern_too() -> None:
    bench = Bench("1 requests/min on tiny")
    await bench.admit()
    await bench.refused()


async def test_the_tightest_limit_is_told() -> None:
    bench = Bench("10 requests/min", "5 requests/day")
    headers = told((await bench.admit()).headers)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("5", "4")


# Tokens


async def test_tokens_are_reserved_and_settled() -> None:
    bench = Bench("1000 tokens/min")
    permit = await bench.admit(100, 500)
    assert told(permit.headers)["x-ratelimit-remaining-tokens"] == "400"
    assert (await bench.refused(100, 500)).headers["retry-after"] == "12"
    permit.settle(Usage(input_tokens=90, output_tokens=10))
    permit.settle(Usage(input_tokens=900, output_tokens=100))  # the second time means nothing
    await bench.settled()
    assert told((await bench.admit(100, 500)).headers)["x-ratelimit-remaining-tokens"] == "300"


async def test_more_than_was_reserved_is_a_debt() -> None:
    bench = Bench("1000 tokens/min")
    await bench.use(1500, 500)
    assert (await bench.refused(1, 1)).headers["retry-after"] == "61"
    bench.clock.now += 61
    await bench.admit(1, 1)


async def test_a_request_larger_than_the_limit_waits_for_an_empty_meter() -> None:
    bench = Bench("1000 tokens/min")
    await bench.use(5, 5, reserved=(100, 50_000))
    assert (await bench.refused(100, 50_000)).headers["retry-after"] == "1"
    bench.clock.now += 1
    await bench.admit(100, 50_000)


async def test_without_a_maximum_a_moderate_one_is_reserved() -> None:
    small, large = Bench("1000 tokens/min"), Bench("100000 tokens/min")
    assert told((await small.admit(100, None)).headers)["x-ratelimit-remaining-tokens"] == "650"
    assert told((await large.admit(100, None)).headers)["x-ratelimit-remaining-tokens"] == str(100_000 - 1124)


async def test_nothing_made_nothing_counted() -> None:
    bench = Bench("1000 tokens/min", "5 requests/min")
    permit = await bench.admit()
    permit.settle(None)
    await bench.settled()
    headers = told((await bench.admit(0, 1)).headers)
    assert (headers["x-ratelimit-remaining-tokens"], headers["x-ratelimit-remaining-requests"]) == ("999", "3")


async def test_without_usage_the_output_that_was_seen_counts() -> None:
    bench = Bench("1000 tokens/min")
    (await bench.admit(100, 500)).settle(None, 30)
    await bench.settled()
    assert told((await bench.admit(0, 1)).headers)["x-ratelimit-remaining-tokens"] == "869"


async def test_a_reservation_that_is_handed_over_stands() -> None:
    bench = Bench("1000 tokens/min", "1 streams")
    permit = await bench.admit(100, 500)
    permit.hand_over()
    permit.settle(Usage())
    await bench.settled()
    assert told((await bench.admit(0, 1)).headers)["x-ratelimit-remaining-tokens"] == "399"


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
    hosted = {scope_of(kind.name) for kind in KINDS if kind.serve is not None and kind.name != MCP}
    assert hosted <= set(TOOL_SCOPES) <= {TOOLS, *BY_NAME}
    assert set(KeyConfig(key="k").scopes) == USUAL_SCOPES


# Budgets


async def test_a_spent_budget_is_a_402() -> None:
    bench = Bench("1000 tokens/day")
    await bench.use(900, 50)
    await bench.use(900, 50)  # the request that reaches the budget is still answered
    error = await bench.refused()
    assert (error.status, error.type, error.code) == (402, "payment_error", "insufficient_quota")
    assert error.message == "The budget of 1000 tokens/day is spent. It begins anew on 2026-11-26 00:00 UTC."
    assert error.headers["x-ratelimit-remaining-tokens"] == "0" and "retry-after" not in error.headers
    bench.clock.now += 12 * 3600
    await bench.admit()


async def test_a_budget_in_money_has_the_models_prices() -> None:
    bench = Bench("3 cost/month")
    cached = InputTokensDetails(cached_tokens=400_000)
    await bench.use(500_000, 100_000, input_tokens_details=cached)  # 0.2 + 0.2 + 1.0 = 1.4
    await bench.use(300_000, 95_000)  # 0.6 + 0.95: 2.95 in all
    await bench.use(20_000, 2_000)  # 0.06
    assert (await bench.refused()).status == 402
    bench.clock.now += 10 * 86400
    await bench.admit()


async def test_a_model_without_a_price_costs_nothing() -> None:
    bench = Bench("1 cost/day")
    for _ in range(3):
        (await bench.admit(card=OTHER)).settle(Usage(input_tokens=10**9, output_tokens=10**9))
        await bench.settled()


async def test_a_refusal_charges_nothing() -> None:
    bench = Bench("2 requests/min", "1000 tokens/day")
    await bench.use(2000, 0)
    for _ in range(3):
        assert (await bench.refused()).status == 402
    bench.clock.now += 12 * 3600
    assert told((await bench.admit()).headers)["x-ratelimit-remaining-requests"] == "1"


# Slots


async def test_streams_at_once() -> None:
    bench = Bench("2 streams")
    permits = [await bench.admit(), await bench.admit()]
    error = await bench.refused()
    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "1")
    permits[0].settle(None)
    await bench.admit()


async def test_a_place_is_given_back_where_another_limit_refuses() -> None:
    bench = Bench("1 streams", "1 requests/min")
    (await bench.admit()).settle(None)
    assert "requests" in (await bench.refused()).message
    bench.clock.now += 60
    await bench.admit()


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_that_leaves_while_it_waits_keeps_no_place(tmp_path: Path, turns: int) -> None:
    bench = Bench("1 streams", "100 requests/min", store=open_sqlite(tmp_path / "store.db"))
    asking = asyncio.create_task(bench.admit())
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.02)
    await bench.admit()
    await bench.limiter.close()
    await bench.store.close()


async def test_places_of_a_dead_server_are_free_after_a_while() -> None:
    dead = Bench("1 streams")
    alive = Bench("1 streams", store=dead.store, clock=dead.clock)
    await dead.admit()
    await alive.refused()
    alive.clock.now += 31
    await alive.admit()
    await alive.limiter.close()
    await dead.limiter.close()


@pytest.mark.parametrize("make", [open_memory, None])
async def test_what_is_not_yet_settled_is_at_the_end(tmp_path: Path, make: Callable[[], Store] | None) -> None:
    store = make() if make else open_sqlite(tmp_path / "store.db")
    bench = Bench("1000 tokens/day", store=store)
    permit = await bench.admit()
    permit.settle(Usage(input_tokens=5000))
    await bench.limiter.close()
    assert (await bench.refused()).status == 402
    await store.close()


# Servers


def settings(folder: Path, *limits: str, **more: Any) -> Config:
    """Return the settings of a server with a limited key `k` and a free one."""
    return Config(
        store=str(folder / "store.db"),
        shutdown_grace=1.0,
        api_keys=["free"],
        keys={"limited": KeyConfig(key="k", limits=list(limits))},
        backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
        **more,
    )


def ask(url: str, text: str = "Hi.", key: str = "k", path: str = "/v1/responses", **fields: Any) -> Answer:
    body = {"model": "scripted", "input": text, **fields}
    return call(url, "POST", path, json.dumps(body), {"authorization": f"Bearer {key}"})


def finished(url: str, id: str) -> None:
    """Wait for a background response."""
    while call(url, "GET", f"/v1/responses/{id}", headers={"x-api-key": "k"}).json()["status"] != "completed":
        time.sleep(0.02)


def test_every_mode_is_counted_and_told(tmp_path: Path) -> None:
    config = settings(tmp_path, "5 requests/min", "100000 tokens/min")
    with serving(app.build(config), config) as served:
        seen = [
            ask(served.url),
            ask(served.url, stream=True),
            ask(served.url, background=True),
            ask(served.url, path="/v1/responses/compact"),
        ]
        assert [answer.status for answer in seen] == [200] * 4
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in seen] == ["4", "3", "2", "1"]
        assert all(int(answer.headers["x-ratelimit-remaining-tokens"]) > 90_000 for answer in seen)
        assert ask(served.url, text="/error 500 broken").status == 500
        assert ask(served.url).status == 429
        assert ask(served.url, key="free").status == 200
        assert "x-ratelimit-limit-requests" not in ask(served.url, key="free").headers


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"background": True}])
def test_real_usage_is_settled(tmp_path: Path, fields: dict[str, Any]) -> None:
    config = settings(tmp_path, "3000 tokens/min")
    with serving(app.build(config), config) as served:
        began = time.monotonic()
        answer = ask(served.url, "/repeat 200 word", max_output_tokens=2900, **fields)
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 100
        if fields.get("background"):
            finished(served.url, answer.json()["id"])
        left = int(ask(served.url, max_output_tokens=1).headers["x-ratelimit-remaining-tokens"])
        leaked = 50 * (time.monotonic() - began)
        assert 2500 < left < 2850 + leaked  # some 200 tokens of output


def test_one_stream_at_a_time(tmp_path: Path) -> None:
    config = settings(tmp_path, "1 streams")
    with serving(app.build(config), config) as served:
        for _ in range(5):  # one after the other, each place is free again at once
            assert ask(served.url, stream=True).status == 200
        background = ask(served.url, "/delay 0.3\n/repeat 2 word", background=True)
        assert background.status == 200
        assert ask(served.url).status == 429
        id = background.json()["id"]
        while (
            call(served.url, "GET", f"/v1/responses/{id}", headers={"x-api-key": "k"}).json()["status"] != "completed"
        ):
            time.sleep(0.02)
        assert ask(served.url).status == 200


def test_a_client_that_leaves_gives_its_place_back(tmp_path: Path) -> None:
    config = settings(tmp_path, "1 streams")
    body = b'{"model":"scripted","input":"/delay 5\\n/repeat 20 word","stream":true}'
    with serving(app.build(config), config) as served:
        with served.connect() as sock:
            head = b"POST /v1/responses HTTP/1.1\r\nhost: a\r\nx-api-key: k\r\ncontent-length: %d\r\n\r\n" % len(body)
            sock.sendall(head + body)
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            assert ask(served.url).status == 429
        wait_until(lambda: ask(served.url).status == 200)


def test_a_request_that_is_refused_otherwise_costs_nothing(tmp_path: Path) -> None:
    config = settings(tmp_path, "1 requests/min", "1 streams")
    with serving(app.build(config), config) as served:
        for _ in range(3):
            assert ask(served.url, temperature=7).status == 400
            assert ask(served.url, model="nobody").status == 400
        assert ask(served.url).status == 200
