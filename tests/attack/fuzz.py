"""The fuzzer: the cases of `cases` over HTTP and WebSocket, and a look at each answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

from tests.attack.cases import Case, Known, http_case, known, ws_case
from tests.attack.mutate import shrink
from tests.attack.report import Report
from tests.attack.target import ANN, BOB, Target
from tests.attack.verdict import TERMINAL, fault_of, of_events
from tests.attack.wire import NONE, Closed, Connection, WebSocket

AT_ONCE = 24
PATIENCE = 120.0  # seconds for a well-formed request: hosted tools may run for a while
HANG = 0.4  # seconds to wait for an answer to what may be only the beginning of a request


async def fuzz_http(target: Target, report: Report, ids: Known, *, seed: int, count: int, first: int = 0) -> None:
    """Send `count` cases, several at once."""
    numbers = iter(range(first, first + count))
    statuses: Counter[int] = Counter()
    began = time.monotonic()

    async def worker() -> None:
        connection = Connection(target.port)
        for number in numbers:
            if not target.alive:
                break
            status = await _one(
                connection, target, report, http_case(seed, number, ids), f"http seed={seed} case={number}"
            )
            statuses[status] += 1
            done = sum(statuses.values())
            if done % 5000 == 0:
                delay = await target.largest_delay() if target.alive else -1
                report.say(
                    f"{done} requests, {done / (time.monotonic() - began):.0f}/s, loop delay {delay * 1000:.0f} ms"
                )
        connection.close()

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    report.figure("fuzz: requests over HTTP", f"{sum(statuses.values())} in {time.monotonic() - began:.0f} s")
    report.figure("fuzz: statuses", dict(sorted(statuses.items())))
    await check_alive(target, report, "fuzz", f"http seed={seed}")


async def _one(connection: Connection, target: Target, report: Report, case: Case, name: str) -> int:
    try:
        if case.hangs:
            connection.close()
            answer = await connection.ask(case.data, HANG)
            connection.close()
        else:
            answer = await connection.ask(case.data, PATIENCE)
    except OSError:
        answer = NONE
    if case.hangs and not answer.status:
        return 0
    fault = fault_of(answer, case.method, case.form)
    if fault:
        data = case.data
        if case.body and answer.status == 500:
            data = await asyncio.to_thread(shrink_case, target, case)
        report.found("fuzz", f"{fault}", name, data, f"{answer.status} {answer.body[-600:].decode(errors='replace')}")
    return answer.status


def shrink_case(target: Target, case: Case) -> bytes:
    """Return a smaller request with the same fault."""

    def still(body: bytes) -> bool:
        return asyncio.run(target.ask(case.method, case.path, body, key=ANN)).status == 500

    return f"{case.method} {case.path}\n".encode() + shrink(case.body, still, 60)


async def check_alive(target: Target, report: Report, part: str, case: str) -> None:
    """Tell where the server has died, does not answer, or has logged an unexpected error."""
    if not target.alive:
        assert target.process is not None
        tail = target.log.read_bytes()[-3000:].decode(errors="replace")
        report.found(part, f"the server died with status {target.process.returncode}", case, b"", tail)
        return
    answer = await target.ask("GET", "/health", seconds=30)
    if answer.status != 200:
        report.found(part, "the server does not answer", case)
    for function, times in target.held().items():
        report.figures[f"{part}: the event loop was held by {function}"] = times
    for name, text in target.crashes():
        report.found(part, f"logged: {name}", case, b"", text)


# WebSocket


async def fuzz_ws(target: Target, report: Report, ids: Known, *, seed: int, count: int, first: int = 0) -> None:
    """Send `count` messages over some connections."""
    numbers = iter(range(first, first + count))
    done: Counter[str] = Counter()
    began = time.monotonic()

    async def worker() -> None:
        socket: WebSocket | None = None
        for number in numbers:
            if not target.alive:
                break
            name = f"ws seed={seed} case={number}"
            data = ws_case(seed, number, ids)
            try:
                socket = socket or await WebSocket.open(target.port, ANN)
                socket.send(data)
                fault = await _until_end(socket)
            except Closed as closed:
                code = closed.args[0]
                fault = "" if code in (1007, 1003, 1009) else f"closed with {code}"
                socket = None
            except (TimeoutError, OSError) as error:
                fault = f"{type(error).__name__} on a WebSocket"
                socket = None
            done[fault] += 1
            if fault:
                report.found("fuzz", fault, name, data)
            if sum(done.values()) % 2000 == 0:
                report.say(f"{sum(done.values())} messages")
        if socket is not None:
            socket.close()

    await asyncio.gather(*(worker() for _ in range(8)))
    report.figure("fuzz: WebSocket messages", f"{sum(done.values())} in {time.monotonic() - began:.0f} s")
    await check_alive(target, report, "fuzz", f"ws seed={seed}")


async def _until_end(socket: WebSocket) -> str:
    """Read until a response has ended or was refused; judge what came."""
    events = []
    while True:
        message = await socket.receive(PATIENCE)
        try:
            event = json.loads(message)
        except ValueError:
            return "a message that is no JSON"
        kind = str(event.get("type"))
        if kind == "error":
            return _of_error(event)
        if kind.startswith("response.steer"):
            return ""
        events.append(event)
        if kind in TERMINAL:
            one = [event for event in events if event.get("stream_id") == events[-1].get("stream_id")]
            return of_events(one)


def _of_error(event: dict[str, Any]) -> str:
    error = event.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return "an error of another shape on a WebSocket"
    return "an error 500 on a WebSocket" if event.get("status") == 500 else ""


async def run_fuzz(target: Target, report: Report, *, seed: int, count: int, only: str = "") -> None:
    """Attack over HTTP, then with a tenth of the messages over WebSocket."""
    ids = await known(target)  # before the attack, which uses up what an owner may have
    if only in ("", "http"):
        await fuzz_http(target, report, ids, seed=seed, count=count)
    if only in ("", "ws") and target.alive:
        await fuzz_ws(target, report, ids, seed=seed, count=max(1, count // 10))
    if target.alive:
        report.figure("fuzz: memory of the server in MB", round(target.rss))
        assert (await target.ask("GET", "/v1/models", key=BOB)).status == 200
