"""The one table of kinds of tools and items: what declares them, what a model is offered, who runs them, their items.

All else that has to know what kinds there are asks here. A tool of a kind that is not in the table brings its row along
(`register`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from msgspec import Raw

from antiphon.core.deltas import CallKind
from antiphon.core.kind import ItemType, Kind
from antiphon.core.programs import PROGRAM, PROGRAM_OUTPUT, PROGRAMMATIC
from antiphon.core.stream.hosted_tool_writers import CodeCallWriter, FileSearchWriter, WebSearchWriter
from antiphon.core.stream.hosted_writers import HostedCallWriter
from antiphon.core.stream.program_writers import ProgramOutputWriter, ProgramWriter
from antiphon.core.stream.search_writers import FoundToolsWriter, HostedSearchWriter
from antiphon.core.stream.shell_writers import HostedShellWriter, ShellOutputWriter
from antiphon.core.stream.tool_writers import McpCallWriter, StructuredCallWriter
from antiphon.core.stream.writers import CallWriter
from antiphon.core.tools import call_items
from antiphon.core.tools.deferred_tools import HOSTED_TOOL_SEARCH as HOSTED_TOOL_SEARCH
from antiphon.core.tools.deferred_tools import TOOL_SEARCH as TOOL_SEARCH
from antiphon.core.tools.deferred_tools import searched_here
from antiphon.core.tools.environments import HOSTED_SHELL, SHELL, in_container
from antiphon.core.tools.history import (
    ReadItem,
    call_reader,
    hosted_reader,
    read_found_tools,
    read_output,
    read_picture,
    read_program,
    read_program_output,
    read_search_call,
    read_server_call,
    read_shell_call,
    read_web_search,
)
from antiphon.core.tools.offers import Suggestion
from antiphon.core.tools.results import Included

FUNCTION = "function"
CUSTOM = "custom"
NAMESPACE = "namespace"
MCP = "mcp"
MCP_CALL = "mcp_call"
MCP_LISTING = "mcp_list_tools"
MCP_LISTING_PREFIX = "mcpl"
APPROVAL_REQUEST = "mcp_approval_request"
APPROVAL_REQUEST_PREFIX = "mcpr"
APPROVAL_RESPONSE = "mcp_approval_response"

KINDS: tuple[Kind, ...] = (
    Kind(
        name=FUNCTION,
        declared=(FUNCTION,),
        own_struct=True,
        named=True,
        call="function_call",
        arguments="arguments",
        owes="function_call_output",
        items=(
            ItemType(type="function_call", prefix="fc", own=True),
            ItemType(type="function_call_output", prefix="fco", own=True),
        ),
        write=CallWriter,
        in_programs=True,
    ),
    Kind(
        name=CUSTOM,
        declared=(CUSTOM,),
        own_struct=True,
        named=True,
        call="custom_tool_call",
        arguments="input",
        owes="custom_tool_call_output",
        items=(
            ItemType(type="custom_tool_call", prefix="ctc", own=True),
            ItemType(type="custom_tool_call_output", prefix="ctco", own=True),
        ),
        write=CallWriter,
        in_programs=True,
    ),
    Kind(name=NAMESPACE, declared=(NAMESPACE,), own_struct=True),
    Kind(
        name=SHELL,
        declared=(SHELL,),
        secretive=True,
        offer=Suggestion("Runs shell commands and returns their output.", call_items.SHELL_SCHEMA),
        call="shell_call",
        owes="shell_call_output",
        items=(
            ItemType(type="shell_call", prefix="sh", read=read_shell_call),
            ItemType(type="shell_call_output", prefix="sho", read=read_output),
        ),
        write=partial(StructuredCallWriter, build=call_items.shell_call),
        hosted=HOSTED_SHELL,
        is_hosted=in_container,
        in_programs=True,
    ),
    Kind(
        name=HOSTED_SHELL,
        runs="hosted",
        call="shell_call",
        prefix="sh",
        output="shell_call_output",
        serve=HostedShellWriter,
        serve_output=ShellOutputWriter,
        meters=("code_seconds", "stored_bytes"),
        in_programs=True,
    ),
    Kind(
        name="local_shell",
        declared=("local_shell",),
        offer=Suggestion("Runs a program on the user's machine and returns its output.", call_items.LOCAL_SHELL_SCHEMA),
        call="local_shell_call",
        owes="local_shell_call_output",
        items=(
            ItemType(type="local_shell_call", prefix="lsh", read=call_reader("action")),
            ItemType(type="local_shell_call_output", read=read_output),
        ),
        write=partial(StructuredCallWriter, build=call_items.local_shell_call),
    ),
    Kind(
        name="apply_patch",
        declared=("apply_patch",),
        offer=Suggestion("Creates, updates or deletes one file by a diff.", call_items.APPLY_PATCH_SCHEMA),
        call="apply_patch_call",
        owes="apply_patch_call_output",
        items=(
            ItemType(type="apply_patch_call", prefix="apc", read=call_reader("operation")),
            ItemType(type="apply_patch_call_output", read=read_output),
        ),
        write=partial(StructuredCallWriter, build=call_items.apply_patch_call),
        in_programs=True,
    ),
    Kind(
        name=TOOL_SEARCH,
        declared=(TOOL_SEARCH,),
        offer=Suggestion(
            "Searches for further tools that are not listed here. Those found can be called afterwards.",
            call_items.QUERY_SCHEMA,
        ),
        call="tool_search_call",
        owes="tool_search_output",
        items=(
            ItemType(type="tool_search_call", prefix="tsc", read=read_search_call),
            ItemType(type="tool_search_output", prefix="tso", brings=True, read=read_found_tools),
        ),
        write=partial(StructuredCallWriter, build=call_items.tool_search_call),
        hosted=HOSTED_TOOL_SEARCH,
        is_hosted=searched_here,
    ),
    Kind(
        name=HOSTED_TOOL_SEARCH,
        runs="hosted",
        call="tool_search_call",
        prefix="tsc",
        output="tool_search_output",
        serve=HostedSearchWriter,
        serve_output=FoundToolsWriter,
    ),
    Kind(
        name=MCP,
        runs="server",
        declared=(MCP,),
        secretive=True,
        call=MCP_CALL,
        owes=APPROVAL_RESPONSE,
        owed_for=APPROVAL_REQUEST,
        owed_by="id",
        items=(
            ItemType(type=MCP_CALL, prefix="mcp", read=read_server_call),
            ItemType(type=MCP_LISTING, prefix=MCP_LISTING_PREFIX),
            ItemType(type=APPROVAL_REQUEST, prefix=APPROVAL_REQUEST_PREFIX),
            ItemType(type=APPROVAL_RESPONSE),
        ),
        serve=McpCallWriter,
        in_programs=True,
    ),
    Kind(
        name="web_search",
        runs="hosted",
        declared=(
            "web_search",
            "web_search_2025_08_26",
            "web_search_preview",
            "web_search_preview_2025_03_11",
        ),
        call="web_search_call",
        items=(ItemType(type="web_search_call", prefix="ws", read=read_web_search),),
        serve=WebSearchWriter,
        begins="searching",
        hidden=(
            Included("web_search_call.action.sources", ("action", "sources"), dropped=True),
            Included("web_search_call.results", ("results",), dropped=True),
        ),
        meters=("searches",),
        in_programs=True,
    ),
    Kind(
        name="file_search",
        runs="hosted",
        declared=("file_search",),
        call="file_search_call",
        items=(
            ItemType(
                type="file_search_call", prefix="fs", read=hosted_reader("file_search", ("queries",), results="results")
            ),
        ),
        serve=FileSearchWriter,
        begins="searching",
        hidden=(Included("file_search_call.results", ("results",)),),
        in_programs=True,
    ),
    Kind(
        name="code_interpreter",
        runs="hosted",
        declared=("code_interpreter",),
        secretive=True,
        call="code_interpreter_call",
        items=(
            ItemType(
                type="code_interpreter_call", prefix="ci", read=hosted_reader("python", ("code",), results="outputs")
            ),
        ),
        serve=CodeCallWriter,
        begins="interpreting",
        hidden=(Included("code_interpreter_call.outputs", ("outputs",)),),
        meters=("code_seconds", "stored_bytes"),
        in_programs=True,
    ),
    Kind(
        name="image_generation",
        runs="hosted",
        declared=("image_generation",),
        call="image_generation_call",
        items=(ItemType(type="image_generation_call", prefix="ig", read=read_picture),),
        serve=partial(HostedCallWriter, type="image_generation_call", opening={"result": None}, cut="failed"),
        begins="generating",
        meters=("images",),
        in_programs=True,
    ),
    Kind(
        name=PROGRAMMATIC,
        runs="hosted",
        declared=(PROGRAMMATIC,),
        call=PROGRAM,
        output=PROGRAM_OUTPUT,
        items=(
            ItemType(type=PROGRAM, prefix="cm", read=read_program),
            ItemType(type=PROGRAM_OUTPUT, prefix="cmo", read=read_program_output),
        ),
        serve=ProgramWriter,
        serve_output=ProgramOutputWriter,
        meters=("code_seconds",),
    ),
    Kind(
        name="computer",
        declared=("computer", "computer_use_preview", "computer_use"),
        call="computer_call",
        owes="computer_call_output",
        items=(
            ItemType(type="computer_call", prefix="cu", untold=True),
            ItemType(type="computer_call_output", untold=True),
        ),
    ),
)

ITEM_TYPES: tuple[ItemType, ...] = (
    ItemType(type="message", prefix="msg", own=True),
    ItemType(type="reasoning", prefix="rs", own=True),
    ItemType(type="item_reference", own=True),
    ItemType(type="additional_tools", brings=True),
    ItemType(type="configuration_update"),
    ItemType(type="compaction", prefix="cmp", sealed=True, untold=True),
    ItemType(type="compaction_summary", sealed=True, untold=True),
    ItemType(type="compaction_trigger"),
    ItemType(type="agent_message", prefix="amsg", untold=True),
    ItemType(type="multi_agent_call", prefix="mac", untold=True),
    ItemType(type="multi_agent_call_output", prefix="maco", untold=True),
)
"""Types of items that no tool makes."""


def _item_types(kinds: Iterable[Kind]) -> Iterator[tuple[Kind, ItemType]]:
    return ((kind, item) for kind in kinds for item in kind.items)


OTHER_TOOL_TYPES = frozenset(type for kind in KINDS if not kind.own_struct for type in kind.declared)
"""Every further type of tool of OpenAI's document of 2026-08-21: accepted, kept as it came."""

OTHER_ITEM_TYPES = frozenset(
    item.type for item in (*ITEM_TYPES, *(item for _, item in _item_types(KINDS))) if not item.own
)
"""Every further input item type of that document and of its newer client packages: accepted from clients, never a 400."""

# What is there now, with the kinds that were registered.

BY_NAME: dict[CallKind, Kind] = {kind.name: kind for kind in KINDS}
"""Name → kind."""

BY_DECLARATION: dict[str, Kind] = {type: kind for kind in KINDS for type in kind.declared}
"""Type of a declared tool → kind."""

ITEMS: dict[str, ItemType] = {
    **{item.type: item for item in ITEM_TYPES},
    **{item.type: item for _, item in _item_types(KINDS)},
}
"""Type → all that is known of items of it."""

READERS: dict[str, tuple[Kind, ReadItem]] = {
    item.type: (kind, item.read) for kind, item in _item_types(KINDS) if item.read is not None
}
"""Type of an item → its kind and its reader."""

NAMED = frozenset(kind.name for kind in KINDS if kind.named)
"""Kinds of which a choice names one tool among several."""

SECRETIVE = frozenset(type for kind in KINDS if kind.secretive for type in kind.declared)
"""Types of tools whose declarations may hold secrets."""

BRINGERS = frozenset(item.type for item in ITEMS.values() if item.brings)
"""Types of items whose `tools` are declarations like a request's own."""

SEALED = frozenset(item.type for item in ITEMS.values() if item.sealed)
"""Types of items that hold a sealed summary."""

UNTOLD = frozenset(item.type for item in ITEMS.values() if item.untold)
"""Types of items of which a chat model is told nothing; sealed ones are told where this server has opened them."""

PARTED = frozenset(item.type for item in ITEM_TYPES if item.own and item.prefix)
"""Types of items that consist of parts: messages and thoughts."""

OWN_PREFIXES = {item.type: item.prefix for item in ITEMS.values() if item.own and item.prefix}
"""Type of an item that has a struct of its own → prefix of its ids."""

STREAMED = {kind.call: kind.arguments for kind in KINDS if kind.arguments}
"""Type of a client's call → the field that its text streams into."""

OWED = {kind.owed_for or kind.call: kind for kind in KINDS if kind.owes}
"""Type of an item that asks the client for something → its kind."""


CALLED: dict[str, Kind] = {kind.call: kind for kind in KINDS if kind.call}
"""Type of the item that a call is → its kind; of two kinds with such items that which this server runs."""

OWN_CALLERS = {kind.call for kind in KINDS if kind.in_programs and kind.serve is not None and not kind.output} | {
    APPROVAL_REQUEST
}
"""Types of items in which only this server tells the program that made a call."""

OUTPUTS = frozenset(kind.output for kind in KINDS if kind.output)
"""Types of items that hold what a hosted tool gave."""

RESULTS = OUTPUTS | {kind.owes for kind in KINDS if kind.owes}
"""Types of items that hold what a tool gave, or what a client decided, whoever runs the tool."""


def kind_of(type: str, declaration: Raw) -> Kind:
    """Return the kind of a declared tool: of a shell, or a search among tools, it says whether this server runs it."""
    kind = BY_DECLARATION[type]
    return BY_NAME[kind.hosted] if kind.is_hosted is not None and kind.is_hosted(declaration) else kind


def is_other_tool(type: str) -> bool:
    """Tell whether a type of tool is one that has no struct, and is kept as it came."""
    kind = BY_DECLARATION.get(type)
    return kind is not None and not kind.own_struct


def is_other_item(type: str) -> bool:
    """Tell whether a type of item is one that has no struct, and is kept as it came."""
    item = ITEMS.get(type)
    return item is not None and not item.own


def has_model_text(type: str) -> bool:
    """Tell whether what the model sees of an item of a type is kept beside it."""
    found = READERS.get(type)
    return found is not None and (found[0].runs == "hosted" or type in OUTPUTS)


def register(kind: Kind) -> None:
    """Add the row of a kind that the table does not have. Raises ValueError where a name or a type is taken by another one."""
    known = BY_NAME.get(kind.name)
    if known is kind:
        return
    types = [item.type for item in kind.items]
    if known or any(type in BY_DECLARATION for type in kind.declared) or any(type in ITEMS for type in types):
        raise ValueError(f"The kind '{kind.name}', or a type of its tools or items, is there already.")
    BY_NAME[kind.name] = kind
    CALLED[kind.call] = kind
    BY_DECLARATION.update(dict.fromkeys(kind.declared, kind))
    ITEMS.update({item.type: item for item in kind.items})
    READERS.update({item.type: (kind, item.read) for item in kind.items if item.read is not None})
