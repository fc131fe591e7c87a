"""What is another's: the table of routes, ids, sealed blobs, model limits and scopes, made of the application's own router."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

from antiphon.access.caller import ADMIN
from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from antiphon.server.http.router import HttpRoute
from tests.attack import model_limits
from tests.attack.fuzz import check_alive
from tests.attack.model_limits import MESSAGES, OTHER_MODEL, SENDING
from tests.attack.report import Report
from tests.attack.target import ADMIN as ADMIN_KEY
from tests.attack.target import ANN, BOB, KEYS, LIMITED, READER, Target, target
from tests.attack.things import SECRET, Json, Things, make_things, messages_uses, turn, uses
from tests.attack.upstream import asker, echo
from tests.attack.verdict import fault_of
from tests.attack.wire import Answer, WebSocket

USED = {200, 400, 404, 409, 422, 501, 502}
"""Statuses of requests that name what is another's."""

BODIES: dict[str, Json] = {
    "POST /vector_stores/{id}/search": {"query": "crown jewels"},
    "POST /webhook_endpoints/{id}": {"name": "mine"},
    "POST /webhook_endpoints/{id}/test": {"event_type": "batch.failed"},
    "POST /uploads/{id}/complete": {"part_ids": ["part_1"]},
    "POST /chat/completions/{id}": {"metadata": {"mine": "now"}},
    "POST /skills/{id}": {"default_version": "1"},
    "POST /vector_stores/{id}/files/{file_id}": {"attributes": {}},
    "POST /vector_stores/{id}": {"name": "mine"},
    "POST /conversations/{id}": {"metadata": {"mine": "now"}},
    "POST /conversations/{id}/items": {"items": [{"type": "message", "role": "user", "content": "x"}]},
}
"""Bodies with which routes come as far as the id."""


def routes() -> list[HttpRoute]:
    """Return all routes that the application has."""
    backend = BackendConfig(url="http://127.0.0.1:9", api="scripted")
    return app.Parts(Config(store="memory", backends={"scripted": backend})).app.router.routes


def settings(url: str, asking: str) -> str:
    """Return the settings of the server that is tried."""
    lines = [KEYS.replace('metrics = "open"', 'metrics = "key"'), model_limits.SETTINGS]
    lines.append('[backends.scripted]\nurl = "http://127.0.0.1:9"\napi = "scripted"')
    for name, profile in (("echo", "vllm"), ("deep", "deepseek"), ("open", "openrouter")):
        lines.append(f'[backends.{name}]\nurl = "{url}"\nprofile = "{profile}"\ndiscover = false')
        lines.append(f'[models.{name}]\nbackends = ["{name}"]\nname = "allowed"')
    lines.append(f'[models.{OTHER_MODEL}]\nbackends = ["echo"]\nname = "forbidden"\naliases = ["forbidden-alias"]')
    lines.append(f'[backends.asker]\nurl = "{asking}"\ndiscover = false\n[models.asker]\nbackends = ["asker"]')
    lines.append(f'[backends.anthropic]\nurl = "{url}"\napi = "anthropic"\ndiscover = false')
    for name, theirs in (("claude", "allowed"), ("claude-forbidden", "forbidden")):
        lines.append(f'[models.{name}]\nbackends = ["anthropic"]\nname = "{theirs}"')
    lines.append(f'[prompts.secret]\nmodel = "{OTHER_MODEL}"\ninput = []')
    text = "\n".join(lines)
    return text.replace(
        f'key = "{LIMITED}"\nmodels = ["scripted"]', f'key = "{LIMITED}"\nmodels = ["scripted", "echo", "claude"]'
    )


_STRANGERS = ((BOB, {404, 400}), (LIMITED, {404, 400}), ("", {401}), ("sk-stranger", {401}))


class Table:
    """The attempts on one server; each is counted, and each that reads something is a finding."""

    def __init__(self, one: Target, report: Report, things: Things, store: str) -> None:
        self.one = one
        self.report = report
        self.things = things
        self.store = store
        self.tried = 0

    def judge(self, name: str, answer: Answer, expected: set[int], method: str = "POST") -> None:
        """Look whether an answer has what is Ann's, or another status than it must have."""
        self.tried += 1
        case = f"{self.store}: {name}"
        if SECRET.encode() in answer.body:
            self.report.found("tenants", "a foreign text was read", case, b"", answer.body[:2000].decode())
        fault = fault_of(answer, method, "messages" if "/v1/messages" in name or name.startswith("messages ") else "")
        if fault:
            self.report.found("tenants", fault, case, b"", answer.body[:2000].decode(errors="replace"))
        elif answer.status not in expected:
            self.report.found(
                "tenants", f"status {answer.status}", case, b"", answer.body[:500].decode(errors="replace")
            )

    async def foreign_ids(self) -> None:
        """Put every id of Ann's into every variable of every route, as Bob, as nobody and as a stranger."""
        for route in routes():
            if route.public or "{" not in route.path or route.path.startswith("/models"):
                continue
            names = re.findall(r"\{(\w+)(?::path)?\}", route.path)
            for values in itertools.product(self.things.ids.values(), repeat=len(names)):
                path = "/v1" + route.path
                for name, value in zip(names, values, strict=True):
                    path = re.sub(r"\{" + name + r"(:path)?\}", value, path)
                for query in ("", "?stream=true", "?include[]=reasoning.encrypted_content&limit=100")[
                    : 3 if len(names) < 2 else 1
                ]:
                    body = self._body(route) if route.method == "POST" else None
                    for key, expected in _STRANGERS:
                        answer = await self.one.ask(route.method, path + query, body, key=key)
                        wanted = {403} if route.scopes == {ADMIN} and 404 in expected else expected
                        self.judge(f"{route.method} {path}{query} key={key}", answer, wanted, route.method)

    def _body(self, route: HttpRoute) -> Json:
        """Return a body with what is Ann's in it, where a route takes an id."""
        name, file = f"{route.method} {route.path}", self.things.ids["file"]
        if name == "POST /vector_stores/{id}/file_batches":
            return {"file_ids": [file]}
        return BODIES.get(name, {"file_id": file} if route.path.endswith("/files") else {})

    async def foreign_uses(self) -> None:
        """Send them as Bob, over HTTP and WebSocket, to models of several kinds."""
        socket = await WebSocket.open(self.one.port, BOB)
        for name, fields in uses(self.things).items():
            for model in ("asker", "echo") if "tools" in fields else ("scripted", "echo", "deep", "open"):
                body = {"model": model, "input": "Say it.", **fields}
                for path in SENDING:
                    answer = await self.one.ask("POST", path, body, key=BOB)
                    self.judge(f"{path} {name} {model}", answer, USED)
                answer = await self.one.ask("POST", SENDING[0], {**body, "stream": True}, key=BOB)
                self.judge(f"stream {name} {model}", answer, USED)
                came = await turn(socket, body)
                self.tried += 1
                if SECRET.encode() in came:
                    self.report.found(
                        "tenants", "a foreign text was read", f"{self.store}: ws {name} {model}", b"", came.decode()
                    )
            item = {
                "type": "item_reference",
                "id": "x",
                **(fields["input"][0] if isinstance(fields.get("input"), list) else {}),
            }
            own = await self.one.json("POST", "/v1/conversations", {}, key=BOB)
            answer = await self.one.ask("POST", f"/v1/conversations/{own['id']}/items", {"items": [item]}, key=BOB)
            self.judge(f"items {name}", answer, {200, 400, 404})
            listed = await self.one.ask("GET", f"/v1/conversations/{own['id']}/items", key=BOB)
            self.judge(f"listed items {name}", listed, {200}, "GET")
        for id in self.things.ids.values():
            for event in ("response.steer", "response.cancel"):
                came = await turn(socket, {"previous_response_id": id, "input": "Stop."}, event)
                if SECRET.encode() in came:
                    self.report.found(
                        "tenants", "a foreign text was read", f"{self.store}: ws {event}", b"", came.decode()
                    )
        socket.close()

    async def control(self) -> None:
        """Use what is Ann's as Ann: the same requests do read it then."""
        wanted = [
            "file_search vector store",
            "input_file file",
            "previous_response_id response",
            "signature before a call 0",
        ]
        wanted += ["container container", "earlier container container"] if "container" in self.things.ids else []
        for name in wanted:
            fields = {"model": "asker" if "tools" in uses(self.things)[name] else "deep", "input": "Say it."}
            answer = await self.one.ask("POST", SENDING[0], {**fields, **uses(self.things)[name]}, key=ANN, seconds=60)
            if SECRET.encode() not in answer.body:
                came = answer.body[:2000].decode(errors="replace")
                self.report.found("tenants", "Ann cannot read what is hers", f"{self.store}: {name}", b"", came)

        for name in ("thinking before a call 0", "redacted_thinking before a call 0"):
            body = {
                "model": "deep",
                "max_tokens": 9,
                "thinking": {"type": "adaptive"},
                **messages_uses(self.things)[name],
            }
            answer = await self.one.ask("POST", MESSAGES[0], body, key=ANN)
            if SECRET.encode() not in answer.body:
                came = answer.body[:2000].decode(errors="replace")
                self.report.found(
                    "tenants", "Ann cannot read what is hers", f"{self.store}: messages {name}", b"", came
                )

    async def own_things(self) -> None:
        """Name what is Ann's where Bob makes things of his own."""
        for kind, id in self.things.ids.items():
            for path, fields in (
                ("/v1/vector_stores", {"file_ids": [id]}),
                ("/v1/containers", {"name": "mine", "file_ids": [id]}),
                ("/v1/batches", {"input_file_id": id, "endpoint": "/v1/responses", "completion_window": "24h"}),
            ):
                answer = await self.one.ask("POST", path, fields, key=BOB)
                self.judge(f"{path} with {kind}", answer, {200, 400, 404, 501})
            own = (await self.one.json("POST", "/v1/vector_stores", {}, key=BOB))["id"]
            for path, fields in (("files", {"file_id": id}), ("file_batches", {"file_ids": [id]})):
                answer = await self.one.ask("POST", f"/v1/vector_stores/{own}/{path}", fields, key=BOB)
                self.judge(f"own {path} with {kind}", answer, {200, 400, 404})
            found = await self.one.ask("POST", f"/v1/vector_stores/{own}/search", {"query": "crown jewels"}, key=BOB)
            self.judge(f"own search with {kind}", found, {200})
            made = await self.one.ask("POST", "/v1/containers", {"name": "mine"}, key=BOB)
            if made.status == 200:
                path = f"/v1/containers/{json.loads(made.body)['id']}/files"
                answer = await self.one.ask("POST", path, {"file_id": id}, key=BOB)
                self.judge(f"own container with {kind}", answer, {400, 404})

    async def messages(self) -> None:
        """Send Messages requests as Bob that would use what is Ann's."""
        for name, fields in messages_uses(self.things).items():
            for model in ("scripted", "echo", "deep", "open", "claude"):
                body = {"model": model, "max_tokens": 500, "thinking": {"type": "adaptive"}, **fields}
                for path in MESSAGES:
                    answer = await self.one.ask("POST", path, body, key=BOB)
                    self.judge(f"{path} {name} {model}", answer, USED)
                answer = await self.one.ask("POST", MESSAGES[0], {**body, "stream": True}, key=BOB)
                self.judge(f"messages stream of {name} {model}", answer, USED)

    async def deletes(self) -> None:
        """Delete what is Ann's by lists of ids, as Bob and with limited keys."""
        ids = list(self.things.ids.values())
        for key, path in itertools.product((BOB, LIMITED, READER, ""), ("/v1/responses", "/v1/admin/responses")):
            answer = await self.one.ask("POST", f"{path}/delete", {"ids": ids}, key=key)
            refused = key in ("", READER) or "admin" in path
            self.judge(f"{path}/delete key={key}", answer, ({403} if key else {401}) if refused else {200})
            if b'"deleted":true' in answer.body:
                self.report.found("tenants", "what is Ann's was deleted", f"{self.store}: {path} key={key}")

    async def lists(self) -> None:
        """Read every route without variables as Bob."""
        for route in routes():
            if "{" in route.path or route.method != "GET" or route.scopes == {ADMIN}:
                continue
            answer = await self.one.ask("GET", "/v1" + route.path, key=BOB)
            if route.path.startswith("/playground") or answer.status == 426:
                continue
            self.judge(f"GET {route.path}", answer, {200, 404, 503}, "GET")
            for id in self.things.ids.values():
                if id.encode() in answer.body:
                    self.report.found("tenants", "a foreign id was listed", f"{self.store}: {route.path}")

    async def scopes(self) -> None:
        """Call every route with keys of every kind: 403 where the scope is missing, anything else where it is there."""
        have = {ANN: {"responses", "chat"}, READER: {"read"}, ADMIN_KEY: {"responses", "chat", "read", ADMIN}}
        for route, (key, scopes) in itertools.product(routes(), have.items()):
            path = re.sub(r"\{\w+(:path)?\}", "x_0", route.path)
            body = b"{}" if route.method == "POST" else None
            answer = await self.one.ask(route.method, path, body, key=key)
            self.tried += 1
            may = route.public or bool(scopes & set(route.scopes))
            if may == (answer.status in (401, 403)):
                self.report.found(
                    "tenants", f"status {answer.status} with scopes {sorted(scopes)}", f"{route.method} {path}"
                )
            if not route.public:
                answer = await self.one.ask(route.method, path, body)
                self.judge(f"{route.method} {path} without a key", answer, {401}, route.method)

    async def still_there(self) -> None:
        """Look whether what is Ann's is as it was."""
        ids = self.things.ids
        paths = [
            f"/v1/responses/{ids['response']}",
            f"/v1/responses/{ids['running']}",
            f"/v1/conversations/{ids['conversation']}",
        ]
        paths += [f"/v1/files/{ids['file']}", f"/v1/vector_stores/{ids['vector store']}/files/{ids['file']}"]
        paths.append(f"/v1/vector_stores/{ids['vector store']}/file_batches/{ids['batch']}")
        paths.append(f"/v1/skills/{ids['skill']}")
        if "container" in ids:
            paths.append(f"/v1/containers/{ids['container']}/files/{ids['container file']}")
        for path in paths:
            answer = await self.one.ask("GET", path, key=ANN)
            if answer.status != 200 or json.loads(answer.body).get("status") == "cancelled":
                self.report.found(
                    "tenants", "what is Ann's was changed", f"{self.store}: {path}", b"", answer.body[:500].decode()
                )


async def run_tenants(folder: Path, report: Report, store: str, name: str) -> None:
    """Go through the whole table on one store."""
    async with echo() as (url, called), asker() as asking, target(folder, settings(url, asking), store=store) as one:
        table = Table(one, report, await make_things(one), name)
        await table.control()
        await table.foreign_ids()
        await table.foreign_uses()
        await table.own_things()
        await table.messages()
        await table.deletes()
        await table.lists()
        await table.scopes()
        await table.still_there()
        limited = await model_limits.model_limits(one, report, called, name)
        report.figure(f"tenants: attempts on {name}", table.tried + limited)
        await check_alive(one, report, "tenants", name)
