"""`antiphon usage`: what was used and spent, by owner, key, model, day or hosted tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.keys import STORE
from antiphon.cli.options import KEY_VARIABLES, load_settings, with_options
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from antiphon.stores.usage_records import UsageQuery, UsageSum

HEADS = {"input_tokens": "input", "cached_tokens": "cached", "output_tokens": "output", "reasoning_tokens": "reasoning"}
"""Heads of columns that are narrower than their names."""


@with_options(*STORE)
@click.command()
@click.option(
    "--by",
    default="owner",
    show_default=True,
    metavar="NAMES",
    help="Group sums by: owner, key, model, day, tool, with commas between; '' for one sum.",
)
@click.option("--start", metavar="DAY", help="First day (UTC), such as 2030-01-31.  [default: 30 days up to the end]")
@click.option("--end", metavar="DAY", help="Last day (UTC).  [default: today]")
@click.option(
    "--period",
    metavar="PERIOD",
    help="In their place: today, yesterday, week (from Monday), last-week, month, last-month, or days, such as 7d.",
)
@click.option("--owner", metavar="NAME", help="Filter by owner.")
@click.option("--key-id", metavar="ID", help="Filter by key, as `--by key` names it.")
@click.option("--model", metavar="ID", help="Filter by model.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option("--url", metavar="URL", help="Ask a running server, instead of reading the store.")
@click.option("--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key with the scope admin, for --url.")
def usage(
    form: str, url: str | None, key: str | None, store: str | None, config: str | None, **words: str | None
) -> None:
    """Sum up what was used and spent.

    Days are those of UTC; a server writes what it used every few seconds. Costs come from the prices of models in the settings.

    \b
    Examples:
      antiphon usage
      antiphon usage --owner team-a --period last-week
      antiphon usage --owner team-a --by model --start 2030-01-01 --end 2030-01-07
      antiphon usage --by day,model --format csv > usage.csv
      antiphon usage --url http://gpu1:8080/v1 --by key
    """
    query = _query(words)
    if url:
        text = _asked(url, key or "", words, "csv" if form == "csv" else "json")
        click.echo(text if form == "csv" else _shown(query, json.loads(text)["data"], form), nl=form != "csv")
        return
    import asyncio

    from antiphon.access.usage_report import as_csv, columns, row

    spec = load_settings({"store": store, "config": config}).config.store
    if spec == "memory":
        raise ConfigError("A store in memory ends with its server: ask the server, by --url")
    sums = asyncio.run(_read(spec, query))
    if form == "csv":
        click.echo(as_csv(sums, query), nl=False)
    else:
        names = columns(query)
        click.echo(_shown(query, [row(one, names) for one in sums], form))


def _query(words: dict[str, str | None]) -> UsageQuery:
    import datetime

    from antiphon.access.usage_report import usage_query

    names = {"by": "group_by", "key_id": "key"}
    given = {names.get(name, name): value for name, value in words.items() if value is not None}
    try:
        return usage_query(given, datetime.datetime.now(datetime.UTC).date())
    except ValueError as error:
        raise click.UsageError(str(error).replace("'group_by'", "'--by'")) from None


async def _read(spec: str, query: UsageQuery) -> Sequence[UsageSum]:
    from antiphon.stores.open import open_store

    store = open_store(spec)
    try:
        return await store.usage.read(query)
    finally:
        await store.close()


def _asked(url: str, key: str, words: dict[str, str | None], form: str) -> str:
    from urllib.parse import urlencode

    from antiphon.cli.client import Client

    names = {"by": "group_by", "key_id": "key"}
    asked = {names.get(name, name): value for name, value in words.items() if value is not None}
    return Client(url, key).get(f"/admin/usage?{urlencode({**asked, 'format': form})}").decode()


def _shown(query: UsageQuery, rows: Sequence[dict[str, Any]], form: str) -> str:
    """Return rows as JSON or as a table, in which columns that are zero everywhere are left out."""
    from antiphon.access.usage_report import columns

    if form == "json":
        return json.dumps(rows, indent=2)
    if not rows:
        return "nothing was used"
    names = [
        name for name in columns(query) if name in query.groups or name == "requests" or any(row[name] for row in rows)
    ]
    cells = [[_cell(row[name]) for name in names] for row in rows]
    heads = [HEADS.get(name, name) for name in names]
    widths = [max(len(line[at]) for line in (heads, *cells)) for at in range(len(names))]
    words = [name in query.groups for name in names]
    return "\n".join(
        "  ".join(
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(line, widths, words, strict=True)
        ).rstrip()
        for line in (heads, *cells)
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value) or "-"
