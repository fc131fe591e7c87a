"""`antiphon keys`, as people and scripts use it."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from antiphon.cli import cli
from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from tests.cli.command import antiphon
from tests.server.handlers import call
from tests.server.serving import serving

SECRET = re.compile(r"sk-antiphon-[0-9A-Za-z]{49}")


def run(folder: Path, *arguments: str) -> Result:
    """Run a command in this process, in a folder of its own."""
    runner = CliRunner(env={"HOME": str(folder), "XDG_DATA_HOME": None, "ANTIPHON_CONFIG": None})
    with contextlib.chdir(folder):
        return runner.invoke(cli, ["keys", *arguments], prog_name="antiphon")


def made(folder: Path, *arguments: str) -> tuple[str, str]:
    """Make a key; return its id and the key."""
    result = run(folder, "create", *arguments)
    assert result.exit_code == 0, result.output
    found = re.search(r"id (key_\w+)", result.stderr)
    assert found is not None
    return found[1], result.stdout.strip()


def listed(folder: Path, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in run(folder, "list", "--json", *arguments).stdout.splitlines()]


@pytest.mark.slow  # a process
async def test_a_script_gets_the_key_and_nothing_else(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "keys", "create", "--name", "laptop")
    assert outcome.code == 0 and SECRET.fullmatch(outcome.out.strip())
    assert outcome.err.startswith("id key_") and "shown only this once" in outcome.err


def test_the_key_is_kept_nowhere(tmp_path: Path) -> None:
    _, secret = made(tmp_path)
    store = tmp_path / ".local/share/antiphon/antiphon.db"
    assert store.stat().st_mode & 0o077 == 0
    for file in store.parent.iterdir():
        assert secret.encode() not in file.read_bytes() and secret[20:50].encode() not in file.read_bytes()
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT length(digest) FROM keys").fetchall() == [(32,)]


def test_what_was_asked_for_is_listed(tmp_path: Path) -> None:
    id, secret = made(
        tmp_path,
        *("--name", "ci", "--owner", "team", "--scope", "responses", "--scope", "read", "--model", "gpt-*"),
        *("--limit", "60 requests/min", "--limit", "1_000 tokens/day on gpt-*", "--expires", "90d"),
        *("--mcp-server", "docs", "--mcp-server", "https://mcp.example.com/*"),
    )
    (key,) = listed(tmp_path)
    assert (key["id"], key["name"], key["owner"], key["hint"]) == (id, "ci", "team", secret[-4:])
    assert (key["scopes"], key["models"]) == (["responses", "read"], ["gpt-*"])
    assert key["limits"] == ["60 requests/minute", "1000 tokens/day on gpt-*"]
    assert key["mcp_servers"] == ["docs", "https://mcp.example.com/*"]
    assert round(key["expires_at"] - key["created_at"]) == 90 * 86400
    table = run(tmp_path, "list").stdout
    assert all(word in table for word in (id, secret[-4:], "ci", "team", "responses,read", "gpt-*", "until 20"))
    assert secret not in table


def test_owners_are_apart_unless_they_are_named(tmp_path: Path) -> None:
    one, _ = made(tmp_path)
    two, _ = made(tmp_path)
    assert [key["owner"] for key in listed(tmp_path)] == [one, two]
    assert listed(tmp_path)[0]["scopes"] == ["chat", "responses", "tools"]


def test_revoke(tmp_path: Path) -> None:
    ids = [made(tmp_path)[0] for _ in range(3)]
    assert run(tmp_path, "revoke", *ids[:2]).stdout == f"{ids[0]} is revoked.\n{ids[1]} is revoked.\n"
    assert [key["id"] for key in listed(tmp_path)] == ids[2:]
    assert [key["id"] for key in listed(tmp_path, "--all")] == ids
    assert run(tmp_path, "list", "--all").stdout.count("revoked") == 2


def test_rotate(tmp_path: Path) -> None:
    id, secret = made(tmp_path, "--limit", "5 requests/min")
    result = run(tmp_path, "rotate", id, "--overlap", "2h")
    assert SECRET.fullmatch(result.stdout.strip()) and result.stdout.strip() != secret
    assert f"{id} ends in 2 hours." in result.stderr
    old, new = listed(tmp_path)
    assert (new["owner"], new["line"], new["limits"]) == (old["owner"], old["line"], old["limits"])
    assert old["expires_at"] > new["created_at"] and new["expires_at"] is None
    assert f"{new['id']} has ended." in run(tmp_path, "rotate", new["id"], "--overlap", "0s").stderr


def test_no_keys_yet(tmp_path: Path) -> None:
    assert run(tmp_path, "list").stdout == "No keys. Create one with `antiphon keys create`.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["revoke", "key_x"], 2, "API key 'key_x' not found. See `antiphon keys list"),
        (["rotate", "key_x"], 2, "API key 'key_x' not found"),
        (["revoke"], 2, "Missing argument"),
        (["create", "--limit", "6 x"], 2, "'6 x' is not a limit such as"),
        (["create", "--limit", "6 streams", "--limit", "7 streams"], 2, "limits of the same kind"),
        (["create", "--expires", "soon"], 2, "is not a time span such as 30m, 24h, 90d or 4w"),
        (["create", "--scope", "root"], 2, "'root' is not one of"),
        (["list", "--store", "memory"], 2, '"memory" cannot hold keys'),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    result = run(tmp_path, *arguments)
    assert result.exit_code == code and words in result.output
    assert listed(tmp_path) == []


def test_a_server_on_the_same_store_takes_them(tmp_path: Path) -> None:
    store = str(tmp_path / "shared.db")
    _, secret = made(tmp_path, "--store", store)
    config = Config(store=store, backends={"b": BackendConfig(url="http://127.0.0.1:9", api="scripted")})
    with serving(app.build(config), config) as served:
        assert call(served.url, "GET", "/v1/models", headers={"x-api-key": secret}).status == 200
        assert call(served.url, "GET", "/v1/models").status == 401
