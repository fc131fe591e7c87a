"""Which model an agent gets: the one that is named, picked in a terminal, used the last time, or the first that can chat."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.cli.agents.target import CONTEXT, AgentTarget

if TYPE_CHECKING:
    from antiphon.cli.client import Client, ListedModel, ListedModels

LARGEST = 65_536
"""Bytes of the file of last choices that are read."""


OTHER_KINDS = ("embed", "bge-", "gte-", "e5-", "minilm", "rerank", "whisper", "tts", "stable-diffusion")
"""Parts of names of models that do not chat, for backends whose lists do not tell them apart."""


def chosen(models: Sequence[ListedModel], wanted: str | None, url: str, agent: str) -> ListedModel:
    """Return the model that is wanted; in a terminal it is asked for. An alias or a name that is not listed passes.

    Models that cannot chat or call tools, such as embedding models, are left out. Raises ClickException.
    """
    from antiphon.cli.client import ListedModel

    if wanted:
        return next((model for model in models if model.id == wanted), ListedModel(id=wanted))
    able = able_models(models)
    if not able:
        raise click.ClickException(f"{url} has no models at present" if not models else f"{url} has no chat model")
    last = last_choice(agent)
    default = next((number for number, model in enumerate(able, 1) if model.id == last), 1)
    if len(able) == 1 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return able[default - 1]
    for number, model in enumerate(able, 1):
        click.echo(f"{number:3}  {model.id}{_words(model)}", err=True)
    number = click.prompt("Model", type=click.IntRange(1, len(able)), default=default, err=True)
    return able[number - 1]


def able_models(models: Sequence[ListedModel]) -> Sequence[ListedModel]:
    """Return the models that an agent can use: those that call tools, else those that chat."""
    chatting = [model for model in models if model.capabilities.supports_responses]
    likely = [model for model in chatting if not any(part in model.id.lower() for part in OTHER_KINDS)]
    return [model for model in likely if model.capabilities.supports_function_calling] or likely or chatting


def target_of(client: Client, card: ListedModel, listed: ListedModels, *, key: str, model: str) -> AgentTarget:
    """Return what an agent is told of a server and a model of it."""
    catalogue = next((one for one in listed.models if one.get("slug") == card.id), {})
    return AgentTarget(
        url=client.url,
        key=key,
        model=model,
        context=card.context_length or CONTEXT,
        thinks=card.thinks,
        sees=card.capabilities.supports_image,
        card=catalogue,
    )


def last_choice(agent: str) -> str:
    """Return the model that an agent was started with the last time, "" where there was none."""
    return _choices(_file()).get(agent, "")


def remember(agent: str, model: str) -> None:
    """Keep the model of an agent for the next start; a folder that cannot be written loses it."""
    import msgspec

    path = _file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode({**_choices(path), agent: model}))


def _choices(path: Path) -> dict[str, str]:
    """Return the last model of each agent; a file that is not there or is something else has none."""
    import msgspec

    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(LARGEST), type=dict[str, str])
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _file() -> Path:
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "antiphon" / "launch.json"


def _words(model: ListedModel) -> str:
    facts = [
        f"{model.context_length:,} tokens" if model.context_length else "",
        "thinks" if model.features is not None and model.thinks else "",
        "sees images" if model.features is not None and model.capabilities.supports_image else "",
        "no tools" if not model.capabilities.supports_function_calling else "",
    ]
    told = ", ".join(fact for fact in facts if fact)
    return f"  {told}" if told else ""
