"""`antiphon config`: show, schema, docs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import PARTS, SERVER, load_settings, with_options

if TYPE_CHECKING:
    from antiphon.config import Settings


@click.group()
def config() -> None:
    """Show the settings, their schema, their documentation."""


@with_options(*SERVER, *PARTS)
@config.command()
def show(**given: Any) -> None:
    """Print the settings in effect and where each came from, and the proxies of the environment; keys are masked.

    \b
    Examples:
      antiphon config show
      ANTIPHON_PORT=9000 antiphon config show --config prod.toml
    """
    from antiphon.net.proxies import shown

    loaded = load_settings(given)
    click.echo(f"# file: {loaded.file or 'none'}")
    for variable, value in shown(os.environ):
        click.echo(f"# {variable}: {value}")
    rows = list(rows_of(loaded.config, loaded.origins))
    width = max(len(row) for row, _ in rows if len(row) < 60)
    for row, origin in rows:
        click.echo(f"{row:<{width}}  # {origin}")


@config.command()
def schema() -> None:
    """Print the JSON Schema of the TOML file."""
    import msgspec

    from antiphon.config import docs

    click.echo(msgspec.json.format(msgspec.json.encode(docs.schema()), indent=2))


@config.command("docs")
def docs_() -> None:
    """Print docs/configuration.md: every setting, its default, its meaning."""
    from antiphon.config import docs

    click.echo(docs.page(), nl=False)


def rows_of(settings: Settings, origins: Mapping[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """Return `key.path = value` as TOML would have it, masked, and where it came from."""
    import msgspec

    from antiphon.config import mask
    from antiphon.config.reading import quoted
    from antiphon.config.shapes import SettingKind, shapes

    values = dict(zip(settings.__struct_fields__, msgspec.structs.astuple(settings), strict=True))
    for shape in shapes(type(settings)):
        value, key = values[shape.name], f"{path}{shape.name}"
        if shape.kind is SettingKind.TABLES:
            for name, table in value.items():
                yield from rows_of(table, origins, f"{key}.{quoted(name)}.")
        elif shape.kind is SettingKind.TABLE and value is not None:
            yield from rows_of(value, origins, f"{key}.")
        elif value is not None:
            yield f"{key} = {_toml(mask(value, shape.secret))}", origins.get(key, "default")


def _toml(value: Any) -> str:
    import msgspec

    if isinstance(value, dict):
        return f"{{ {', '.join(f'{msgspec.json.encode(k).decode()} = {_toml(v)}' for k, v in value.items())} }}"
    return msgspec.json.encode(value).decode()
