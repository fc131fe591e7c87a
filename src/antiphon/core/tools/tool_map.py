"""Tool declarations ↔ functions: all that a request may offer, as functions that a model can call, and back."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count, product

import msgspec
from msgspec import Raw

from antiphon.core import kinds
from antiphon.core.async_tools import described
from antiphon.core.deltas import CallKind
from antiphon.core.programs import called_directly
from antiphon.core.request.other_items import declared_later
from antiphon.core.request.tool_decoding import decode_search, decode_tool
from antiphon.core.tools.call_names import CallNames
from antiphon.core.tools.offers import NO_PARAMETERS, about_format, input_schema
from antiphon.core.tools.offers import Offer as Offer
from antiphon.core.tools.offers import Target as Target
from antiphon.types.items import Item, OtherItem
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    NamespaceTool,
    OtherTool,
    Tool,
    ToolFormat,
)

NAME_LIMIT = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class ToolMap:
    """The functions of one Turn, in the order of their declaration; those that this server runs (`served`) stand behind them.

    Those that items bring along come last, so that the list begins as it did before.

    `ignored` names the types of declared tools that nobody runs here. `list_number` is the same and not 0 for two that offer the
    same list of functions and nothing else, where that is known.
    """

    __slots__ = (
        "_asked",
        "_deferring",
        "_index",
        "_names",
        "_run_here",
        "_targets",
        "ignored",
        "list_number",
        "offers",
        "strict",
    )

    def __init__(
        self,
        tools: Sequence[Tool] = (),
        items: Sequence[Item] = (),
        served: Iterable[Offer] = (),
        *,
        strict: bool = True,
    ) -> None:
        self.offers: dict[str, Offer] = {}
        self.ignored: list[str] = []
        self.list_number = 0
        self.strict = strict
        self._targets: dict[Target, str] = {}
        self._asked: set[tuple[object, ...]] = set()
        self._index: dict[tuple[object, ...], list[Offer]] | None = None
        self._names: CallNames | None = None
        served = list(served)
        self._run_here = {offer.target.kind for offer in served} if served else frozenset()
        self._deferring = kinds.HOSTED_TOOL_SEARCH in self._run_here
        if served or not self._declare_known(tools):
            self._deferring = self._deferring or any(map(_is_client_search, tools))
            for tool in tools:
                self._declare(tool)
            if not served:
                _remember_list(tools, self)
        for offer in served:
            self._offer(offer.target, offer.description, offer.parameters)
        if OtherItem in set(map(type, items)):  # which few histories have: a look at each item would cost more
            for item in items:
                if isinstance(item, OtherItem) and item.type in kinds.BRINGERS:
                    self._declare_later(item)

    # There

    def name_of(self, target: Target) -> str:
        """Return the function's name for a tool; also for one that is not declared, as history may name it.

        What is no name is repaired, as it is where a model calls it: models repeat what they see.
        """
        known = self._targets.get(target)
        if known is not None:
            return known
        name = full_name(target)
        offer = self.offers.get(name) or (self.meant(name) if _NOT_IN_NAMES.search(name) else None)
        if offer is not None and offer.target.kind == target.kind == kinds.FUNCTION:
            return offer.name
        return free_name(target, self.offers)

    def find(self, name: str, kind: str = "", namespace: str | None = None) -> Offer | None:
        """Return the offer that a request means by a name; without a namespace, whichever has one of that name."""
        return next(iter(self._found(kind, name, namespace)), None)

    def matching(self, kind: object, name: object, namespace: object) -> Sequence[Offer]:
        """Return all offers of a kind, a name and a namespace; "" as kind and None as the others mean any.

        What has been asked for before gives nothing more, so that a long list of wishes costs no more than what it names.
        """
        wish = (kind, name, namespace)
        if not all(part is None or isinstance(part, str) for part in wish) or kind is None or wish in self._asked:
            return ()
        self._asked.add(wish)
        return self._found(*wish)

    def _found(self, *wish: object) -> Sequence[Offer]:
        if self._index is None:
            self._index = {}
            for offer in self.offers.values():
                target = offer.target
                keys = product(("", target.kind), (None, target.name), {None, target.namespace})
                for key in keys:
                    self._index.setdefault(key, []).append(offer)
        return self._index.get(wish, ())

    def restrict(self, offers: Iterable[Offer]) -> None:
        """Offer these alone (`allowed_tools` is a hard constraint)."""
        self.offers = {offer.name: offer for offer in offers}
        self._index = self._names = None
        self.list_number = 0

    def names_of(self, tools: Sequence[Raw]) -> list[str]:
        """Return the functions' names for declared tools, of those that are offered."""
        found = (self.find(name, namespace=namespace) for raw in tools for name, namespace in _named(decode_tool(raw)))
        return [offer.name for offer in found if offer is not None]

    # Back

    def meant(self, name: str) -> Offer | None:
        """Return the offer that a model means by a name, also where it does not spell it as it was offered."""
        offer = self.offers.get(name)
        if offer is None and self.offers:
            if self._names is None:
                self._names = CallNames(self.offers.values())
            offer = self._names.find(name)
        return offer

    def meant_name(self, name: str) -> str | None:
        """Return the name of the offer that a model means, or None."""
        offer = self.meant(name)
        return offer.name if offer is not None else None

    def target(self, name: str) -> Target:
        """Return what a function stands for. One that nobody can have meant is passed on as the client's function."""
        offer = self.meant(name)
        return offer.target if offer is not None else Target(kinds.FUNCTION, name)

    # Declarations

    def _declare_known(self, tools: Sequence[Tool]) -> bool:
        """Offer a list of functions that was declared before, as it was then."""
        known = _known_lists.get((id(tools[0]), len(tools), self.strict)) if tools else None
        if known is None or known.tools != tuple(tools):
            return False
        self.offers, self._targets = known.offers.copy(), known.targets.copy()
        self.list_number = known.number
        return True

    def _declare(self, tool: Tool, *, found: bool = False) -> None:
        if isinstance(tool, FunctionTool | CustomTool):
            self._declare_client(tool, None, "", found)
        elif isinstance(tool, NamespaceTool):
            self._declare_namespace(tool, found)
        elif not called_directly(tool) and kinds.kind_of(tool.type, tool.raw).runs == "client":
            return
        elif _is_ignored(tool, self._run_here):
            if tool.type not in self.ignored:
                self.ignored.append(tool.type)
        else:
            self._declare_other(tool)

    def _declare_other(self, tool: OtherTool) -> None:
        kind = kinds.kind_of(tool.type, tool.raw)
        if kind.offer is None:
            return  # its server says what it offers
        description, parameters = kind.offer.description, kind.offer.parameters
        if tool.type == kinds.TOOL_SEARCH:
            search = decode_search(tool.raw)
            description, parameters = search.description or description, search.parameters or parameters
        self._offer(Target(kind.name, kind.name), description, parameters)

    def _declare_namespace(self, namespace: NamespaceTool, found: bool) -> None:
        about = namespace.description
        for tool in namespace.tools:
            self._declare_client(tool, namespace.name, about, found)
            about = ""

    def _declare_client(self, tool: FunctionTool | CustomTool, namespace: str | None, about: str, found: bool) -> None:
        if tool.defer_loading is True and self._deferring and not found:
            return
        if tool.allowed_callers and not called_directly(tool):
            return
        if isinstance(tool, FunctionTool) and namespace is None:
            if found and tool.defer_loading is True and kinds.HOSTED_TOOL_SEARCH in self._run_here:
                namespace = tool.name  # OpenAI's calls of a function that its own search has found name it so
            else:
                self._declare_function(tool)
                return
        description = described(tool)
        if about:
            description = f"({namespace}: {about})\n{description}"
        if isinstance(tool, CustomTool):
            format = tool.format if isinstance(tool.format, ToolFormat) else None
            text = "\n\n".join(part for part in (description, about_format(format)) if part)
            self._offer(Target(kinds.CUSTOM, tool.name, namespace), text, input_schema(format), format=format)
        else:
            target = Target(kinds.FUNCTION, tool.name, namespace)
            self._offer(target, description, tool.parameters, strict=bool(tool.strict))

    def _declare_function(self, tool: FunctionTool) -> None:
        """Offer a function that is in no namespace; the offer is made once where the same tool comes again and again."""
        known = _known_offers.get(id(tool))
        if known is not None and known.tool is tool and known.strict is self.strict:
            offer = known.offer
            if offer.target in self._targets:
                return
            if offer.name not in self.offers:
                self._targets[offer.target] = offer.name
                self._index = None
                self.list_number = 0
                self.offers[offer.name] = offer
                return
        target = Target(kinds.FUNCTION, tool.name)
        taken = len(self.offers)
        self._offer(target, described(tool), tool.parameters, strict=bool(tool.strict))
        if len(self.offers) > taken:
            name = self._targets[target]
            self.offers[name] = _remembered(tool, self.strict, self.offers[name])

    def _declare_later(self, item: OtherItem) -> None:
        for tool in declared_later(item):
            self._declare(tool, found=item.type == kinds.BY_NAME[kinds.TOOL_SEARCH].owes)

    def _offer(
        self,
        target: Target,
        description: str,
        parameters: Raw | None,
        *,
        strict: bool = False,
        format: ToolFormat | None = None,
    ) -> None:
        if target in self._targets:
            return
        schema = parameters if parameters is not None and bytes(parameters) != b"null" else NO_PARAMETERS
        name = free_name(target, self.offers)
        self._targets[target] = name
        self._index = None
        self.list_number = 0
        self.offers[name] = Offer(
            target=target,
            name=name,
            description=description,
            parameters=schema,
            strict=strict and self.strict,
            format=format,
        )


class _KnownOffer(msgspec.Struct, frozen=True):
    """A tool and its offer. The tool is kept: while it is, no other one has its identity."""

    tool: FunctionTool
    strict: bool
    offer: Offer


_known_offers: dict[int, _KnownOffer] = {}
MOST_KNOWN = 1024
LONGEST_KNOWN = 8192  # bytes of an offer that is kept


def _remembered(tool: FunctionTool, strict: bool, offer: Offer) -> Offer:
    """Keep an offer under the identity of its tool: `decode_tool` gives the same one for the same bytes."""
    size = len(offer.name) + len(offer.description) + len(bytes(offer.parameters))
    if size > LONGEST_KNOWN or offer.name != tool.name:
        return offer
    if len(_known_offers) >= MOST_KNOWN:
        _known_offers.clear()
    lasting = msgspec.structs.replace(offer, forms={})
    _known_offers[id(tool)] = _KnownOffer(tool, strict, lasting)
    return lasting


class _KnownList(msgspec.Struct, frozen=True):
    """Functions and what is offered of them. They are kept: while they are, no other ones have their identities."""

    tools: Sequence[Tool]
    offers: dict[str, Offer]
    targets: dict[Target, str]
    number: int


_numbers = count(1)
_known_lists: dict[tuple[int, int, bool], _KnownList] = {}
MOST_LISTS = 32


def _remember_list(tools: Sequence[Tool], made: ToolMap) -> None:
    """Keep what is offered of a list of functions, each of which is kept by itself."""
    known = [_known_offers.get(id(tool)) for tool in tools if type(tool) is FunctionTool]
    if (
        not tools
        or len(known) != len(tools)
        or not all(one is not None and one.offer.name in made.offers for one in known)
    ):
        return
    if len(_known_lists) >= MOST_LISTS:
        _known_lists.clear()
    made.list_number = next(_numbers)
    _known_lists[id(tools[0]), len(tools), made.strict] = _KnownList(
        tuple(tools), made.offers.copy(), made._targets.copy(), made.list_number
    )


def ignored_tools(tools: Sequence[Tool], run_here: Container[CallKind] = ()) -> list[str]:
    """Return the types of declared tools that nobody runs here (`x-antiphon-ignored`); `run_here`: kinds with a HostedTool."""
    if not tools:
        return []
    others = (tool for tool in tools if isinstance(tool, OtherTool))
    return list(dict.fromkeys(tool.type for tool in others if _is_ignored(tool, run_here)))


def _is_ignored(tool: OtherTool, run_here: Container[CallKind]) -> bool:
    """Tell whether nobody runs a tool here."""
    kind = kinds.kind_of(tool.type, tool.raw)
    return kind.offer is None and kind.runs != "server" and kind.name not in run_here


def _named(tool: Tool) -> Iterator[tuple[str, str | None]]:
    """Yield the names and namespaces of the functions and custom tools of a declaration."""
    if isinstance(tool, NamespaceTool):
        yield from ((inner.name, tool.name) for inner in tool.tools)
    elif not isinstance(tool, OtherTool):
        yield tool.name, None


def _is_client_search(tool: Tool) -> bool:
    if not isinstance(tool, OtherTool) or tool.type != kinds.TOOL_SEARCH:
        return False
    return decode_search(tool.raw).execution == "client"


def full_name(target: Target) -> str:
    """Return the name of a tool with its namespace, once where both are the same: it is in none, but was searched for."""
    own = target.namespace in (None, "", target.name)
    return target.name if own else f"{target.namespace}__{target.name}"


def free_name(target: Target, taken: Container[str]) -> str:
    """Return a name that chat backends accept: `namespace__name`, with a hash where it is too long or already taken."""
    full = full_name(target)
    name = _NOT_IN_NAMES.sub("_", full) or "_"
    if len(name) <= NAME_LIMIT and name not in taken:
        return name
    digest = blake2b(f"{target.kind}\0{full}".encode(), digest_size=4).hexdigest()
    return f"{name[: NAME_LIMIT - 9]}_{digest}"
