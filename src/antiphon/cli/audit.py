"""`antiphon audit`: the audit log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from antiphon.cli.keys import STORE
from antiphon.cli.options import KEY_VARIABLES, load_settings, with_options
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from antiphon.stores.audit_records import AuditQuery

PAGE = 100
MOST = 10_000

Line = tuple[str, str, str, str, str, str]


class Day(click.ParamType[Any]):
    """A day such as 2030-01-31, as its first second."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        import datetime

        try:
            day = datetime.datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2030-01-31", param, ctx)
        return day.replace(tzinfo=day.tzinfo or datetime.UTC).timestamp()


@with_options(*STORE)
@click.command()
@click.option("--action", metavar="NAME", help="Filter by action, such as api_key.created.")
@click.option("--actor", metavar="ID", help="Filter by actor: a key's id, config/NAME, cli:USER@HOST or server.")
@click.option("--subject", metavar="TEXT", help="Filter by subject: a key's id, or the path of an object.")
@click.option("--start", type=Day(), metavar="DAY", help="From this day or time (UTC) on, such as 2030-01-31.")
@click.option("--end", type=Day(), metavar="DAY", help="Up to this day or time.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="Number of entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@click.option("--url", metavar="URL", help="Ask a running server, instead of reading the store.")
@click.option("--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key with the scope admin, for --url.")
def audit(
    as_json: bool, limit: int, url: str | None, key: str | None, store: str | None, config: str | None, **words: Any
) -> None:
    """Show who created, changed or revoked keys, reloaded settings, deleted objects, and read what operators read.

    Newest first. An entry is written before it is done; there is no command to change or delete one.

    \b
    Examples:
      antiphon audit
      antiphon audit --action api_key.created --start 2030-01-01
      antiphon audit --actor key_6ccba4c89d3f5c42 --json --limit 1000
      antiphon audit --url http://gpu1:8080/v1
    """
    if words["action"] is not None:
        _check_action(words["action"])
    rows = _asked(url, key or "", words, limit) if url else _read(store, config, words, limit)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    else:
        click.echo("\n".join(table(rows)) if rows else "No entries.")


def _check_action(action: str) -> None:
    from antiphon.access.audit import ACTIONS

    if action not in ACTIONS:
        raise click.UsageError(f"--action: '{action}' is not one of {', '.join(ACTIONS)}")


def _asked(url: str, key: str, words: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    from urllib.parse import urlencode

    from antiphon.cli.client import Client

    client, after = Client(url, key), ""
    rows: list[dict[str, Any]] = []
    names = {"start": "start_time", "end": "end_time"}
    asked = {names.get(name, name): value for name, value in words.items() if value is not None}
    asked = {name: int(value) if isinstance(value, float) else value for name, value in asked.items()}
    while len(rows) < limit:
        cursor: dict[str, Any] = {"after": after} if after else {}
        query = urlencode({**asked, **cursor, "limit": min(PAGE, limit - len(rows))})
        page = json.loads(client.get(f"/admin/audit?{query}"))
        rows += page["data"]
        after = page["last_id"]
        if not page["has_more"]:
            break
    return rows


def _read(store: str | None, config: str | None, words: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    import asyncio

    import msgspec

    from antiphon.stores.audit_records import AuditQuery

    spec = load_settings({"store": store, "config": config}).config.store
    if spec == "memory":
        raise ConfigError("A store in memory ends with its server: ask the server, by --url")
    first, last = words.pop("start"), words.pop("end")
    bounds = {name: value for name, value in (("first", first), ("last", last)) if value is not None}
    entries = asyncio.run(_entries(spec, AuditQuery(limit=limit, **words, **bounds)))
    return [{**msgspec.structs.asdict(one), "details": json.loads(one.details)} for one in entries]


async def _entries(spec: str, query: AuditQuery) -> Sequence[Any]:
    from antiphon.stores.open import open_store

    store = open_store(spec)
    try:
        return await store.audit.list(query) or ()
    finally:
        await store.close()


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table."""
    from datetime import UTC, datetime

    lines: list[Line] = [("TIME", "ACTION", "ACTOR", "SUBJECT", "ADDRESS", "DETAILS")]
    for row in rows:
        at = f"{datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M:%S}"
        details = json.dumps(row["details"]) if row["details"] else ""
        cells = (at, row["action"], row["actor"], row["subject"], row["address"] or "-", details)
        lines.append(cast(Line, tuple(_printable(cell) for cell in cells)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return ["  ".join([*map(str.ljust, line, widths), line[-1]]).rstrip() for line in lines]


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
