"""Limits: how they are written, what is reserved and settled, what clients are told."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.access.caller import parse_limit, parse_limits
from antiphon.access.limits import FREE, Demand
from antiphon.access.periods import window
from antiphon.access.quota import duration
from antiphon.backends.base import ModelCard
from antiphon.errors import APIError
from antiphon.stores.memory.limits import MemoryLimits
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.open import open_memory
from antiphon.types.response import Usage
from tests.access.limits_bench import CARD, NOON, OTHER, Bench, told
from tests.bounds import bound

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
