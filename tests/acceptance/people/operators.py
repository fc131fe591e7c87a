"""Rows of the platform engineer: who used and did what, limits, what stands before the server and behind it, traces."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from antiphon.stores.open import open_store
from antiphon.stores.usage_records import UsageSum
from tests.acceptance.people.serve import SCRIPTED, Served, antiphon, served
from tests.net.certificates import Authority

OPERATOR = "sk-of-the-operator"
LAST_WEEK = {"team-a": 12.5, "team-b": 3.0}
"""What each team spent seven days ago."""
PRICED = """
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
[models.scripted]
backends = ["demo"]
price_input = 1e6
price_output = 1e6
[keys.operator]
key = "sk-of-the-operator"
scopes = ["admin"]
"""
TEAMS = """
[keys.a1]
key = "key-a1"
owner = "team-a"
[keys.a2]
key = "key-a2"
owner = "team-a"
[keys.b]
key = "key-b"
owner = "team-b"
limits = ["2 requests/day soft"]
"""


def l12_the_first_and_the_second_ctrl_c(folder: Path) -> str:
    """While a stream runs the first Ctrl-C says what is waited for, and the stream goes on; the second one ends it at once."""
    took = []
    for workers in ("1", "2"):
        with served(folder, *SCRIPTED, "--store", str(folder / f"{workers}.db"), "--workers", workers) as server:
            body = {"model": "scripted", "input": "/delay 0.05\n/repeat 4000 word", "stream": True}
            asked = urllib.request.Request(f"{server.url}/v1/responses", json.dumps(body).encode())
            with urllib.request.urlopen(asked, timeout=60) as stream:
                stream.readline()
                server.interrupt()
                server.wait_for("running request; a second signal (Ctrl-C) ends them now")
                assert all(stream.readline() for _ in range(60)), server.said()
                assert server.command.process.poll() is None
                began = time.monotonic()
                server.interrupt()
                rest = stream.read()
                server.command.process.wait(30)
                took.append(time.monotonic() - began)
            assert b"server_shutdown" in rest, rest[-500:]
            assert took[-1] < 10, took
    return (
        f"the first says what it waits for, the second ends it in {took[0]:.1f} s, with two workers in {took[1]:.1f} s"
    )


def ask(server: Served, key: str, **fields: Any) -> tuple[int, Any]:
    return server.client(key).post("/v1/responses", **{"model": "scripted", "input": "One two three.", **fields})


async def spent_last_week(store: str) -> None:
    """Write what a server would have written seven days ago."""
    day = int(time.time() // 86_400) - 7
    opened = open_store(store)
    await opened.usage.add(
        [UsageSum(day=day, owner=team, model="scripted", requests=2, cost=cost) for team, cost in LAST_WEEK.items()]
    )
    await opened.close()


def p1_what_a_team_spent(folder: Path) -> str:
    """One command, on the store and on the running server: what team-a spent this week, and last week."""
    store = str(folder / "s.db")
    with served(folder, "--store", store, settings=PRICED + TEAMS) as server:
        assert [ask(server, key)[0] for key in ("key-a1", "key-a2", "key-b")] == [200, 200, 200]
        time.sleep(6)  # a server writes its sums every five seconds
        line = ("usage", "--owner", "team-a", "--format", "json", "--period")
        online = antiphon(folder, *line, "week", "--url", f"{server.url}/v1", "--key", OPERATOR).stdout
        offline = antiphon(folder, *line, "week", "--store", store).stdout
        assert antiphon(folder, *line, "last-week", "--store", store).stdout.strip() == "[]"
        asyncio.run(spent_last_week(store))
        before = antiphon(folder, "usage", "--owner", "team-a", "--period", "last-week", "--store", store).stdout
    (row,) = json.loads(online)
    assert [row] == json.loads(offline) and (row["owner"], row["requests"]) == ("team-a", 2) and row["cost"] > 0, row
    assert before.splitlines()[1].split() == ["team-a", "2", f"{LAST_WEEK['team-a']:.4f}"], before
    return f"antiphon usage --owner team-a --period last-week: {before.splitlines()[1]}"


def p3_who_did_what(folder: Path) -> str:
    """Keys by the command and by the API, a reload, a delete and an operator's read are in the audit log, with who did it."""
    store = ("--store", str(folder / "s.db"))
    with served(folder, *store, settings=PRICED + TEAMS) as server:
        made = antiphon(folder, "keys", "create", "--owner", "team-c", "--name", "laptop", *store).stdout
        assert made.startswith("sk-antiphon-"), made
        listed = antiphon(folder, "keys", "list", *store).stdout
        id = next(word for word in listed.split() if word.startswith("key_"))
        antiphon(folder, "keys", "rotate", id, *store)
        antiphon(folder, "keys", "revoke", id, *store)
        operator = server.client(OPERATOR)
        other = operator.post("/admin/keys", name="ci", owner="team-c")[1]["id"]
        assert operator.post(f"/admin/keys/{other}", name="cd")[0] == 200
        assert operator.post("/admin/reload")[0] in (200, 202)
        response = ask(server, "key-a1")[1]["id"]
        assert server.client("key-a1").send("DELETE", f"/v1/responses/{response}")[0] == 200
        assert operator.get("/admin/usage")[0] == 200
        lines = antiphon(folder, "audit", "--json", "--limit", "100", *store).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    done = {(one["action"], one["actor"].partition(":")[0]) for one in entries}
    wanted = {(f"api_key.{what}", "cli") for what in ("created", "rotated", "revoked")}
    wanted |= {(what, "config/operator") for what in ("api_key.created", "api_key.updated", "admin.read")}
    wanted |= {("configuration.reloaded", "config/operator"), ("object.deleted", "config/a1")}
    assert wanted <= done, wanted - done
    assert not any("sk-" in line for line in lines)
    return f"{len(entries)} entries, by {len({one['actor'] for one in entries})} actors; none has a key"


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted, of webhooks and of spans."""

    got: list[tuple[str, bytes]]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.got.append((self.headers["content-type"], self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()


@contextlib.contextmanager
def receiving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a server; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def until(found: Any) -> Any:
    """Return what a function gives once it is true. Raises TimeoutError."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.1)
    raise TimeoutError


def p5_budgets(folder: Path) -> str:
    """A team's limit holds for all its keys; a soft one only says so; alerts go out; new keys have the usual limits."""
    got: list[tuple[str, bytes]] = []
    with receiving(type("Hooks", (Receiver,), {"got": got})) as address:
        hook = f'[webhooks.me]\nurl = "http://{address}/"\nsecret = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"\n'
        owners = '[owners.team-a]\nlimits = ["4 requests/day"]\n'
        usual = 'default_limits = ["7 requests/min"]\n'
        store = str(folder / "s.db")
        with served(folder, "--store", store, settings=usual + PRICED + TEAMS + owners + hook) as server:
            assert [ask(server, f"key-{name}")[0] for name in ("a1", "a2", "a1", "a2")] == [200] * 4
            status, body = ask(server, "key-a1")
            assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded"), body
            assert [ask(server, "key-b")[0] for _ in range(3)] == [200] * 3  # soft
            thresholds = until(lambda: (told := _alerts(got, "team-a")) and len(told) == 3 and told)
            assert sorted(thresholds) == [50, 80, 100], thresholds
            server.wait_for("budget")
            key = server.client(OPERATOR).post("/admin/keys", owner="team-c")[1]
            assert key["limits"] == ["7 requests/min"], key
            rows = server.client(OPERATOR).get("/admin/budgets")[1]["data"]
            assert any(row.get("owner") == "team-a" and row["used"] == 4 for row in rows), rows
    return "one limit for two keys of a team, a soft one, alerts at 50, 80 and 100 %, usual limits of new keys"


def _alerts(got: list[tuple[str, bytes]], owner: str) -> list[int]:
    events = [json.loads(body) for _, body in list(got)]
    told = [one["data"] for one in events if one["type"] == "budget.threshold_reached"]
    return [one["percent"] for one in told if one["owner"] == owner and not one["key"]]


def p7_behind_a_proxy(folder: Path) -> str:
    """Below a path, and behind a proxy that says who the client is: the log, the page and the document name what people see."""
    arguments = (*SCRIPTED, "--store", "memory", "--root-path", "/ai")
    with served(folder, *arguments, variables={"ANTIPHON_TRUSTED_PROXIES": "127.0.0.0/8"}) as server:
        asked = urllib.request.Request(
            f"{server.url}/ai/v1/models",
            headers={"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "host": "127.0.0.1"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.status == 200
        server.wait_for("client=203.0.113.7")
        assert server.client().get("/ai/openapi.json")[1]["servers"] == [{"url": "/ai"}]
        page = server.client().get("/ai/")[1].decode()
        assert "<base" in page or 'src="playground' in page or "/ai/playground" in page, page[:600]
    return "root path /ai, the client's own address in the log"


def p7_a_socket_that_cannot_be(folder: Path) -> str:
    """A unix socket in a folder that cannot be written is refused in one line."""
    done = antiphon(folder, "serve", *SCRIPTED, "--store", "memory", "--host", "unix:/proc/antiphon.sock", code=2)
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "/proc/antiphon.sock" in line, done.stderr
    return line


class Backend(BaseHTTPRequestHandler):
    """A chat backend; notes the paths."""

    paths: list[str]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._json({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "hello"}
        self._json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def _json(self, value: object) -> None:
        self.paths.append(self.path)
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def p8_a_backend_with_certificates(folder: Path) -> str:
    """A backend of a private authority that wants a client's certificate, at a URL with a query; then without each of them."""
    authority = Authority(folder)
    cert, key = authority.sign("localhost")
    own, own_key = authority.sign("antiphon")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    paths: list[str] = []
    with receiving(type("Secure", (Backend,), {"paths": paths}), context) as address:
        plain = f'[backends.x]\nurl = "https://{address}/v1?api-version=2030-01-01"\nprofile = "generic"\n'
        trusted = f'{plain}ca = "{authority.file}"\n'
        known = f'{trusted}client_cert = "{own}"\nclient_key = "{own_key}"\n'
        with served(folder, "--store", "memory", settings=known) as server:
            status, body = server.client().post("/v1/responses", model="m", input="x")
            assert (status, body["output"][0]["content"][0]["text"]) == (200, "hello"), body
        assert paths and all(path.endswith("?api-version=2030-01-01") for path in paths), paths
        told = []
        for settings in (plain, trusted):
            file = folder / "check.toml"
            file.write_text(f'store = "memory"\n{settings}')
            done = antiphon(folder, "check", "--config", str(file), code=None)
            assert done.returncode != 0, done.stdout
            told.append(
                next(line for line in (done.stdout + done.stderr).splitlines() if "certificate" in line.lower())
            )
    return f"answers with both; without: {' | '.join(line.strip()[:120] for line in told)}"


TRACED = (
    ("http/protobuf", "true", "always_on"),
    ("http/json", "", "always_on"),
    ("http/json", "true", "always_off"),
)
"""Encoding, whether texts are asked for, sampler."""


def p9_traces(folder: Path) -> str:
    """Spans in both encodings, with prompts, session and user where they are asked for, and none where the sampler says so."""
    seen = []
    for protocol, content, sampler in TRACED:
        got: list[tuple[str, bytes]] = []
        with receiving(type("Collector", (Receiver,), {"got": got})) as address:
            variables = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": content,
                "OTEL_TRACES_SAMPLER": sampler,
            }
            with served(folder, *SCRIPTED, "--store", "memory", variables=variables) as server:
                conversation = server.client().post("/v1/conversations")[1]["id"]
                ask(server, "", input="The violins.", conversation=conversation, user="ann", metadata={"tag": "x"})
                if sampler == "always_off":
                    time.sleep(7)
                    assert not got
                    continue
                until(lambda got=got: got)
                type_, body = got[0]
        if protocol == "http/protobuf":
            assert type_ == "application/x-protobuf"
            spans = ExportTraceServiceRequest.FromString(body)
            text = str(spans)
        else:
            assert type_ == "application/json"
            text = json.dumps(json.loads(body))
        assert ("The violins." in text) == (content == "true"), text[:3000]
        assert conversation in text and "gen_ai" in text, text[:3000]
        if content:
            assert "session.id" in text and "ann" in text, text[:3000]
        seen.append(f"{protocol} {len(body)} bytes")
    return f"{', '.join(seen)}; none with always_off"
