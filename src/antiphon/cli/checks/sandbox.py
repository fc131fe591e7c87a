"""`antiphon doctor sandbox`: tries the sandboxes that the code interpreter may use."""

from __future__ import annotations

import click

from antiphon.composition.from_settings import make_sandboxes
from antiphon.config import Config
from antiphon.errors import AntiphonError


async def report_sandbox(config: Config) -> int:
    """Print which sandbox is used here, or why none is; return the exit code."""
    sandboxes = make_sandboxes(config.tools.code_interpreter)
    try:
        found = await sandboxes.find()
    except AntiphonError as error:
        click.echo(f"code_interpreter is off: {error}")
        return 1
    finally:
        await sandboxes.close()
    click.echo(f"{found.kind.name} holds: all probes failed, as they should")
    click.echo(f"Python {found.version} ({found.interior.python})")
    return 0
