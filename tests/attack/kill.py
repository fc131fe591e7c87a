"""kill -9 at random moments of stored, streamed, background, batch, conversation and WebSocket work, again and again.

What was acknowledged is there afterwards, once and in order; what was not is there as a whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from tests.attack.cases import FORM, form
from tests.attack.fuzz import check_alive
from tests.attack.kill_growing import check_pieces, grow
from tests.attack.report import Report
from tests.attack.target import Target, make_target
from tests.attack.verdict import TERMINAL
from tests.attack.wire import Answer, Closed, Connection, WebSocket, frame, request

LONGEST = 0.9  # seconds between a start and the next kill
HANGS = 40.0  # seconds after which a background response that has not ended counts as hung
OLD = 15  # acknowledged things of earlier moments that are looked at after each start

SETTINGS = """
background_lease = 1.0
shutdown_grace = 1.0
[backends.scripted]
url = "http://127.0.0.1:9"
api = "scripted"
"""

Json = dict[str, Any]


def words(random: Random) -> str:
    """Return a text that no other request has, and that takes a moment to say."""
    return " ".join(f"w{random.randrange(10**9)}" for _ in range(random.choice((1, 5, 12))))


def script(text: str, delay: float) -> str:
    """Return the prompt that makes the scripted model say a text slowly."""
    return f"/delay {delay}\n{text}"


def _quick(text: str) -> Json:
    """Return a request that leaves nothing behind."""
    return {"model": "scripted", "input": text, "store": False}


def text_of(response: Json) -> str:
    """Return what a response says."""
    return "".join(part.get("text", "") for item in response["output"] for part in item.get("content", ()))


def events_of(answer: Answer) -> list[Json]:
    """Return the whole events of a stream that may have been broken off."""
    found = []
    for line in answer.body.split(b"\n"):
        if line.startswith(b"data: {"):
            with suppress(ValueError):
                found.append(json.loads(line[6:]))
    return found


class Work:
    """Clients that go on working while the server is killed under them, and what was acknowledged to them."""

    def __init__(self, target: Target, report: Report, seed: int) -> None:
        self.target = target
        self.report = report
        self.seed = seed
        self.made: dict[str, str] = {}  # acknowledged response → its text
        self.deleted: list[str] = []
        self.counts: Counter[str] = Counter()
        self.stopped = False
        self._lived = 0.0  # seconds for which servers ran, without the one that runs
        self._up_since = time.monotonic()

    def up(self) -> None:
        """Note that the server answers from now on."""
        self._up_since = time.monotonic()

    def down(self) -> None:
        """Note that it does so no more."""
        self._lived += time.monotonic() - self._up_since
        self._up_since = math.inf

    @property
    def lived(self) -> float:
        """Seconds for which servers have run."""
        return self._lived + max(0.0, time.monotonic() - self._up_since)

    def fault(self, fault: str, about: object) -> None:
        """Note that something was lost, doubled or out of order."""
        self.report.found("kill", fault, f"seed={self.seed}", b"", json.dumps(about, default=str)[:4000])

    async def ask(self, method: str, path: str, body: Json | None = None) -> Answer:
        """Make a request that may be cut off."""
        data = None if body is None else json.dumps(body).encode()
        connection = Connection(self.target.port, tries=1)
        try:
            return await connection.ask(request(method, path, data), 20)
        except OSError:
            await asyncio.sleep(0.05)
            return Answer(0, {}, b"", False)
        finally:
            connection.close()

    async def until_up(self, method: str, path: str) -> Answer:
        """Ask until there is an answer."""
        end = self.lived + HANGS
        while self.lived < end:
            answer = await self.ask(method, path)
            if answer.status and answer.whole:
                return answer
            await asyncio.sleep(0.05)
        return Answer(0, {}, b"", False)

    # The kinds of work

    async def stored(self, random: Random) -> None:
        """Make responses, streamed or not; delete some."""
        text, stream = words(random), random.random() < 0.5
        fields = {"model": "scripted", "input": script(text, 0.01), "stream": stream}
        answer = await self.ask("POST", "/v1/responses", fields)
        if stream:
            ended = [event for event in events_of(answer) if event["type"] == "response.completed"]
            response = ended[0]["response"] if ended else None
        else:
            response = json.loads(answer.body) if answer.status == 200 and answer.whole else None
        if response is None:
            self.counts["cut off"] += 1
            return
        self.acknowledge("streamed" if stream else "stored", response, text)
        if random.random() < 0.2:
            await self.delete(response["id"])

    async def delete(self, id: str) -> None:
        """Delete a response, which may have happened or not if it is cut off."""
        gone = await self.ask("DELETE", f"/v1/responses/{id}")
        if gone.status == 200:
            self.deleted.append(id)
        if gone.status in (0, 200):
            self.made.pop(id, None)

    def acknowledge(self, kind: str, response: Json, text: str) -> None:
        """Note that a client has got a response which has to say this text."""
        self.counts[kind] += 1
        if text_of(response) != text:
            self.fault("another text was acknowledged", [response["id"], text, text_of(response)])
        self.made[response["id"]] = text

    async def conversation(self, random: Random) -> None:
        """Make some turns in a conversation; look at it as a whole at the end."""
        created = await self.ask("POST", "/v1/conversations", {})
        if created.status != 200 or not created.whole:
            return
        id = json.loads(created.body)["id"]
        turns: list[tuple[str, bool]] = []
        for _ in range(4):
            text = words(random)
            fields = {"model": "scripted", "input": script(text, 0.01), "conversation": id}
            answer = await self.ask("POST", "/v1/responses", fields)
            acknowledged = answer.status == 200 and answer.whole
            turns.append((text, acknowledged))
            if acknowledged:
                self.counts["turn of a conversation"] += 1
        listed = await self.until_up("GET", f"/v1/conversations/{id}/items?order=asc&limit=100")
        if listed.status != 200:
            self.fault(f"a conversation is gone: {listed.status}", id)
            return
        items = json.loads(listed.body)["data"]
        said = [(item["role"], "".join(part["text"] for part in item["content"])) for item in items]
        expected = [
            pair
            for text, _ in turns
            if ("assistant", text) in said or ("user", script(text, 0.01)) in said
            for pair in (("user", script(text, 0.01)), ("assistant", text))
        ]
        if said != expected:
            self.fault("a conversation has a turn twice, in part or out of order", [id, said, expected])
        for text, acknowledged in turns:
            if acknowledged and ("assistant", text) not in said:
                self.fault("a conversation has lost a turn", [id, text])

    async def background(self, random: Random) -> None:
        """Start a background response as a stream and follow it to its end, however often it breaks off."""
        text = words(random)
        fields = {"model": "scripted", "input": script(text, 0.02), "background": True, "stream": True}
        began = self.lived
        events = events_of(await self.ask("POST", "/v1/responses", fields))
        if not events:
            return
        id = events[0]["response"]["id"]
        while events[-1]["type"] not in TERMINAL and self.lived < began + HANGS:
            await asyncio.sleep(0.05)
            after = events[-1]["sequence_number"]
            answer = await self.ask("GET", f"/v1/responses/{id}?stream=true&starting_after={after}")
            if answer.status not in (0, 200):
                self.fault(f"a background response cannot be followed: {answer.status}", [id, answer.body.decode()])
                break
            events += events_of(answer)
        self._judge(id, text, events)

    def _judge(self, id: str, text: str, events: list[Json]) -> None:
        if [event["sequence_number"] for event in events] != list(range(len(events))):
            self.fault("the events of a background response have gaps or come twice", [id, events])
        if events[-1]["type"] not in TERMINAL:
            self.fault("a background response hangs", [id, events[-1]])
            return
        response = events[-1]["response"]
        if response["status"] == "completed":
            self.acknowledge("background", response, text)
        elif (response["error"] or {}).get("code") not in ("server_interrupted", "server_crashed"):
            self.fault("a background response failed otherwise", [id, response])
        else:
            self.counts["background, interrupted"] += 1

    async def batch(self, random: Random) -> None:
        """Make a batch, and look at its files when it has ended: each request is answered once, in order, or given up."""
        texts = [words(random) for _ in range(random.choice((3, 12)))]
        lines = [
            {"custom_id": text, "method": "POST", "url": "/v1/responses", "body": _quick(script(text, 0.01))}
            for text in texts
        ]
        content = "\n".join(map(json.dumps, lines)).encode()
        uploaded = await self._upload(form([("purpose", None, b"batch"), ("file", "b.jsonl", content)]))
        if uploaded is None:
            return
        wanted = {"input_file_id": uploaded, "endpoint": "/v1/responses", "completion_window": "24h"}
        made = await self.ask("POST", "/v1/batches", wanted)
        if made.status != 200 or not made.whole:
            return
        id, began = json.loads(made.body)["id"], self.lived
        ended: Json = {}
        while ended.get("status") != "completed" and self.lived < began + HANGS:
            await asyncio.sleep(0.05)
            answer = await self.ask("GET", f"/v1/batches/{id}")
            if answer.status not in (0, 200):
                self.fault(f"a batch is gone: {answer.status}", id)
                return
            ended = json.loads(answer.body) if answer.whole and answer.status else ended
        if ended.get("status") != "completed":
            self.fault("a batch hangs", [id, ended])
            return
        output, errors = [await self._lines(ended[name]) for name in ("output_file_id", "error_file_id")]
        answered = [line["custom_id"] for line in output]
        said = [text_of(line["response"]["body"]) for line in output]
        if said != answered or answered != [text for text in texts if text in answered]:
            self.fault("the output of a batch is not that of its requests, or not in order", [id, answered, said])
        if sorted([*answered, *(line["custom_id"] for line in errors)]) != sorted(texts):
            self.fault("a batch has lost or doubled a request", [id, texts, output, errors])
        if any((line["error"] or {}).get("code") != "server_error" for line in errors):
            self.fault("a request of a batch failed otherwise", [id, errors])
        self.counts["batch"] += 1
        self.counts["request of a batch"] += len(output)
        self.counts["request of a batch, given up"] += len(errors)

    async def _upload(self, body: bytes) -> str | None:
        connection = Connection(self.target.port, tries=1)
        try:
            answer = await connection.ask(request("POST", "/v1/files", body, FORM), 20)
        except OSError:
            await asyncio.sleep(0.05)
            return None
        finally:
            connection.close()
        return str(json.loads(answer.body)["id"]) if answer.status == 200 and answer.whole else None

    async def _lines(self, file: str | None) -> list[Json]:
        if file is None:
            return []
        answer = await self.until_up("GET", f"/v1/files/{file}/content")
        return [json.loads(line) for line in answer.body.splitlines()]

    async def websocket(self, random: Random) -> None:
        """Make turns that follow each other over a WebSocket connection."""
        try:
            socket = await WebSocket.open(self.target.port, "")
        except (Closed, OSError, TimeoutError):
            await asyncio.sleep(0.05)
            return
        previous: str | None = None
        try:
            for _ in range(5):
                text = words(random)
                fields = {"type": "response.create", "model": "scripted", "input": script(text, 0.01)}
                socket.send(frame(json.dumps({**fields, "previous_response_id": previous}).encode()))
                while (event := json.loads(await socket.receive(20)))["type"] not in (*TERMINAL, "error"):
                    pass
                if event["type"] != "response.completed":
                    self.fault("a turn over WebSocket failed", event)
                    return
                self.acknowledge("WebSocket", event["response"], text)
                previous = event["response"]["id"]
        except (Closed, OSError):
            return
        except TimeoutError:
            self.fault("a turn over WebSocket hangs", previous)
        finally:
            socket.close()

    async def work(self, kind: Any, number: int) -> None:
        """Do one kind of work again and again."""
        random = Random(f"{self.seed}/{number}")
        while not self.stopped:
            if not self.target.alive:
                await asyncio.sleep(0.02)
                continue
            await kind(random)

    # Looking

    async def look(self, ids: list[str]) -> None:
        """Look whether acknowledged responses are as they were."""
        for id in ids:
            if not self.target.alive:
                return
            text = self.made.get(id)
            answer = await self.ask("GET", f"/v1/responses/{quote(id)}")
            if not answer.status or text is None or id not in self.made:
                continue  # killed again, or deleted meanwhile
            if answer.status != 200:
                self.fault(f"an acknowledged response is lost: {answer.status}", [id, text])
            elif text_of(json.loads(answer.body)) != text:
                self.fault("an acknowledged response has another text", [id, text, answer.body.decode()])
        for id in self.deleted[-3:]:
            answer = await self.ask("GET", f"/v1/responses/{quote(id)}")
            if answer.status not in (0, 404):
                self.fault("a deleted response is back", id)


async def run_kill(folder: Path, report: Report, *, seed: int, count: int) -> None:
    """Kill the server `count` times while clients work, then look at everything."""
    random = Random(seed)
    target = make_target(folder, SETTINGS)
    await target.start()
    work = Work(target, report, seed)
    kinds = (
        work.stored,
        work.stored,
        work.conversation,
        work.background,
        work.background,
        work.batch,
        work.batch,
        work.websocket,
        partial(grow, work),
    )
    tasks = [asyncio.create_task(work.work(kind, number)) for number, kind in enumerate(kinds)]
    slowest = 0.0
    for moment in range(count):
        recent = list(work.made)[-20:]
        old = random.sample(list(work.made), min(OLD, len(work.made)))
        looking = asyncio.create_task(work.look(list({*recent, *old})))
        await asyncio.sleep(random.uniform(0.02, LONGEST))
        target.kill()
        work.down()
        await looking
        began = time.monotonic()
        await target.start()
        work.up()
        slowest = max(slowest, time.monotonic() - began)
        if (moment + 1) % 25 == 0:
            report.say(f"{moment + 1} kills, {dict(work.counts)}")
    work.stopped = True
    await asyncio.wait(tasks, timeout=HANGS + 40)
    for task in tasks:
        if not task.done():
            task.cancel()
            report.found("kill", "a client hangs", f"seed={seed}", b"", repr(task))
        elif error := task.exception():
            report.found("kill", f"a client met {error!r}", f"seed={seed}")
    await work.look(list(work.made))
    await check_alive(target, report, "kill", f"seed={seed}")
    await target.stop()
    _check_file(folder / "antiphon.db", report)
    check_pieces(folder / "antiphon.db", report)
    report.figure("kill: moments", count)
    report.figure("kill: acknowledged", dict(sorted(work.counts.items())))
    report.figure("kill: slowest start in s", round(slowest, 2))


def _check_file(path: Path, report: Report) -> None:
    """Look whether the database is sound."""
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    if found != [("ok",)]:
        report.found("kill", "the database is damaged", "", b"", str(found))
