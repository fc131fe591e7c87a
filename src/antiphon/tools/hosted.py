"""Hosted tools that a program brings along: `hosted_kind` describes one, `by_kind` checks and registers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from antiphon.core.kind import ItemType, Kind
from antiphon.core.kinds import register
from antiphon.core.stream.hosted_writers import HostedCallWriter
from antiphon.core.tools.history import hosted_reader
from antiphon.errors import ConfigError
from antiphon.tools.base import HostedTool


def hosted_kind(
    name: str,
    *,
    prefix: str,
    opening: Mapping[str, object],
    arguments: Sequence[str],
    declared: Sequence[str] = (),
    meters: Sequence[str] = (),
) -> Kind:
    """Return the kind of a hosted tool whose calls are items of the type `NAME_call`.

    Requests declare it as `{"type": NAME}`, or by one of `declared`. `prefix` begins the ids of its items. `opening` are an
    item's own fields before there is a result, with their values until then. `arguments` are those of the fields that the
    model's call consists of: in a later turn the model sees the call by them. The model calls a function `NAME`. `meters` are the
    units of keys' limits that its calls may use (`HostedUse.demand`).
    """
    call = f"{name}_call"
    return Kind(
        name=name,
        runs="hosted",
        declared=tuple(declared) or (name,),
        call=call,
        items=(ItemType(type=call, prefix=prefix, read=hosted_reader(name, arguments)),),
        serve=partial(HostedCallWriter, type=call, opening=opening),
        meters=tuple(meters),
        in_programs=True,
    )


def by_kind(tools: Iterable[HostedTool]) -> dict[str, HostedTool]:
    """Register the kinds of tools, and return each tool by its kind's name. Raises ConfigError."""
    found: dict[str, HostedTool] = {}
    for tool in tools:
        name = tool.kind.name
        if name in found:
            raise ConfigError(f"hosted tools: two are of the kind '{name}'.")
        if tool.kind.runs != "hosted" or tool.kind.serve is None:
            raise ConfigError(f"hosted tools: the kind '{name}' is not one of a hosted tool; make it with hosted_kind.")
        try:
            register(tool.kind)
        except ValueError as error:
            raise ConfigError(f"hosted tools: {error}") from None
        found[name] = tool
    return found
