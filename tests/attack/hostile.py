"""Hostile backends, MCP servers and webs: each kind of `tests.backends.hostile`, `tests.tools.mcp.hostile` and `web`, in every mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tests.attack.fuzz import check_alive
from tests.attack.report import Report
from tests.attack.target import ANN, KEYS, Target, target
from tests.attack.upstream import calling, obedient
from tests.attack.verdict import TERMINAL, fault_of, of_events
from tests.attack.web import answers as answers_of
from tests.attack.web import pages, web
from tests.attack.wire import Closed, WebSocket, frame

AT_ONCE = 6
PATIENCE = 40.0

SHORT = """
mcp_timeout = 3.0
keepalive = 1.0
retries = 0
url_guard_allow = ["127.0.0.0/8"]
"""

Json = dict[str, Any]


async def answers(one: Target, body: Json) -> dict[str, tuple[str, bytes]]:
    """Make a response in every mode; return the fault and what came, by mode."""
    found: dict[str, tuple[str, bytes]] = {}
    for mode, more in (("whole", {}), ("stream", {"stream": True})):
        answer = await one.ask("POST", "/v1/responses", {**body, **more}, key=ANN, seconds=PATIENCE)
        found[mode] = (fault_of(answer), answer.body)
    queued = await one.ask("POST", "/v1/responses", {**body, "background": True}, key=ANN)
    if queued.status == 200:
        answer = await one.ask(
            "GET", f"/v1/responses/{json.loads(queued.body)['id']}?stream=true", key=ANN, seconds=PATIENCE
        )
        found["background"] = (fault_of(answer), answer.body)
    found["WebSocket"] = await _over_websocket(one, body)
    return found


async def _over_websocket(one: Target, body: Json) -> tuple[str, bytes]:
    events: list[Json] = []
    socket = await WebSocket.open(one.port, ANN)
    try:
        socket.send(frame(json.dumps({"type": "response.create", **body}).encode()))
        while not events or events[-1]["type"] not in (*TERMINAL, "error"):
            events.append(json.loads(await socket.receive(PATIENCE)))
        if events[-1]["type"] == "error":
            return ("an error 500" if events[-1].get("status") == 500 else ""), json.dumps(events).encode()
        return of_events(events), json.dumps(events).encode()
    except (Closed, TimeoutError) as error:
        return repr(error), b""
    finally:
        socket.close()


async def _all(works: Iterable[Callable[[], Awaitable[None]]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], Awaitable[None]]) -> None:
        async with gate:
            await work()

    await asyncio.gather(*(one(work) for work in works))


STRICT = {
    "text": {
        "format": {
            "type": "json_schema",
            "name": "x",
            "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "strict": True,
        }
    }
}


async def _try_backend(one: Target, report: Report, kind: Any, secret: str) -> None:
    """Let one kind of hostile backend answer, without and with a format."""
    for extra in ({}, STRICT):
        for mode, (fault, body) in (await answers(one, {"model": kind.name, "input": "hi", **extra})).items():
            case, said = f"{kind.name} {mode}{' strict' if extra else ''}", body.decode(errors="replace")
            if fault:
                report.found("backends", fault, case, b"", said[-600:])
            if secret.encode() in body:
                report.found("backends", "the operator's secret came back", case, b"", said[:3000])
            if kind.ends == "failed" and b'"status":"completed"' in body and b'"output":[{' in body:
                report.found("backends", "a failure ended as completed", case, b"", said[-1500:])


async def run_backends(folder: Path, report: Report, only: str = "") -> None:
    """Let every kind of hostile backend answer."""
    try:
        from tests.backends.hostile import KINDS, hostile
        from tests.backends.hostile_answers import APIS, FINE, SECRET
    except ImportError:
        report.say("no hostile backends here")
        return
    kinds = [kind for kind in KINDS.values() if only in kind.name]
    with ExitStack() as servers:
        lines = [SHORT, KEYS]
        for name in APIS:
            url = servers.enter_context(hostile(name)).url
            lines.append(
                f'[backends.{name}]\nurl = "{url}"\napi = "{name}"\nkey = "{SECRET}"\ndiscover = false\nbreak_after = 0'
            )
            lines.append("connect_timeout = 2.0\nfirst_token_timeout = 2.0\nidle_timeout = 2.0")
            lines.append(f'[models."{name}-fine"]\nbackends = ["{name}"]\nname = "{FINE}"')
        for kind in KINDS.values():
            lines.append(f'[models."{kind.name}"]\nbackends = ["{kind.api}"]')
        async with target(folder, "\n".join(lines)) as one:
            await _all([partial(_try_backend, one, report, kind, SECRET) for kind in kinds])
            for name in ("chat-fine", "responses-fine"):
                answer = await one.ask("POST", "/v1/responses", {"model": name, "input": "hi"}, key=ANN)
                if b"All is well." not in answer.body:
                    report.found("backends", "a good answer after all that is another", name, b"", answer.body.decode())
            report.figure("backends: kinds", len(kinds))
            report.figure("backends: memory of the server in MB", round(one.rss))
            report.figure("backends: loop delay in s, most", await one.largest_delay())
            await check_alive(one, report, "backends", "")


async def run_mcp(folder: Path, report: Report, only: str = "") -> None:
    """Let every kind of hostile MCP server answer, named by a client and by the operator."""
    try:
        from tests.tools.mcp.hostile import running
        from tests.tools.mcp.hostile_kinds import KINDS
    except ImportError:
        report.say("no hostile MCP servers here")
        return
    kinds = [kind for kind in KINDS if only in kind.name]
    with running() as url:
        async with calling("tick") as model_url:
            settings = (
                SHORT
                + KEYS
                + f'[backends.model]\nurl = "{model_url}"\ndiscover = false\n[models.m]\nbackends = ["model"]\n'
            )
            async with target(folder, settings) as one:

                async def try_kind(kind: Any) -> None:
                    tool = {
                        "type": "mcp", "server_label": "x", "server_url": kind.url(url), "require_approval": "never",
                        "authorization": "MCP-TOKEN-4242",
                    }  # fmt: skip
                    for mode, (fault, body) in (
                        await answers(one, {"model": "m", "input": "hi", "tools": [tool]})
                    ).items():
                        if fault:
                            report.found("mcp", fault, f"{kind.name} {mode}", b"", body[-600:].decode(errors="replace"))
                        if b"MCP-TOKEN-4242" in body:
                            report.found(
                                "mcp",
                                "the token came back",
                                f"{kind.name} {mode}",
                                b"",
                                body.decode(errors="replace")[:2000],
                            )
                        if len(body) > 80_000_000:
                            report.found(
                                "mcp", "an answer is larger than all bounds", f"{kind.name} {mode}", b"", str(len(body))
                            )

                await _all([lambda kind=kind: try_kind(kind) for kind in kinds])
                report.figure("mcp: kinds", len(kinds))
                report.figure("mcp: memory of the server in MB", round(one.rss))
                report.figure("mcp: loop delay in s, most", await one.largest_delay())
                kept = (one.folder / "antiphon.db").read_bytes() + one.log.read_bytes()
                wal = one.folder / "antiphon.db-wal"
                if b"MCP-TOKEN-4242" in kept + (wal.read_bytes() if wal.exists() else b""):
                    report.found("mcp", "the token is in the store or the log", "")
                await check_alive(one, report, "mcp", "")


async def run_web(folder: Path, report: Report, only: str = "") -> None:
    """Let a provider of search answer in every way, and open every page: by a model that calls the tool as it is told."""
    async with web() as site, obedient() as model:
        names = [("search", name) for name in answers_of(site)] + [("page", name) for name in pages(site)]
        tools = (
            f'[tools.web_search]\nprovider = "searxng"\nurl = "{site}"\ntimeout = 5.0\nguard_allow = ["127.0.0.1"]\n'
        )
        backend = f'[backends.model]\nurl = "{model}"\ndiscover = false\n[models.m]\nbackends = ["model"]\n'
        async with target(folder, SHORT + KEYS + backend + tools) as one:

            async def try_kind(kind: str, name: str) -> None:
                call = (
                    f'CALL web_search {{"queries":["answer={name}"]}}'
                    if kind == "search"
                    else f'CALL open_page {{"url":"{site}/page/{name}"}}'
                )
                fields = {
                    "model": "m",
                    "input": f"{call}\n{site}/page/{name}",
                    "tools": [{"type": "web_search"}],
                }
                for mode, (fault, body) in (await answers(one, fields)).items():
                    case = f"{kind} {name} {mode}"
                    if fault:
                        report.found("web", fault, case, b"", body[-600:].decode(errors="replace"))
                    if b"web_search_call" not in body and name not in ("large", "many-values"):
                        report.found("web", "nothing was called", case, b"", body[-600:].decode(errors="replace"))
                    if len(body) > 20_000_000:
                        report.found("web", "an answer is larger than all bounds", case, b"", str(len(body)))

            wanted = [(kind, name) for kind, name in names if only in f"{kind} {name}"]
            await _all([lambda kind=kind, name=name: try_kind(kind, name) for kind, name in wanted])
            report.figure("web: answers of a provider, and pages", len(wanted))
            report.figure("web: memory of the server in MB", round(one.rss))
            report.figure("web: loop delay in s, most", await one.largest_delay())
            await check_alive(one, report, "web", "")
