"""Soak: a steady load of every kind of request for a long time, with WebSocket connections coming and going.

Memory, open files and the event loop's delay are sampled; the server's own memory at the end must be that of the beginning.
Sandboxes and reading processes come and go: how many there may be is bounded, and what they had at most is told.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

from tests.attack.cases import http_case, known
from tests.attack.fuzz import check_alive
from tests.attack.report import Report
from tests.attack.target import ADMIN, ANN, BOB, CHAT_MODELS, Target
from tests.attack.verdict import TERMINAL, Form, fault_of
from tests.attack.wire import Closed, Connection, WebSocket, frame, request

RATE = 40.0
"""Requests a second, a quarter of them WebSocket connections."""

SETTLED = 1 / 12
"""Of the soak, until memory is what it is compared with: five minutes of an hour."""

GROWTH = 1.05
"""How much larger it may be at the end."""

AT_ONCE = 50
"""Requests and connections at once: a machine that stands still for a while gets no heap of them that sets a peak of memory."""

SAMPLE = 10.0

PAGE = 600_000
"""Bytes of `/metrics`: every route and operation of the store with its buckets, and nothing that grows with requests."""


class Soak:
    """The load and the samples."""

    def __init__(self, target: Target, report: Report, seed: int, minutes: float, rate: float = RATE) -> None:
        self.target = target
        self.report = report
        self.random = Random(seed)
        self.seed = seed
        self.seconds = minutes * 60
        self.rate = rate
        self.counts: Counter[str] = Counter()
        self.idle: list[Connection] = []
        self.samples: list[tuple[float, float, int, float]] = []
        self.others = 0.0  # MB of the server's children, at most

    async def run(self) -> None:
        """Send until the time is over, then judge."""
        ids = await known(self.target)
        began = time.monotonic()
        sampling = asyncio.create_task(self._sample(began))
        running: set[asyncio.Task[None]] = set()
        number = most = 0
        while (elapsed := time.monotonic() - began) < self.seconds and self.target.alive:
            if number / self.rate > elapsed:
                await asyncio.sleep(number / self.rate - elapsed)
            if len(running) >= AT_ONCE:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            most = max(most, len(running))
            kind = self.random.random()
            work = self._hostile(ids, number) if kind < 0.15 else self._socket() if kind < 0.4 else self._usual()
            task = asyncio.create_task(work)
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.wait({asyncio.create_task(asyncio.sleep(1)), *running}, timeout=40)
        sampling.cancel()
        self.report.figure("soak: requests", dict(self.counts))
        self.report.figure("soak: at once, most", most)
        self._judge()

    async def _ask(self, data: bytes, method: str = "POST", form: Form = "") -> bytes:
        connection = self.idle.pop() if self.idle else Connection(self.target.port)
        try:
            answer = await connection.ask(data, 30)
        except OSError as error:
            self.report.found("soak", f"no connection: {error!r}", f"seed={self.seed}")
            return b""
        self.idle.append(connection)
        fault = fault_of(answer, method, form)
        if fault:
            self.report.found("soak", fault, f"seed={self.seed}", data, answer.body[-400:].decode(errors="replace"))
        self.counts[f"HTTP {answer.status}"] += 1
        return answer.body if answer.status == 200 else b""

    async def _usual(self) -> None:
        """Make a response in one of many ways; read or delete it."""
        random = self.random
        body: dict[str, Any] = {
            "model": random.choice(("scripted", *CHAT_MODELS)),
            "input": f"say {random.randrange(10**6)}",
        }
        body["stream"] = random.random() < 0.5
        body["store"] = random.random() < 0.7
        if random.random() < 0.1:
            body |= {"background": True, "store": True, "stream": False}
        if random.random() < 0.2:
            body["tools"] = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
        key = random.choice((ANN, BOB))
        data = await self._ask(request("POST", "/v1/responses", json.dumps(body).encode(), (), key))
        if data and not body["stream"] and body["store"]:
            path = f"/v1/responses/{json.loads(data)['id']}"
            await self._ask(request("GET", path, None, (), key), "GET")
            await self._ask(request("DELETE", path, None, (), key), "DELETE")

    async def _hostile(self, ids: Any, number: int) -> None:
        case = http_case(self.seed, number, ids)
        if not case.hangs:
            await self._ask(case.data, case.method, case.form)

    async def _socket(self) -> None:
        """Open a connection, make some turns, and leave in one of several ways."""
        try:
            socket = await WebSocket.open(self.target.port, ANN)
            for _ in range(self.random.choice((0, 1, 1, 2))):
                socket.send(frame(b'{"type":"response.create","model":"scripted","input":"hi","store":false}'))
                if self.random.random() < 0.1:
                    break  # leave in the middle
                while json.loads(await socket.receive(30))["type"] not in (*TERMINAL, "error"):
                    pass
        except (Closed, TimeoutError, OSError) as error:
            self.report.found("soak", f"{error!r} on a WebSocket", f"seed={self.seed}")
            return
        self.counts["WebSocket"] += 1
        if self.random.random() < 0.5:
            socket.send(frame(b"\x03\xe8", 8))
            with suppress(Closed, TimeoutError):
                await socket.receive(2)
        socket.close()

    async def _sample(self, began: float) -> None:
        while True:
            await asyncio.sleep(SAMPLE)
            delay = await self.target.largest_delay()
            elapsed = time.monotonic() - began
            own = self.target.own_rss
            self.others = max(self.others, self.target.rss - own)
            self.samples.append((elapsed, own, self.target.files, delay))
            if len(self.samples) % 6 == 0:
                rss, files = self.samples[-1][1:3]
                self.report.say(
                    f"{elapsed:.0f} s: {rss:.1f} MB, {files} files, delay {delay * 1000:.0f} ms, {dict(self.counts)}"
                )

    def _judge(self) -> None:
        """Compare the last fifth with what came once the server had settled, each by its median."""
        settled = SETTLED * self.seconds
        early = [rss for at, rss, _, _ in self.samples if settled <= at < settled + self.seconds / 10 + SAMPLE * 2]
        late = [rss for at, rss, _, _ in self.samples if at > self.seconds * 0.9 - SAMPLE]
        if not early or not late:
            return
        before, after = sorted(early)[len(early) // 2], sorted(late)[len(late) // 2]
        self.report.figure("soak: MB once settled, at the end", (round(before, 1), round(after, 1)))
        self.report.figure("soak: MB of its children, most", round(self.others, 1))
        self.report.figure("soak: open files, most", max(files for _, _, files, _ in self.samples))
        self.report.figure("soak: event loop's delay in s, most", max(delay for *_, delay in self.samples))
        if after > before * GROWTH:
            self.report.found("soak", "memory has grown", f"seed={self.seed}", b"", f"{before:.1f} MB → {after:.1f} MB")
        if self.samples[-1][2] > self.samples[0][2] + 200:
            self.report.found("soak", "open files have grown", f"seed={self.seed}", b"", str(self.samples[-1]))


async def run_soak(target: Target, report: Report, *, seed: int, minutes: float, rate: float) -> None:
    """Load the server for some minutes."""
    await Soak(target, report, seed, minutes, rate).run()
    await check_alive(target, report, "soak", f"seed={seed}")
    answer = await target.ask("GET", "/metrics", key=ADMIN)
    if len(answer.body) > PAGE:
        report.found("soak", "the page of metrics has grown", f"seed={seed}", b"", f"{len(answer.body)} bytes")
