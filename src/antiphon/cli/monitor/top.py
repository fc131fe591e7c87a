"""`antiphon top`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from antiphon.cli.options import KEY_VARIABLES

if TYPE_CHECKING:
    from antiphon.cli.client import Client
    from antiphon.cli.monitor.scrape import Scrape
    from antiphon.cli.monitor.view import Running

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the terminal's other screen, without a cursor
_HOME, _LINE_END, _BELOW = "\x1b[H", "\x1b[K\r\n", "\x1b[J"


@click.command()
@click.option("--url", default="http://127.0.0.1:8080/v1", show_default=True, metavar="URL", help="URL of the server.")
@click.option(
    "--key", envvar=KEY_VARIABLES, metavar="KEY", help="API key with the scope admin, if the server has keys."
)
@click.option("--interval", default=1.0, show_default=True, metavar="SECONDS", help="Refresh interval in seconds.")
@click.option("--once", is_flag=True, help="Measure one interval, print it and exit: for scripts.")
def top(url: str, key: str | None, interval: float, once: bool) -> None:
    """Monitor a running server: requests, tokens, times, backends.

    \b
    Examples:
      antiphon top
      antiphon top --url https://api.example.com/v1 --key "$ADMIN_KEY"
      antiphon top --once --interval 10

    Ctrl-C stops it.
    """
    from antiphon.cli.client import Client

    client = Client(url, key or "", timeout=10.0)
    if once or not sys.stdout.isatty():
        before = _scrape(client)
        time.sleep(interval)
        click.echo("\n".join(_screen(client, before, _scrape(client), color=False)))
        return
    _live(client, interval)


def _live(client: Client, interval: float) -> None:
    """Redraw until Ctrl-C."""
    before = _scrape(client)
    click.echo(_ENTER, nl=False)
    try:
        while True:
            time.sleep(interval)
            after = _scrape(client)
            _draw(_screen(client, before, after, color=True))
            before = after
    except KeyboardInterrupt:
        return
    finally:
        click.echo(_LEAVE, nl=False)


def _screen(client: Client, before: Scrape, after: Scrape, *, color: bool) -> list[str]:
    from antiphon.cli.monitor.scrape import ScrapeInterval
    from antiphon.cli.monitor.view import lines

    return lines(client.url, ScrapeInterval(before, after), _running(client), color=color)


def _draw(lines: Sequence[str]) -> None:
    import shutil

    height = shutil.get_terminal_size().lines - 1
    click.echo(_HOME + _LINE_END.join(lines[:height]) + _LINE_END + _BELOW, nl=False)


def _scrape(client: Client) -> Scrape:
    from antiphon.cli.monitor.scrape import Scrape

    return Scrape(client.get("/metrics").decode(), time.monotonic())


def _running(client: Client) -> Sequence[Running]:
    """Return the requests that run; of several processes one tells of its own."""
    import msgspec

    from antiphon.cli.monitor.view import RecentRequests
    from antiphon.errors import APIError

    try:
        return msgspec.json.decode(client.get("/admin/requests"), type=RecentRequests).running
    except (APIError, msgspec.MsgspecError, ValueError, RecursionError):
        return ()
