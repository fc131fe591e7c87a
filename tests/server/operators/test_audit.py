"""The audit log of a running server: what is in it, before what, and that nobody changes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.access.audit import Actor, AuditLog
from antiphon.access.keys import Keyring, Rights
from antiphon.errors import APIError
from antiphon.stores.audit_records import AuditQuery
from antiphon.stores.open import open_memory
from tests.server.handlers import call
from tests.server.operators.test_keys import OPERATOR, ask, done, respond, server
from tests.server.process.test_shutdown import free_port
from tests.server.serving import wait_until

BY = Actor(id="key_1", owner="ann", address="127.0.0.1", request_id="req_1")


def entries(url: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(url, "GET", f"/admin/audit?limit=100{query}")["data"]
    return found


def test_what_is_done_with_keys_is_written(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        made = done(url, "POST", "/admin/keys", {"owner": "team-a"})
        done(url, "POST", f"/admin/keys/{made['id']}", {"name": "n"})
        done(url, "POST", f"/admin/keys/{made['id']}/rotate", {"overlap": 60})
        done(url, "DELETE", f"/admin/keys/{made['id']}")
        found = [one for one in entries(url) if one["action"] != "admin.read"][::-1]
        assert [one["action"] for one in found] == [
            "api_key.created", "api_key.updated", "api_key.rotated", "api_key.revoked",
        ]  # fmt: skip
        assert {one["subject"] for one in found} == {made["id"]} and {one["actor"] for one in found} == {"config/op"}
        assert all(one["address"] == "127.0.0.1" and one["request_id"] and one["at"] for one in found)
        assert found[0]["details"]["owner"] == "team-a" and found[1]["details"] == {"name": "n"}
        assert made["key"] not in json.dumps(found)


def test_deletes_of_all_and_reads_of_operators_are_written(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        id = respond(url, "key-ann").json()["id"]
        assert ask(url, "DELETE", f"/v1/responses/{id}", "key-ann").status == 200
        (gone,) = entries(url, "&action=object.deleted")
        assert (gone["actor"], gone["owner"], gone["subject"]) == ("config/ann", "ann", f"/responses/{id}")
        some = respond(url, "key-ann").json()["id"]
        assert ask(url, "POST", "/v1/responses/delete", "key-ann", {"ids": [some]}).status == 200
        assert entries(url, "&action=object.deleted")[0]["subject"] == f"/responses/{some}"
        for _ in range(3):
            done(url, "GET", "/admin/usage?group_by=owner")
            ask(url, "GET", "/metrics")
        reads = entries(url, "&action=admin.read")
        assert [one["subject"] for one in reads] == ["/admin/usage", "/admin/audit"]
        assert reads[0]["details"] == {"query": "group_by=owner"}


@pytest.mark.parametrize(("level", "actions"), [("off", set()), ("changes", {"api_key.created"})])
def test_a_level_leaves_out_what_it_says(tmp_path: Path, level: str, actions: set[str]) -> None:
    with server(tmp_path, audit=level) as url:
        done(url, "GET", "/admin/usage")
        done(url, "POST", "/admin/keys", {})
        assert {one["action"] for one in entries(url)} == actions


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/admin/audit", "/v1/admin/audit", "/admin/audit/audit_1"])
def test_nothing_of_it_is_changed_through_the_api(tmp_path: Path, method: str, path: str) -> None:
    with server(tmp_path) as url:
        done(url, "POST", "/admin/keys", {})
        before = entries(url, "&action=api_key.created")
        assert ask(url, method, path, body={}).status in (404, 405)
        assert entries(url, "&action=api_key.created") == before


@pytest.mark.parametrize(
    ("query", "param"),
    [("after=audit_9", "after"), ("limit=1000", "limit"), ("action=x", "action"), ("start_time=x", "start_time")],
)
def test_a_wrong_query_names_its_parameter(tmp_path: Path, query: str, param: str) -> None:
    with server(tmp_path) as url:
        answer = ask(url, "GET", f"/admin/audit?{query}")
        assert (answer.status, answer.error()["param"]) == (400, param)


@pytest.mark.slow  # a process
def test_the_command_reads_the_store_and_a_server(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        ids = [done(url, "POST", "/admin/keys", {"owner": "\x1b[31m"})["id"] for _ in range(3)]
        line = [sys.executable, "-m", "antiphon", "audit", "--action", "api_key.created"]
        for where in (["--store", str(tmp_path / "store.db")], ["--url", url, "--key", OPERATOR]):
            ran = subprocess.run([*line, *where, "--json"], capture_output=True, text=True, timeout=60, check=True)
            assert [json.loads(row)["subject"] for row in ran.stdout.splitlines()] == ids[::-1]
        table = subprocess.run([*line, *where], capture_output=True, text=True, timeout=60, check=True).stdout
        assert "config/op" in table and "\x1b" not in table
        wrong = subprocess.run([*line[:-1], "nothing"], capture_output=True, text=True, timeout=60, check=False)
        assert wrong.returncode == 2 and "api_key.created" in wrong.stderr


def test_openais_tools_read_it_in_their_shape(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        made = done(url, "POST", "/admin/keys", {"owner": "team-a", "scopes": ["read"]})
        done(url, "POST", f"/admin/keys/{made['id']}", {"scopes": ["chat"]})
        done(url, "POST", f"/admin/keys/{made['id']}/rotate", {"overlap": 60})
        done(url, "DELETE", f"/admin/keys/{made['id']}")
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="-", admin_api_key=OPERATOR, max_retries=0)
        logs = list(client.admin.organization.audit_logs.list(limit=1, resource_ids=[made["id"]]))
        assert [one.type for one in logs] == [
            "api_key.deleted",
            "api_key.updated",
            "api_key.updated",
            "api_key.created",
        ]
        created, updated = logs[3], logs[2]
        assert created.api_key_created and created.api_key_created.id == made["id"]
        assert created.api_key_created.data and created.api_key_created.data.scopes == ["read"]
        assert updated.api_key_updated and updated.api_key_updated.changes_requested
        assert updated.api_key_updated.changes_requested.scopes == ["chat"]
        assert created.actor and created.actor.api_key and created.actor.api_key.id == "config/op"
        some = client.admin.organization.audit_logs.list(event_types=["api_key.deleted"], effective_at={"gte": 1})
        assert [one.type for one in some] == ["api_key.deleted"]
        later = {"gt": created.effective_at + 3600}
        assert not list(client.admin.organization.audit_logs.list(effective_at=later))  # type: ignore[arg-type]
        for query, param in (("event_types[]=x", "event_types"), ("limit=0", "limit"), ("after=no", "after")):
            answer = ask(url, "GET", f"/v1/organization/audit_logs?{query}")
            assert (answer.status, answer.error()["param"]) == (400, param)


async def test_what_cannot_be_written_is_not_done() -> None:
    store = open_memory()

    async def away(entries: object) -> None:
        raise APIError(503, "away", code="store_unavailable")

    store.audit.add = away  # type: ignore[method-assign]
    keyring = Keyring(store.keys, lambda: 1.0, AuditLog(store.audit, "all", 0, lambda: 1.0, lambda: "1"))
    with pytest.raises(APIError, match="away"):
        await keyring.create(Rights(), BY)
    assert await keyring.list() == []


async def test_old_entries_go() -> None:
    clock, numbers = [0.0], iter(range(5000))
    store = open_memory()
    log = AuditLog(store.audit, "all", 2, lambda: clock[0], lambda: str(next(numbers)))
    for _ in range(1200):
        await log.record("object.deleted", BY, "/files/a", {})
    clock[0] = 86_400.0
    await log.record("object.deleted", BY, "/files/b" + "x" * 1000, {})
    clock[0] = 3 * 86_400.0 - 1
    await log.drop_old()
    (left,) = await store.audit.list(AuditQuery(limit=5)) or ()
    assert left.subject.startswith("/files/b") and len(left.subject) == 512


FILE = """
host = "127.0.0.1"
port = {port}
store = "store.db"
workers = {workers}
[keys.op]
key = "key-op"
scopes = ["admin"]
[backends.s]
url = "http://127.0.0.1:9"
api = "scripted"
[models.{model}]
name = "scripted"
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_settings_are_read_again_at_a_request(tmp_path: Path, workers: int) -> None:
    port = free_port()
    url, file = f"http://127.0.0.1:{port}", tmp_path / "antiphon.toml"
    file.write_text(FILE.format(port=port, workers=workers, model="first"))
    server = subprocess.Popen([sys.executable, "-m", "antiphon", "serve", "-q"], cwd=tmp_path, stderr=subprocess.PIPE)

    def models() -> set[str]:
        return {one["id"] for one in done(url, "GET", "/admin/models")["data"]}

    try:
        wait_until(lambda: is_up(url), 120)
        assert "first" in models()
        file.write_text(FILE.format(port=port, workers=workers, model="second"))
        answer = ask(url, "POST", "/admin/reload", body={})
        assert (answer.status, answer.json()["status"]) == ((200, "reloaded") if workers == 1 else (202, "requested"))
        wait_until(lambda: all("second" in models() for _ in range(4)), 60)
        written = entries(url, "&action=configuration.reloaded")
        assert {one["actor"] for one in written} == {"config/op", "server"}
        assert ["models"] in [one["details"].get("settings") for one in written]
        if workers == 1:
            file.write_text("nonsense = 1")
            wrong = ask(url, "POST", "/admin/reload", body={})
            assert (wrong.status, wrong.error()["code"]) == (400, "invalid_configuration")
            assert "nonsense" in wrong.error()["message"] and "second" in models()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(120) == 0
        if server.stderr is not None:
            server.stderr.close()


def is_up(url: str) -> bool:
    try:
        return call(url, "GET", "/health").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("query", ["token=abcdefgh12345", "x=1&api_key=abcdefgh12345", "q=Bearer+abcdefgh12345"])
def test_a_secret_that_stands_in_a_query_or_path_by_mistake_is_not_written(tmp_path: Path, query: str) -> None:
    with server(tmp_path) as url:
        ask(url, "GET", f"/admin/usage?{query}")
        assert ask(url, "DELETE", f"/v1/responses/{OPERATOR}").status == 404
        written = json.dumps(entries(url))
        assert "abcdefgh12345" not in written and "[key]" in written and OPERATOR not in written


async def test_reads_that_are_remembered_are_short() -> None:
    log = AuditLog(open_memory().audit, "all", 0, lambda: 1.0, iter("abc").__next__)
    for end in "xy":
        await log.read(BY, "/" + "a" * 100_000 + end, {})
    assert max(len(subject) for _, subject in log._reads) <= 512
    assert len(await log.store.list(AuditQuery(limit=9)) or ()) == 1
