"""`antiphon conform`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from antiphon.conformance.base import Check, CheckOutcome, Mark, ServerUnderTest

COLORS = {"yes": "green", "part": "yellow", "no": "red"}


@click.command()
@click.argument("url", metavar="URL")
@click.option(
    "--api-key", envvar="ANTIPHON_CONFORM_KEY", default="", metavar="KEY", help="API key of the server under test."
)
@click.option("--model", default="", metavar="ID", help="Model that is asked.  [default: the first that is listed]")
@click.option(
    "--embedding-model",
    default="",
    metavar="ID",
    help="Model of embeddings.  [default: the first that is listed as one]",
)
@click.option("--only", multiple=True, metavar="AREA", help="Area to check, such as `streaming`. Repeatable.")
@click.option("--timeout", default=60.0, show_default=True, metavar="SECONDS", help="Longest time for one answer.")
@click.option("--seconds", default=1800.0, show_default=True, metavar="SECONDS", help="Longest time for the whole run.")
@click.option("--list", "listed", is_flag=True, help="Print what is checked and why; ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON, with the exchanges that show them.")
def conform(
    url: str,
    api_key: str,
    model: str,
    embedding_model: str,
    only: Sequence[str],
    timeout: float,
    seconds: float,
    listed: bool,
    as_json: bool,
) -> None:
    """Hold any server's answers against the APIs: Responses, chat completions, Messages, files and the rest.

    \b
    Examples:
      antiphon conform http://127.0.0.1:8080/v1
      antiphon conform http://gpu1:8000/v1 --model qwen3 --only responses --only streaming
      antiphon conform https://example.com/v1 --json > outcomes.json

    Each check asks the server for something small, and deletes what it has made. `part`: it works, and something is missing. `not
    offered`: the server says that it does not have it. The exit code is 1 when a check says no, or was not tried.
    """
    import asyncio

    from antiphon.conformance.base import Mark, ServerUnderTest
    from antiphon.conformance.table import AREAS, checks_of

    checks = checks_of(only)
    if not checks:
        raise ConfigError(f"--only: no such area. Areas: {', '.join(area.name for area in AREAS)}")
    if listed:
        for check in checks:
            click.echo(f"{check.area}, {check.name}: {check.asks}  [{check.section}]")
        return
    target = ServerUnderTest(
        url=_base(url), key=api_key, model=model, embedding_model=embedding_model, timeout=max(timeout, 0.1)
    )
    found = asyncio.run(_run(target, checks, seconds, as_json))
    if any(outcome.mark in (Mark.NO, Mark.NOT_TRIED) for outcome in found):
        raise SystemExit(1)


def _base(url: str) -> str:
    """Return a base URL: without a path, `/v1` is meant."""
    whole = url if "://" in url or url.startswith("unix:") else f"http://{url}"
    return (
        whole.rstrip("/")
        if whole.startswith("unix:") or "/" in whole.partition("://")[2].rstrip("/")
        else f"{whole.rstrip('/')}/v1"
    )


async def _run(target: ServerUnderTest, checks: Sequence[Check], seconds: float, as_json: bool) -> list[CheckOutcome]:
    from antiphon.conformance.report import details, line, summary
    from antiphon.conformance.suite import choose_models, outcomes
    from antiphon.conformance.wire import Wire

    logging.disable(logging.WARNING)  # what goes wrong is an outcome
    wire = Wire(target)
    try:
        wire.target = await choose_models(wire)
        found: list[CheckOutcome] = []
        progress = as_json or not sys.stdout.isatty()
        async for outcome in outcomes(wire, checks, seconds):
            found.append(outcome)
            if not as_json:
                click.echo(line(outcome, _painted))
            if progress and sys.stderr.isatty():
                click.echo(f"\r{len(found)} of {len(checks)} checks", nl=len(found) == len(checks), err=True)
    finally:
        await wire.close()
    if as_json:
        click.echo(_json(wire.target, found))
        return found
    for text in details(found):
        click.echo(text)
    click.echo(
        f"\n{len(found)} checks of {wire.target.url} with the model {_shown(wire.target.model)}: {summary(found)}"
    )
    return found


def _painted(mark: Mark, text: str) -> str:
    return click.style(text, fg=COLORS.get(mark, "bright_black"))


def _shown(text: str) -> str:
    from antiphon.conformance.readable import readable

    return readable(text, 100)


def _json(target: ServerUnderTest, found: Sequence[CheckOutcome]) -> str:
    import json

    import msgspec

    from antiphon import __version__
    from antiphon.config import mask

    told: dict[str, Any] = {
        "url": mask(target.url),
        "model": target.model,
        "version": __version__,
        "outcomes": msgspec.to_builtins(found),
    }
    return json.dumps(told, indent=1)
