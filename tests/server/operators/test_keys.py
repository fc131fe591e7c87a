"""`/admin/keys` on a running server: a secret is told once, changes take effect, and nobody else gets there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.access import keys as keyring_module
from antiphon.access.caller import ADMIN, Caller
from antiphon.access.keys import Keyring, Rights
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig
from antiphon.errors import APIError
from antiphon.stores.open import open_memory
from tests.server.handlers import Answer, call
from tests.server.serving import serving, wait_until

OPERATOR = "key-op"
KEYS = {"op": KeyConfig(key=OPERATOR, scopes=["admin"]), "ann": KeyConfig(key="key-ann", owner="ann")}


@contextmanager
def server(
    folder: Path,
    keys: dict[str, KeyConfig] = KEYS,
    backends_more: dict[str, BackendConfig] | None = None,
    **more: Any,
) -> Iterator[str]:
    config = Config(
        store=str(folder / "store.db"),
        shutdown_grace=1.0,
        backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted"), **(backends_more or {})},
        keys=keys,
        **more,
    )
    with serving(app.build(config), config) as served:
        yield served.url


def ask(url: str, method: str, path: str, key: str = OPERATOR, body: object = None) -> Answer:
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    return call(url, method, path, None if body is None else json.dumps(body), headers)


def done(url: str, method: str, path: str, body: object = None, key: str = OPERATOR) -> dict[str, Any]:
    answer = ask(url, method, path, key, body)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def respond(url: str, key: str) -> Answer:
    return ask(url, "POST", "/v1/responses", key, {"model": "scripted", "input": "hi"})


@pytest.mark.slow
def test_a_key_is_made_used_changed_rotated_and_revoked(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        wanted = {"name": "laptop", "owner": "team-a", "limits": ["60 requests/minute"], "models": ["script*"]}
        made = done(url, "POST", "/admin/keys", wanted)
        secret = made.pop("key")
        assert (made["owner"], made["limits"], made["state"]) == ("team-a", ["60 requests/minute"], "active")
        assert made["created_by"] == "config/op" and made["hint"] == secret[-4:] and made["last_used_at"] is None
        assert respond(url, secret).status == 200
        read = done(url, "GET", f"/admin/keys/{made['id']}")
        assert read["last_used_at"] is not None and {**read, "last_used_at": None} == made
        changed = done(url, "POST", f"/admin/keys/{made['id']}", {"models": ["other"], "name": "desk"})
        assert (changed["models"], changed["name"], changed["limits"]) == (["other"], "desk", made["limits"])
        wait_until(lambda: respond(url, secret).status == 400)
        rotated = done(url, "POST", f"/admin/keys/{made['id']}/rotate", {"overlap": 0})
        assert rotated["id"] != made["id"] and rotated["line"] == made["id"] and rotated["key"] != secret
        wait_until(lambda: respond(url, secret).status == 401)
        gone = done(url, "DELETE", f"/admin/keys/{rotated['id']}")
        assert gone["state"] == "revoked" and "key" not in gone
        wait_until(lambda: respond(url, rotated["key"]).status == 401)
        shown = ask(url, "GET", "/admin/keys?limit=1").body
        assert secret.encode() not in shown and rotated["key"].encode() not in shown
        page = json.loads(shown)
        assert page["has_more"] and page["data"][0]["id"] == rotated["id"]
        rest = done(url, "GET", f"/admin/keys?after={page['last_id']}&owner=team-a")
        assert [one["id"] for one in rest["data"]] == [made["id"]] and not rest["has_more"]
    assert secret.encode() not in (tmp_path / "store.db").read_bytes()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"limits": ["60 nothing"]}, "limits"),
        ({"limits": ["1 streams", "2 streams"]}, "limits"),
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"scopes": []}, "scopes"),
        ({"name": "x" * 300}, "name"),
        ({"expires_at": -1}, "expires_at"),
        ({"models": [""]}, "models[0]"),
        ({"key": "sk-antiphon-mine"}, ""),
        ({"owner": 5}, "owner"),
    ],
)
def test_what_no_key_can_be_is_refused_with_the_field(tmp_path: Path, body: object, param: str) -> None:
    with server(tmp_path) as url:
        error = ask(url, "POST", "/admin/keys", body=body)
        assert (error.status, error.error()["param"]) == (400, param), error.body
        assert done(url, "GET", "/admin/keys")["data"] == []


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "ä💡", "<b>"])
def test_any_name_is_kept(tmp_path: Path, name: str) -> None:
    kept = name.replace("\ud800", "\ufffd")
    with server(tmp_path) as url:
        made = done(url, "POST", "/admin/keys", {"name": name, "owner": name})
        assert (made["name"], made["owner"]) == (kept, kept)
        assert done(url, "GET", "/admin/keys")["data"][0]["name"] == kept


ROUTES = [
    ("GET", "/admin/keys"),
    ("POST", "/admin/keys"),
    ("GET", "/admin/keys/key_x"),
    ("POST", "/admin/keys/key_x"),
    ("DELETE", "/admin/keys/key_x"),
    ("POST", "/admin/keys/key_x/rotate"),
    ("GET", "/admin/models"),
    ("POST", "/admin/reload"),
    ("POST", "/admin/engine/stop"),
    ("GET", "/v1/organization/audit_logs"),
    ("GET", "/admin/audit"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_only_the_scope_admin_gets_there(tmp_path: Path, method: str, path: str) -> None:
    with server(tmp_path) as url:
        assert ask(url, method, path, "key-ann").error()["code"] == "insufficient_scope"
        assert ask(url, method, path, "").status == 401
        expected = {"/admin/reload": 501, "/admin/engine/stop": 400}.get(path, 404 if "key_x" in path else 200)
        assert ask(url, method, path).status == expected


def test_an_ended_key_is_not_changed_or_rotated(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        id = done(url, "POST", "/admin/keys", {})["id"]
        done(url, "DELETE", f"/admin/keys/{id}")
        assert done(url, "DELETE", f"/admin/keys/{id}")["state"] == "revoked"  # once is enough
        for path in (f"/admin/keys/{id}", f"/admin/keys/{id}/rotate"):
            answer = ask(url, "POST", path, body={})
            assert (answer.status, answer.error()["code"]) == (409, "key_revoked"), answer.body


@pytest.mark.slow
def test_the_first_key_of_an_open_server_can_make_others(tmp_path: Path) -> None:
    with server(tmp_path, keys={}) as url:
        refused = ask(url, "POST", "/admin/keys", "", {"scopes": ["responses"]})
        assert (refused.status, refused.error()["param"]) == (400, "scopes")
        first = ask(url, "POST", "/admin/keys", "", {"scopes": ["admin"]}).json()["key"]
        wait_until(lambda: ask(url, "GET", "/admin/keys", "").status == 401)
        assert ask(url, "POST", "/admin/keys", first, {"scopes": ["responses"]}).status == 200


def test_new_keys_without_limits_get_the_default_ones(tmp_path: Path) -> None:
    with server(tmp_path, default_limits=["1 requests/day"]) as url:
        made = done(url, "POST", "/admin/keys", {})
        assert made["limits"] == ["1 requests/day"]
        assert [respond(url, made["key"]).status for _ in range(2)] == [200, 429]
        assert done(url, "POST", "/admin/keys", {"limits": ["5 streams"]})["limits"] == ["5 streams"]


@pytest.mark.slow  # a process
def test_the_command_and_the_api_see_the_same_keys(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        line = [
            sys.executable,
            "-m",
            "antiphon",
            "keys",
            "create",
            "--owner",
            "team-a",
            "--store",
            str(tmp_path / "store.db"),
        ]
        made = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        (shown,) = done(url, "GET", "/admin/keys")["data"]
        assert shown["owner"] == "team-a" and shown["created_by"].startswith("cli:")
        assert respond(url, made.stdout.strip()).status == 200


async def test_a_change_does_not_bring_a_revoked_key_back() -> None:
    """Somebody revokes a key while somebody else changes it."""
    store = open_memory()
    keyring = Keyring(store.keys, time.time)
    id = (await keyring.create(Rights())).key.id
    change = store.keys.change

    async def late(id: str, before: bytes, body: bytes) -> bool:
        store.keys.change = change  # type: ignore[method-assign]
        await Keyring(store.keys, time.time).revoke(id)
        return await change(id, before, body)

    store.keys.change = late  # type: ignore[method-assign]
    with pytest.raises(APIError, match="is revoked"):
        await keyring.update(id, {"name": "new"})
    assert (await keyring.get(id)).revoked_at is not None


async def test_there_are_only_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "MOST_KEYS", 2)
    keyring = Keyring(open_memory().keys, time.time)
    made = [await keyring.create(Rights()) for _ in range(2)]
    for attempt in (keyring.create(Rights()), keyring.rotate(made[0].key.id, 0)):
        with pytest.raises(APIError) as caught:
            await attempt
        assert (caught.value.status, caught.value.code) == (409, "too_many_keys")


def test_the_scope_admin_is_a_right_of_keys_too() -> None:
    assert Caller(owner="a", scopes=frozenset((ADMIN,))).may(frozenset(("responses",)))
