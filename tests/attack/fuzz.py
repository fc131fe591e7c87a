"""The fuzzer: mutants of requests over HTTP and WebSocket. Case N of seed S is the same everywhere."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from functools import cache
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from tests.attack import corpus
from tests.attack.framing import raw_case
from tests.attack.mutate import TEXTS, Mutator, shrink
from tests.attack.report import Report
from tests.attack.target import ANN, BOB, MODELS, Target
from tests.attack.verdict import TERMINAL, fault_of, of_events
from tests.attack.wire import BINARY, CONTINUATION, NONE, TEXT, Closed, Connection, WebSocket, frame, request

AT_ONCE = 24
PATIENCE = 30.0  # seconds for a well-formed request
HANG = 0.4  # seconds to wait for an answer to what may be only the beginning of a request
SMALLER = 300_000  # bytes of a mutant at most

_BODIES = ("/responses", "/responses", "/responses", "/responses/input_tokens", "/responses/compact")


class Case(NamedTuple):
    """One request. `hangs`: it may be incomplete, so that no answer is one."""

    data: bytes
    method: str = "POST"
    path: str = ""
    body: bytes = b""
    hangs: bool = False


class Known(NamedTuple):
    """Ids of things that are there, in the place of the documents' variables."""

    response: str
    conversation: str
    item: str
    file: str


@cache
def _mutator() -> Mutator:
    random = Random(0)
    samples = [
        corpus.sample(random, one.document, one.body) for one in corpus.operations() for _ in range(8) if one.body
    ]
    return Mutator(corpus.types(), [*corpus.golden(), *samples])


async def known(target: Target) -> Known:
    """Make the things whose ids the cases use."""
    response = await target.json("POST", "/v1/responses", {"model": "scripted", "input": "/think a\nhi"})
    conversation = await target.json(
        "POST", "/v1/conversations", {"items": [{"type": "message", "role": "user", "content": "hi"}]}
    )
    items = await target.json("GET", f"/v1/conversations/{conversation['id']}/items")
    return Known(response["id"], conversation["id"], items["data"][0]["id"], "file_0")


def http_case(seed: int, number: int, ids: Known) -> Case:
    """Return a case."""
    random = Random(f"{seed}/http/{number}")
    kind = random.random()
    if kind < 0.12:
        data = raw_case(random, ANN)
        return Case(data, data[:40].split(b" ")[0].decode("latin-1"), hangs=True)
    if kind < 0.55:
        path = "/v1" + random.choice(_BODIES)
        fields = _fields(random, random.choice(corpus.golden()))
        return _case("POST", path, _mutator().mutate(random, fields)[:SMALLER])
    if kind < 0.6:
        return _case("POST", "/v1" + random.choice(_BODIES), random.choice(corpus.refused()))
    return _documented(random, ids)


def _documented(random: Random, ids: Known) -> Case:
    operation = random.choice(corpus.operations())
    path = "/v1" + operation.path
    for name, id in (
        ("{response_id}", ids.response),
        ("{conversation_id}", ids.conversation),
        ("{item_id}", ids.item),
        ("{model}", random.choice(MODELS)),
    ):
        other = random.choice((id, id, id, quote(random.choice(TEXTS)[:200], safe="") or "x", "a%2fb", "%00"))
        path = path.replace(name, other)
    method = operation.method
    if method == "DELETE" and not path.rstrip("/").endswith("%00"):
        path += "x"  # what is known stays
    query = [
        f"{name}={quote(str(random.choice((*TEXTS, 0, 1, -1, 10**20, 'true', 'asc')))[:300], safe='')}"
        for name, _ in operation.query
        if random.random() < 0.4
    ]
    path += "?" + "&".join(query) if query else ""
    if operation.body is None:
        return _case(method, path, None if method != "POST" else b"{}")
    fields = corpus.sample(random, operation.document, operation.body)
    if isinstance(fields, dict) and "responses" in path:
        fields = _fields(random, fields)
    if random.random() < 0.3:
        return _case(method, path, msgspec.json.encode(fields))
    return _case(method, path, _mutator().mutate(random, fields)[:SMALLER])


def _fields(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Name a model that is there, and ask for a stream now and then."""
    found = {**fields, "model": random.choice(MODELS)}
    if random.random() < 0.4:
        found["stream"] = True
    if random.random() < 0.7:
        found.pop("background", None)
    if random.random() < 0.5:
        found["store"] = False
    return found


def _case(method: str, path: str, body: bytes | None) -> Case:
    return Case(request(method, path, body, (), ANN), method, path, body or b"")


async def fuzz_http(target: Target, report: Report, *, seed: int, count: int, first: int = 0) -> None:
    """Send `count` cases, several at once."""
    ids = await known(target)
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
    fault = fault_of(answer, case.method)
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


def ws_case(seed: int, number: int) -> bytes:
    """Return the frames of a message."""
    random = Random(f"{seed}/ws/{number}")
    fields: Any = {"type": "response.create", **_fields(random, random.choice(corpus.golden()))}
    if random.random() < 0.2:
        fields["stream_id"] = random.choice(("a", "b", "", "x" * 300, "\n"))
    if random.random() < 0.1:
        fields["type"] = random.choice(("response.steer", "response.cancel", "session.update", ""))
    if random.random() < 0.1:
        fields["generate"] = random.choice((False, None, 0))
    body = _mutator().mutate(random, fields)[:SMALLER]
    if random.random() < 0.1 and len(body) > 3:
        middle = random.randrange(1, len(body))
        return frame(body[:middle], TEXT, fin=False) + frame(body[middle:], CONTINUATION)
    return frame(body, BINARY if random.random() < 0.05 else TEXT)


async def fuzz_ws(target: Target, report: Report, *, seed: int, count: int, first: int = 0) -> None:
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
            data = ws_case(seed, number)
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
    if only in ("", "http"):
        await fuzz_http(target, report, seed=seed, count=count)
    if only in ("", "ws") and target.alive:
        await fuzz_ws(target, report, seed=seed, count=max(1, count // 10))
    if target.alive:
        report.figure("fuzz: memory of the server in MB", round(target.rss))
        assert (await target.ask("GET", "/v1/models", key=BOB)).status == 200
