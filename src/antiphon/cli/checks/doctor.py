"""`antiphon doctor`."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from antiphon.cli.checks.check import report, through
from antiphon.cli.options import load_settings

if TYPE_CHECKING:
    from antiphon.cli.checks.diagnosis import Diagnosis
    from antiphon.config import BackendConfig, Config

REACH = {"key_header": "auto", "proxy": "", "ca": "", "client_cert": "", "client_key": ""}
"""How a backend is reached, beside its URL and key: settings and their defaults."""


@click.command()
@click.argument("backend", metavar="[NAME=]URL|NAME")
@click.option("--key", envvar="ANTIPHON_BACKEND_KEY", default="", metavar="KEY", help="API key of the backend.")
@click.option(
    "--api",
    type=click.Choice(["chat", "responses", "anthropic"]),
    help="API that the backend speaks.  [default: by its URL, else chat]",
)
@click.option("--model", "models", multiple=True, metavar="ID", help="Model to examine. Repeatable.  [default: first]")
@click.option("--config", metavar="FILE", help="Settings file that has NAME.  [default: ./antiphon.toml]")
@click.option("--write", metavar="FILE", help="Write the settings to a new file instead of stdout.")
def doctor(
    backend: str, key: str, api: str | None, models: Sequence[str], config: str | None, write: str | None
) -> None:
    """Examine a backend, and print the settings that describe it.

    \b
    Examples:
      antiphon doctor http://127.0.0.1:8000/v1
      antiphon doctor gpu1=http://gpu1:8000/v1 --model Qwen/Qwen3-32B --write antiphon.toml
      antiphon doctor gpu1 --config prod.toml

    Findings are printed to stderr. The exit code is 1 when the backend cannot be used.
    """
    import asyncio

    name, target = find(backend, key, api, config)
    backend_config = target.backends[name]
    click.echo(f"{name}{through(backend_config)}", err=True)
    profile, found = asyncio.run(examine(name, target, models))
    if not found:
        raise SystemExit(1)
    text = described(name, backend_config, profile, found)
    if write is None:
        click.echo(text, nl=False)
        return
    save(write, text)
    click.echo(f"\nwritten to {write}", err=True)


def find(backend: str, key: str, api: str | None, config: str | None) -> tuple[str, Config]:
    """Return a backend's name, and the settings in which it stands. Raises ConfigError."""
    from antiphon.errors import ConfigError

    by_url = "://" in backend or backend.rpartition("=")[2].startswith("unix:/")
    given = (
        {"backend": (backend,), "backend_key": (key,) if key else (), "backend_api": (api,) if api else ()}
        if by_url
        else {}
    )
    settings = load_settings({**given, "config": config}).config
    known = settings.backends
    if by_url:
        from antiphon.config.shortcuts import backend_tables

        backend = next(iter(backend_tables([backend], [], [], "doctor")))
    if backend not in known:
        raise ConfigError(f"Unknown backend '{backend}'. Configured: {', '.join(known) or 'none'}.")
    return backend, settings


async def examine(name: str, config: Config, wanted: Sequence[str]) -> tuple[str, Sequence[Diagnosis]]:
    """Examine models, printing as it goes; return the profile, and what is known of the models that can be used."""
    from antiphon.backends.base import BackendModel
    from antiphon.backends.chat.backend import ChatBackend
    from antiphon.backends.chat.leak_families import configured_families
    from antiphon.backends.chat.profiles import configured_profiles
    from antiphon.backends.open import open_backend
    from antiphon.cli.checks.diagnosis import diagnose
    from antiphon.cli.checks.probes import Finding, one_line
    from antiphon.config import ModelConfig
    from antiphon.errors import APIError

    logging.disable(logging.WARNING)  # what is learned is a finding
    untouched = {model: ModelConfig(think="off") for model in wanted}
    known = configured_profiles(config.profiles)
    families = configured_families(config.leaks)
    backend = open_backend(name, config.backends[name], untouched, known=known, families=families)
    try:
        listed = {model.id: model for model in await backend.models()}
        if not wanted and listed:
            await backend.close()
            return await examine(name, config, list(listed)[:1])
        names = ", ".join(list(listed)[:8]) + (" …" if len(listed) > 8 else "")
        report([Finding("models", bool(listed), names or "it lists none; name one with --model")], err=True)
        found = []
        for id in wanted:
            click.echo(f"\n{id}", err=True)
            found.append(await diagnose(backend, listed.get(id, BackendModel(id=id))))
            report(found[-1].findings, err=True)
        profile = backend.profile.name if isinstance(backend, ChatBackend) else ""
        return profile, [one for one in found if one.usable]
    except APIError as error:
        report([Finding("models", False, one_line(error.message))], err=True)
        return "", ()
    finally:
        await backend.close()


def described(name: str, config: BackendConfig, profile: str, found: Sequence[Diagnosis]) -> str:
    """Return the TOML that describes a backend and its models; a key stands there as a variable."""
    from antiphon.backends.chat.profiles import PROFILES
    from antiphon.cli.checks.diagnosis import SettingLine, profile_settings, settings, toml
    from antiphon.config import mask
    from antiphon.config.reading import quoted

    backend = [SettingLine("url", mask(config.url))]
    if config.key:
        backend.append(SettingLine("key", f"${{{re.sub('[^A-Z0-9]', '_', name.upper())}_KEY}}"))
    for setting, usual in REACH.items():
        if (value := getattr(config, setting)) != usual:
            backend.append(SettingLine(setting, mask(value)))
    if config.api != "chat":
        backend.append(SettingLine("api", config.api))
    own = profile_settings(found, profile) if profile in PROFILES else []
    if profile:
        backend.append(SettingLine("profile", f"{name}-{profile}" if own else profile))
    profiles = [(f"profiles.{quoted(f'{name}-{profile}')}", own)] if own else []
    models = [(f"models.{quoted(one.model.id)}", list(settings(one, name))) for one in found]
    return toml([*profiles, (f"backends.{quoted(name)}", backend), *models])


def save(file: str, text: str) -> None:
    """Write a new file. Raises ConfigError where there is one."""
    from pathlib import Path

    from antiphon.errors import ConfigError

    try:
        with Path(file).open("x") as new:
            new.write(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
