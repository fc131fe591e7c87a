"""Growth: every parser is fed inputs of size n, 2n and 4n. The CPU time per byte must not grow, nor others be kept waiting."""

from __future__ import annotations

import asyncio
import json
import math
from typing import NamedTuple

from tests.attack import growing, growing_hosted
from tests.attack.fuzz import check_alive
from tests.attack.growing import Growing
from tests.attack.report import Report
from tests.attack.target import ANN, Target
from tests.attack.verdict import fault_of
from tests.attack.wire import Closed, Connection, WebSocket

KINDS = (*growing.KINDS, *growing_hosted.KINDS)

DELAY = 0.05
"""Seconds that the event loop may be late, on a machine that has nothing else to do; with less CPU than that it is not judged."""

FACTOR = 2.2
"""How much more than four times the time an input of four times the size may take."""

NOISE = 0.06
"""Seconds that say nothing about growth."""

PATIENCE = 30.0
TRIES = 3


class Measured(NamedTuple):
    """What the three sizes took in CPU seconds of the server, and the loop's largest delay (an upper bound: a bucket's)."""

    seconds: list[float]
    delay: float
    fault: str


async def measure(target: Target, kind: Growing) -> Measured:
    """Send the three sizes, one after the other."""
    before = await target.metrics()
    seconds: list[float] = []
    fault = ""
    for factor in (1, 2, 4):
        data = kind.make(kind.size * factor)
        began = target.cpu
        fault = fault or (await _message(target, data) if kind.socket else await _request(target, data))
        seconds.append(target.cpu - began)
        if fault == "no answer":
            return Measured(seconds, math.inf, fault)
    return Measured(seconds, _delay(before, await target.metrics()), fault)


async def _request(target: Target, data: bytes) -> str:
    connection = Connection(target.port)
    try:
        return fault_of(await connection.ask(data, PATIENCE))
    except OSError as error:
        return repr(error)
    finally:
        connection.close()


async def _message(target: Target, data: bytes) -> str:
    """Send frames, then wait until the server has answered an empty message behind them."""
    socket = await WebSocket.open(target.port, ANN)
    try:
        socket.send(data)
        socket.send(b"\x81\x82\0\0\0\0[]")
        while True:
            message = json.loads(await socket.receive(PATIENCE))
            if message["type"] == "error" and "object" in message["error"]["message"]:
                return ""
    except Closed as closed:
        return "" if closed.args[0] in (1007, 1008, 1009, 1013) else f"closed with {closed.args[0]}"
    except (TimeoutError, OSError) as error:
        return repr(error)
    finally:
        socket.close()


def _delay(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the bound of the largest bucket that has grown."""
    name = 'antiphon_event_loop_delay_seconds_bucket{le="'
    largest, below = 0.0, 0.0
    for series, value in after.items():
        if not series.startswith(name):
            continue
        grown = value - before.get(series, 0.0)
        if grown > below:
            largest, below = float(series[len(name) : -2].replace("+Inf", "inf")), grown
    return largest


async def run_growth(target: Target, report: Report, only: str = "", delay: float = DELAY) -> None:
    """Measure every kind; one that is too slow is measured again, for the machine may be busy."""
    largest = 0.0
    for kind in KINDS:
        if only not in kind.name or not target.alive:
            continue
        fault, told = "", ""
        for _ in range(TRIES):
            found = await measure(target, kind)
            fault, told = (
                _fault(found, delay),
                f"{[round(s, 2) for s in found.seconds]} s of CPU, loop delay ≤ {found.delay} s",
            )
            if not fault or found.fault or sum(found.seconds) > PATIENCE:
                break
            await asyncio.sleep(0.2)
        largest = max(largest, found.delay)
        report.say(f"{kind.name}: {told}{' ' + fault if fault else ''}")
        if fault:
            report.found("growth", fault, f"{kind.name} from {kind.size}", kind.make(kind.size)[:100_000], told)
        if (await target.ask("GET", "/health", seconds=5)).status != 200 and target.alive:
            report.found("growth", "the server does not answer", kind.name)
            target.kill()
            await target.start()
        await check_alive(target, report, "growth", kind.name)
    report.figure("growth: largest delay of the event loop in s, at most", largest)


def _fault(found: Measured, delay: float) -> str:
    if found.fault:
        return found.fault
    small, large = found.seconds[0], found.seconds[-1]
    if large > NOISE and large > 4 * FACTOR * max(small, NOISE / 8):
        return "the CPU time grows faster than the size"
    held = found.delay > delay and sum(found.seconds) > delay
    return f"event loop blocked for more than {delay * 1000:.0f} ms" if held else ""
