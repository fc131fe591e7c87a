"""What clients send in confidence for MCP servers stands in no answer, event, log line, webhook or byte of the store."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from antiphon.config import McpServerConfig, WebhookConfig
from antiphon.telemetry import log
from tests.acceptance.background import Tools, running
from tests.server.remote_tools.model import Model, declared, model, said
from tests.server.whole import Client, turn, whole_server
from tests.stores.postgres_server import Postgres
from tests.stores.postgres_server import running as running_postgres

pytestmark = pytest.mark.slow

TOKEN = "CANARY-authorization-5fd1"
HEADER = "CANARY-header-93ab"
PATH = "CANARY-path-0c7e-of-a-url-with-a-token"
QUERY = "CANARY-query-77aa"
OPERATOR = "CANARY-operator-2b2b"
ITEM = "CANARY-item-d00d"


class Talkative(Tools):
    """An MCP server that repeats all that it was sent: in results, in errors, in its own words."""

    seen: ClassVar[list[str]] = []
    gate = threading.Event()
    gate.set()

    def do_POST(self) -> None:  # noqa: N802
        self.said = f"{self.path} {dict(self.headers)}"
        self.seen.append(self.said)
        if "refuse" in self.path:
            error = {"code": -32000, "message": f"401 for {self.said}"}
            self.rfile.read(int(self.headers["content-length"]))
            self.send(json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode(), status=401)
            return
        super().do_POST()

    def _answer(self, method: str, params: Any) -> Any:
        if method == "tools/list":
            schema = {"type": "object"}
            return {"tools": [{"name": name, "inputSchema": schema} for name in ("echo", "fail", "wait")]}
        if method == "tools/call":
            if params["name"] == "wait":
                self.gate.wait(20)
            parts = [{"type": "text", "text": self.said}, {"type": "resource_link", "uri": self.said, "name": "x"}]
            return {"content": parts, "isError": params["name"] == "fail"}
        return super()._answer(method, params)


class Receiver(BaseHTTPRequestHandler):
    """Receives webhooks."""

    bodies: ClassVar[list[bytes]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()


class Recorded(Client):
    """Keeps all that the server has ever answered."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.url)
        self.answers: list[Any] = []

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        status, answer = super().send(method, path, body)
        self.answers.append(answer)
        return status, answer


@pytest.fixture(scope="module")
def talkative() -> Iterator[str]:
    with running(Talkative) as url:
        yield url


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that is logged, down to `debug`, as `antiphon serve` logs it."""
    root = logging.getLogger()
    before, level, out = root.handlers[:], root.level, io.StringIO()
    log.set_up("debug", out=out)
    yield out
    root.handlers[:], root.level = before, level
    root.setLevel(level)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """A store, and what reads all its bytes."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db"), lambda: b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    server: Postgres = request.getfixturevalue("postgres")
    name = f"secrets_{tmp_path.name}"
    return server.create(name), lambda: dumped(server, name)


def dumped(server: Postgres, name: str) -> bytes:
    """Return all rows as a dump of the database has them, and the files of the server, its log of writes among them."""
    tables = server.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'antiphon'", name).split()
    columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'antiphon' AND table_name = '%s'"
    whole = b""
    for table in tables[2:-2]:
        fields = [field for field in server.psql(columns % table, name).split()[2:-2] if field.islower()]
        shown = ", ".join(f"encode(convert_to(t.{field}::text, 'utf8'), 'escape')" for field in fields)
        whole += server.psql(f"SET bytea_output = 'escape'; SELECT {shown} FROM antiphon.{table} t", name).encode()
    found = subprocess.run(["grep", "-rhaoE", "CANARY-[a-z]+-[0-9a-f]+", str(server._folder)], capture_output=True)
    return whole + found.stdout


def secretive(url: str, **fields: object) -> dict:
    """Declare the server with a secret in every place that has room for one."""
    return declared(
        f"{url}/{PATH}/mcp?key={QUERY}",
        authorization=TOKEN,
        headers={"X-Api-Key": HEADER, "X-Auth": f"Basic {HEADER}"},
        unknown=TOKEN,
        **fields,
    )


def bring(url: str) -> dict:
    tool = {**declared(url), "authorization": ITEM, "headers": {"a": ITEM}, "server_url": f"{url}/{ITEM}"}
    return {"type": "additional_tools", "role": "developer", "tools": [tool]}


def everything(client: Recorded, url: str) -> None:
    """Make responses of all kinds, and look at them in all ways."""
    tool = secretive(url)
    ask = [bring(url), {"role": "user", "content": "echo {}"}]
    ids = []
    for mode in ({}, {"stream": True}, {"background": True}, {"background": True, "stream": True}, {"store": False}):
        for words in ("echo {}", "fail {}"):
            made = client.create(model="m", input=[ask[0], {"role": "user", "content": words}], tools=[tool], **mode)
            first = made[0]["response"] if isinstance(made, list) else made
            assert not Talkative.seen or any(TOKEN in one and QUERY in one and PATH in one for one in Talkative.seen)
            if mode.get("store", True):
                client.finished(first["id"])
                ids.append(first["id"])
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{**tool, "name": "echo"}]}
    client.create(model="m", input=ask, tools=[tool], tool_choice=choice)
    refused = secretive(f"{url}/refuse")
    status, _ = client.post("/v1/responses", model="m", input=ask, tools=[refused])
    assert status == 424
    client.create(model="m", input=ask, tools=[refused], stream=True)
    ids.append(client.create(model="m", input=ask, tools=[refused], background=True)["id"])
    client.finished(ids[-1])
    conversation = client.post("/v1/conversations", items=[ask[0]])[1]["id"]
    client.create(model="m", input=ask, tools=[tool], conversation=conversation)
    asked = client.create(model="m", input=ask, tools=[secretive(url, require_approval="always")])
    answer = {"type": "mcp_approval_response", "approval_request_id": asked["output"][-1]["id"], "approve": True}
    done = client.create(model="m", input=[answer], tools=[tool], previous_response_id=asked["id"])
    assert "<redacted>" in said(done), "the server was called with its credentials"
    client.post("/v1/responses/input_tokens", model="m", input=ask, tools=[tool])
    client.post("/v1/responses/compact", model="m", input=ask)
    client.create(model="m", input=ask, tools=[{**tool, "type": "mcp", "server_label": "own", "server_url": None,
                                                "authorization": None, "headers": None}])  # fmt: skip
    with client.websocket() as connection:
        for stored in (True, False):
            client.answers.append(turn(connection, model="m", input=ask, tools=[tool], store=stored))
    for id in ids:
        client.get(f"/v1/responses/{id}")
        client.get(f"/v1/responses/{id}?stream=true")
        client.get(f"/v1/responses/{id}/input_items")
    for path in (f"/v1/conversations/{conversation}/items", "/admin/responses", "/admin/requests", "/metrics"):
        client.get(path)


@pytest.mark.timeout(120)
def test_no_secret_is_shown_logged_or_stored(
    talkative: str, store: tuple[str, Any], lines: io.StringIO, tmp_path: Path
) -> None:
    Talkative.seen.clear()
    Receiver.bodies.clear()
    place, content = store
    own = McpServerConfig(url=f"{talkative}/mcp", headers={"x-operator": OPERATOR})
    with model() as url, running(Receiver) as receiver:
        hooks = {"all": WebhookConfig(url=receiver, secret="whsec_bXkgbGl0dGxlIHNlY3JldA==")}
        settings: dict[str, Any] = {"store": place, "mcp_servers": {"own": own}, "webhooks": hooks}
        with whole_server(url, url_guard_allow=["127.0.0.0/8"], **settings) as client:
            recorded = Recorded(client)
            everything(recorded, talkative)
            Talkative.gate.clear()
            waiting = recorded.create(
                model="m", input="wait {}", tools=[secretive(talkative)], background=True, stream=False
            )
            at_work = content()
            Talkative.gate.set()
            recorded.finished(waiting["id"])
        after = content()
    assert any(OPERATOR in one for one in Talkative.seen)
    assert any(HEADER in one for one in Talkative.seen)
    assert Receiver.bodies
    assert b"ANT2" in at_work
    assert "CANARY" not in json.dumps(recorded.answers, default=str)
    assert b"CANARY" not in b"".join(Receiver.bodies)
    assert "CANARY" not in lines.getvalue()
    assert b"CANARY" not in at_work + after
    assert not any("CANARY" in json.dumps(request) for request in Model.asked), "the model was told a secret"


class Late(Model):
    """A model that is silent until it may answer."""

    reached = threading.Event()
    may_answer = threading.Event()

    def do_POST(self) -> None:  # noqa: N802
        self.reached.set()
        self.may_answer.wait(20)
        super().do_POST()


@pytest.mark.timeout(120)
def test_another_server_takes_a_sealed_job_over(talkative: str, store: tuple[str, Any]) -> None:
    place, content = store
    Late.reached.clear()
    Late.may_answer.clear()
    settings: dict[str, Any] = {"store": place, "url_guard_allow": ["127.0.0.0/8"], "background_lease": 1.0}
    with running(Late) as backend:
        url = f"{backend}/v1"
        with whole_server(url, shutdown_grace=0.1, **settings) as first:
            listing = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "clock", "tools": [{"name": "echo"}]}
            asked = [listing, {"role": "user", "content": "echo {}"}]
            id = first.create(model="m", input=asked, tools=[secretive(talkative)], background=True)["id"]
            assert Late.reached.wait(20)
        assert b"CANARY" not in content()
        Talkative.seen.clear()
        Late.may_answer.set()
        with whole_server(url, **settings) as second:
            done = second.finished(id)
    assert [item["type"] for item in done["output"]] == ["mcp_call", "message"], done
    assert done["output"][0]["error"] is None
    assert any(TOKEN in one for one in Talkative.seen)
    assert b"CANARY" not in content()
