"""`antiphon keys`: create, list, revoke, rotate."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from antiphon.cli.options import load_settings, with_options

if TYPE_CHECKING:
    from antiphon.access.audit import Actor
    from antiphon.access.keys import Key, Keyring, Made
    from antiphon.config import Config

T = TypeVar("T")

_SPAN = re.compile(r"(\d+)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

STORE = (
    click.Option(["--store"], metavar="PATH|URL", help="Store of the server.  [default: as for `antiphon serve`]"),
    click.Option(["--config"], metavar="FILE", help="Settings file (TOML).  [default: ./antiphon.toml if it exists]"),
)


class TimeSpan(click.ParamType[Any]):
    """A time span such as 30d, as seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = _SPAN.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is not a time span such as 30m, 24h, 90d or 4w", param, ctx)
        return float(int(found[1]) * _SECONDS[found[2]])


class ScopeName(click.ParamType[Any]):
    """A scope."""

    name = "scope"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        from antiphon.access.caller import SCOPES

        if value not in SCOPES:
            self.fail(f"'{value}' is not one of {', '.join(SCOPES)}.", param, ctx)
        return str(value)


class LimitText(click.ParamType[Any]):
    """A limit, in one spelling."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from antiphon.access.caller import parse_limit

        try:
            return str(parse_limit(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def keys() -> None:
    """Create and manage API keys in the server's store.

    A running server notices changes within seconds, without a restart.
    """


@with_options(*STORE)
@keys.command()
@click.option("--name", default="", metavar="TEXT", help="Name of the key.")
@click.option(
    "--owner",
    default="",
    metavar="NAME",
    help="Owner of the objects made with the key; keys of one owner share them.  [default: a new owner]",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=ScopeName(),
    metavar="SCOPE",
    help="Scope of the key: responses, chat, read, admin, tools, or one hosted tool such as web_search. Repeatable."
    "  [default: responses, chat, tools]",
)
@click.option("--model", "models", multiple=True, metavar="PATTERN", help="Allowed models. Repeatable.  [default: all]")
@click.option(
    "--mcp-server",
    "mcp_servers",
    multiple=True,
    metavar="PATTERN",
    help="Allowed MCP servers, by label or URL. Repeatable.  [default: all]",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    type=LimitText(),
    metavar="LIMIT",
    help="Rate limit or budget, such as '60 requests/min', '100000 tokens/min', '4 streams', '20 cost/month',"
    " '10 requests/min on gpt-*', '600 code_seconds/day'. Repeatable.",
)
@click.option(
    "--expires", type=TimeSpan(), metavar="SPAN", help="Time until the key expires, such as 90d.  [default: never]"
)
def create(expires: float | None, **given: Any) -> None:
    """Create an API key. It is shown only once: the store has only its digest.

    \b
    Examples:
      antiphon keys create --name laptop
      antiphon keys create --owner team-a --limit '60 requests/min' --limit '2000000 tokens/day' --expires 90d
      antiphon keys create --scope read --model 'hypernova-*'
    """
    import time

    from antiphon.access.keys import Rights

    rights, settings = _split(given, Rights.__struct_fields__)
    rights["scopes"] = rights["scopes"] or Rights().scopes
    _check_limits(rights["limits"])
    wanted = Rights(**rights, expires_at=None if expires is None else time.time() + expires)
    _show(_on_store(settings, lambda keyring: keyring.create(wanted, this_person())))


@with_options(*STORE)
@keys.command("list")
@click.option("--all", "everything", is_flag=True, help="Include revoked and expired keys.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
def list_(everything: bool, as_json: bool, **settings: Any) -> None:
    """List API keys, oldest first."""
    import time

    import msgspec

    now = time.time()
    found = [key for key in _on_store(settings, _all) if everything or key.state(now) == "active"]
    if as_json:
        for key in found:
            click.echo(msgspec.json.encode(key).decode())
        return
    click.echo("\n".join(table(found, now)) if found else "No keys. Create one with `antiphon keys create`.")


async def _all(keyring: Keyring) -> Sequence[Key]:
    return await keyring.list()


@with_options(*STORE)
@keys.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
def revoke(ids: Sequence[str], **settings: Any) -> None:
    """Revoke keys immediately."""

    async def revoke_all(keyring: Keyring) -> None:
        for id in ids:
            await keyring.revoke(id, this_person())
            click.echo(f"{id} is revoked.")

    _on_store(settings, revoke_all)


@with_options(*STORE)
@keys.command()
@click.argument("id")
@click.option(
    "--overlap",
    type=TimeSpan(),
    default="24h",
    metavar="SPAN",
    help="Time that the old key stays valid.  [default: 24h]",
)
def rotate(id: str, overlap: float, **settings: Any) -> None:
    """Replace a key by a new one with the same owner, scopes and limits; both share one count."""
    made = _on_store(settings, lambda keyring: keyring.rotate(id, overlap, this_person()))
    _show(made)
    click.echo(f"{id} ends in {overlap / 3600:g} hours." if overlap else f"{id} has ended.", err=True)


def table(found: Sequence[Key], now: float) -> list[str]:
    """Return the lines of a table."""
    rows = [("ID", "KEY", "NAME", "OWNER", "STATE", "SCOPES", "MODELS", "MCP", "LIMITS")]
    for key in found:
        models, servers = ", ".join(key.models) or "all", ", ".join(key.mcp_servers) or "all"
        known = (key.id, f"…{key.hint}", key.name or "-", key.owner, _state(key, now), ",".join(key.scopes))
        rows.append((*known, models, servers, ", ".join(key.limits) or "none"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _state(key: Key, now: float) -> str:
    from datetime import UTC, datetime

    state = key.state(now)
    if state != "active" or key.expires_at is None:
        return state
    return f"until {datetime.fromtimestamp(key.expires_at, UTC):%Y-%m-%d %H:%M}"


def _show(made: Made) -> None:
    """Print the key alone on stdout, so that a script can take it, and the rest beside it."""
    key = made.key
    click.echo(f"id {key.id}, owner {key.owner}. The key is shown only this once:", err=True)
    click.echo(made.secret)


def _check_limits(limits: Sequence[str]) -> None:
    from antiphon.access.caller import parse_limits

    try:
        parse_limits(limits)
    except ValueError as error:
        raise click.UsageError(f"--limit: {error}") from None


def _split(given: dict[str, Any], names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options with these names, and the others."""
    mine = {name: value for name, value in given.items() if name in names}
    return mine, {name: value for name, value in given.items() if name not in names}


def _on_store(settings: dict[str, Any], action: Callable[[Keyring], Awaitable[T]]) -> T:
    """Do something with the keys of the store that the settings mean. Raises ConfigError."""
    import asyncio

    from antiphon.errors import APIError, ConfigError

    config = load_settings(settings).config
    if config.store == "memory":
        raise ConfigError('store: "memory" cannot hold keys; set a file or a database')
    try:
        return asyncio.run(_with_keyring(config, action))
    except APIError as error:
        if error.status == 503:
            raise
        raise ConfigError(f"{error} See `antiphon keys list --all`.") from None


async def _with_keyring(config: Config, action: Callable[[Keyring], Awaitable[T]]) -> T:
    from antiphon.composition.access import AccessParts
    from antiphon.stores.open import open_store

    store = open_store(config.store)
    try:
        return await action(AccessParts(store, config).keyring)
    finally:
        await store.close()


def this_person() -> Actor:
    """Return who types the command, for the audit log."""
    import getpass
    import socket

    from antiphon.access.audit import Actor

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return Actor(id=f"cli:{user}@{socket.gethostname()}")
