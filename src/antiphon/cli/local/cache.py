"""Models in the caches of this machine: `antiphon pull`, `antiphon list`, `antiphon rm`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.cli.options import load_settings
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from antiphon.backends.llama.hub.local_model import LocalModel

CONFIG = click.option("--config", metavar="FILE", help="Settings file (TOML).  [default: ./antiphon.toml if it exists]")
DIGEST = 12
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""


def model_cache(config: str | None) -> Path:
    """Return the folder of downloaded models, as the settings have it. Raises ConfigError."""
    from antiphon.config import EngineConfig

    loaded = load_settings({"config": config}).config
    return Path((loaded.engine or EngineConfig()).cache).expanduser()


@click.command()
@click.argument("model", metavar="OWNER/REPO[:QUANT]")
@CONFIG
def pull(model: str, config: str | None) -> None:
    """Download a model from Hugging Face.

    Of a repository's GGUF files the one of QUANT is taken, without QUANT the usual choice (Q4_K_M where there is one), with all
    parts of a split file and the image projector. An interrupted download goes on where it ended. A model that is in
    Hugging Face's or llama.cpp's cache already is used from there. HF_TOKEN opens gated models, HF_ENDPOINT names another hub.

    \b
    Examples:
      antiphon pull Qwen/Qwen3-4B-GGUF
      antiphon pull unsloth/gemma-3-4b-it-GGUF:Q8_0
      antiphon pull hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M
    """
    fetch(model, model_cache(config))


def fetch(name: str, cache: Path) -> LocalModel:
    """Download a model and tell how it goes; return it. Exits with 1 where it cannot be had."""
    from antiphon.backends.llama.hub.local_model import OWN, matching
    from antiphon.backends.llama.hub.models import download, is_hub_name, local_models
    from antiphon.backends.llama.hub.progress import Progress, size

    if not is_hub_name(name):
        raise click.UsageError(
            f"'{name}' is not OWNER/REPO[:QUANT], such as Qwen/Qwen3-4B-GGUF: models come from Hugging Face, "
            "not from Ollama's library."
        )

    def begin(choice: object, missing: int) -> None:
        click.echo(f"pulling {name}: {size(missing)} to download into {cache}", err=True)

    try:
        download(name, cache, Progress(), begin=begin)
    except ConfigError as error:
        click.echo(f"antiphon: error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("\nantiphon: stopped; the same command goes on where it ended", err=True)
        sys.exit(STOPPED)
    found = matching(local_models(cache), name)
    assert found is not None, name
    where = "" if found.cache == OWN else f" (in the cache of {found.cache}: {found.path})"
    click.echo(f"success: {found.name}, {size(found.size)}{where}", err=True)
    return found


@click.command("list")
@CONFIG
def list_models(config: str | None) -> None:
    """List the models on this machine.

    CACHE names whose cache a model is in: what `antiphon pull` has downloaded, what Hugging Face's tools and llama.cpp have.
    `antiphon models` lists what a server serves.

    \b
    Examples:
      antiphon list
      antiphon list | awk 'NR > 1 {print $1}'
    """
    from antiphon.backends.llama.hub.models import local_models

    found = sorted(local_models(model_cache(config)), key=lambda model: -model.modified)
    click.echo("\n".join(table(found)))


def table(models: Sequence[LocalModel]) -> list[str]:
    """Return the lines of a list of models."""
    from antiphon.backends.llama.hub.progress import size

    rows = [
        (one.name, one.digest[:DIGEST] or "-", size(one.size), one.cache, _ago(time.time() - one.modified))
        for one in models
    ]
    return columns(("NAME", "ID", "SIZE", "CACHE", "MODIFIED"), rows)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows below their heads, each column as wide as its widest word."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = ("    ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return [line.rstrip() for line in lines]


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--shared", is_flag=True, help="Also delete from the caches of Hugging Face and llama.cpp.")
@CONFIG
def rm(models: Sequence[str], shared: bool, config: str | None) -> None:
    """Remove models from this machine.

    A model in Hugging Face's or llama.cpp's cache belongs to other programs, too: it is deleted with --shared only.

    \b
    Examples:
      antiphon rm Qwen/Qwen3-4B-GGUF:Q4_K_M
      antiphon rm --shared bartowski/Llama-3.2-3B-Instruct-GGUF:Q8_0
    """
    cache = model_cache(config)
    failed = [name for name in models if not _remove(name, cache, shared=shared)]
    if failed:
        sys.exit(1)


def _remove(name: str, cache: Path, *, shared: bool) -> bool:
    from antiphon.backends.llama.hub.local_model import OWN, matching
    from antiphon.backends.llama.hub.models import local_models, remove, remove_unfinished
    from antiphon.backends.llama.hub.progress import size
    from antiphon.backends.llama.hub.shared_caches import remove_shared

    found = matching(local_models(cache), name)
    if found is None:
        freed = remove_unfinished(name, cache)
        if freed:
            click.echo(f"deleted an unfinished download of '{name}' ({size(freed)})")
        else:
            click.echo(f"antiphon: error: model '{name}' not found; see `antiphon list`", err=True)
        return bool(freed)
    if found.cache != OWN and not shared:
        click.echo(
            f"antiphon: error: {found.name} is in the cache of {found.cache} ({found.path}), which other programs use; "
            "--shared deletes it there",
            err=True,
        )
        return False
    freed = remove(found, cache) if found.cache == OWN else remove_shared(found)
    click.echo(f"deleted '{found.name}' ({size(freed)})")
    return True


def _ago(seconds: float) -> str:
    """Return how long ago something was, as people say it."""
    for name, unit in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"
