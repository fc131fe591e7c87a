"""Kind and ItemType: what the table of kinds (`core/kinds`) says of a kind of tool and of its items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Raw
from msgspec.structs import force_setattr

from antiphon.core.deltas import CallKind
from antiphon.core.stream.tool_writers import ServeCall, WriteCall
from antiphon.core.tools.history import ReadItem
from antiphon.core.tools.offers import Suggestion
from antiphon.core.tools.results import Included

Runner = Literal["client", "server", "hosted"]
"""Who runs a kind's calls: the client; this server, wherever it is declared; this server, where a HostedTool is there for it."""


class ItemType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of item.

    `prefix` begins the ids of those that are made here. `own`: it has a struct in `types.items`; any other is kept as it came.
    `brings`: its `tools` are declarations like a request's own. `sealed`: it holds a summary that only a server can open.
    `read` gives the calls and outputs in it, for the history of a chat model; of one that is `untold` it sees nothing.
    """

    type: str
    prefix: str = ""
    own: bool = False
    brings: bool = False
    sealed: bool = False
    untold: bool = False
    read: ReadItem | None = None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of tool.

    `name` is that of its calls (`CallStart.kind`, `Target.kind`). `declared` are the types of tools that declare it; with
    `own_struct` they have one in `types.tools`. `named`: a choice names one of several such tools. `secretive`: a declaration
    may hold secrets. `offer` is what a chat model is offered where the declaration says nothing else.

    `call` is the type of the item that a call is, `prefix` begins the ids of those (it is taken from `items`), and
    `arguments` is the field that a call's text streams into. The client owes an item of type `owes` for one of type
    `owed_for` (the call, where it is ""), which it names by the field `owed_by`. `items` are all types of items.

    `write` makes the writer of a call that the client runs, `serve` that of one which this server runs. Where `serve_output` is
    there, too, the call's item ends with its arguments, and its result is an item of its own, of the type `output`.
    `begins` is the event that tells that it runs, `hidden` what of its items a client sees only by `include`. `hosted` is the
    kind of those declarations of this one's types that the server runs, as `is_hosted` tells (`kind_of`). `meters` are the units
    of limits that its calls may use. `in_programs`: programs may call it.
    """

    name: CallKind
    runs: Runner = "client"
    declared: tuple[str, ...] = ()
    own_struct: bool = False
    named: bool = False
    secretive: bool = False
    offer: Suggestion | None = None
    call: str = ""
    arguments: str = ""
    owes: str = ""
    owed_for: str = ""
    owed_by: str = "call_id"
    items: tuple[ItemType, ...] = ()
    prefix: str = ""
    write: WriteCall | None = None
    serve: ServeCall | None = None
    serve_output: ServeCall | None = None
    output: str = ""
    begins: str = ""
    hosted: CallKind = ""
    is_hosted: Callable[[Raw], bool] | None = None
    hidden: tuple[Included, ...] = ()
    meters: tuple[str, ...] = ()
    in_programs: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "prefix", next((item.prefix for item in self.items if item.type == self.call), self.prefix))
