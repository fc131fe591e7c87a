"""Earlier calls that a server ran, as blocks of the Messages API → our items, with what the model saw of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import MCP_CALL
from antiphon.core.request.validation import decode
from antiphon.core.tools.deferred_tools import TOOL_SEARCH
from antiphon.core.tools.history import told_found
from antiphon.server.messages.blocks import BlockFields, not_null
from antiphon.types.items import FunctionCall, FunctionCallOutput, Item, OtherItem
from antiphon.types.raw import OptionalRaw, settle_nulls

LONGEST_ID = 128
USES = frozenset(("server_tool_use", "mcp_tool_use"))


class FoundPage(msgspec.Struct, frozen=True, kw_only=True):
    """A result of a web search."""

    url: str = ""
    title: str | None = None
    encrypted_content: str | None = None


class DocumentSource(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a document."""

    type: str = ""
    data: str = ""


class FetchedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A page that was fetched."""

    title: str | None = None
    source: DocumentSource = DocumentSource()


class ToolReference(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a search among tools has found."""

    tool_name: str = ""


class ResultFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of all results that are objects."""

    error_code: str = ""
    url: str = ""
    content: OptionalRaw = None
    stdout: str = ""
    stderr: str = ""
    tool_references: list[ToolReference] = []

    def __post_init__(self) -> None:
        settle_nulls(self, content=self.content)


class _Text(msgspec.Struct, frozen=True):
    text: str = ""


_pages = msgspec.json.Decoder(list[FoundPage])
_result = msgspec.json.Decoder(ResultFields)
_document = msgspec.json.Decoder(FetchedDocument)
_texts = msgspec.json.Decoder(str | list[_Text])
_object = msgspec.json.Decoder(dict[str, Any])


def earlier_call(
    use: BlockFields, result: BlockFields, path: str, seal: Callable[[str], bool], refer: Callable[[str], None]
) -> Sequence[Item]:
    """Return the items of a call and its result. `seal` tells whether a text is a seal of ours. Raises InvalidRequest."""
    input = not_null(use.input)
    given = decode(_object, input, path) if input is not None else {}
    id = use.id.partition("_")[2][:LONGEST_ID] or "0"
    content = result.content or Raw(b"null")
    if use.type == "mcp_tool_use":
        return [_mcp(use, result, f"mcp_{id}", content, path)]
    name = use.name
    if name == "web_search":
        queries = given.get("queries") or [given.get("query", "")]
        action = {"type": "search", "query": given.get("query", ""), "queries": queries}
        return [_hosted("web_search_call", f"ws_{id}", {"action": action}, _found(content, path, seal))]
    if name == "web_fetch":
        url, pattern = str(given.get("url", "")), given.get("pattern")
        action = (
            {"type": "find_in_page", "url": url, "pattern": pattern} if pattern else {"type": "open_page", "url": url}
        )
        return [_hosted("web_search_call", f"ws_{id}", {"action": action}, _fetched(content, path))]
    fields = decode(_result, content, path) if bytes(content)[:1] == b"{" else ResultFields()
    printed = "\n".join(text for text in (fields.stdout, fields.stderr) if text) or _error(fields)
    if name == "code_execution":
        code = str(given.get("code", ""))
        ran = {"code": code, "container_id": "", "outputs": []}
        return [_hosted("code_interpreter_call", f"ci_{id}", ran, (printed or "(no output)",))]
    if name.startswith(TOOL_SEARCH):
        return _search(id, given, fields, refer)
    found = [reference.tool_name for reference in fields.tool_references]
    for tool in found:
        refer(tool)
    said = printed or (f"Found: {', '.join(found)}" if found else bytes(content).decode())
    call_id = use.id[:LONGEST_ID]
    arguments = bytes(input).decode() if input is not None else "{}"
    return [
        FunctionCall(call_id=call_id, name=name or "tool", arguments=arguments),
        FunctionCallOutput(call_id=call_id, output=said),
    ]


def _search(
    id: str, given: Mapping[str, Any], fields: ResultFields, refer: Callable[[str], None]
) -> Sequence[OtherItem]:
    """Return a search among tools. What it has found is offered from now on."""
    found = [reference.tool_name for reference in fields.tool_references]
    for tool in found:
        refer(tool)
    shared = {"call_id": f"call_{id}", "execution": "server", "status": "completed"}
    call = to_json({"type": "tool_search_call", "id": f"tsc_{id}", "arguments": given, **shared})
    output = to_json({"type": "tool_search_output", "id": f"tso_{id}", "tools": [], **shared})
    told = _error(fields) or told_found(found)
    return [
        OtherItem(type="tool_search_call", raw=Raw(call), id=f"tsc_{id}"),
        OtherItem(type="tool_search_output", raw=Raw(output), id=f"tso_{id}", model_text=told),
    ]


def _hosted(type: str, id: str, fields: Mapping[str, object], seen: Sequence[str]) -> OtherItem:
    raw = to_json({"id": id, "type": type, "status": "completed", **fields})
    return OtherItem(type=type, raw=Raw(raw), id=id, seen=tuple(seen))


def _error(fields: ResultFields) -> str:
    return f"Error: {fields.error_code}" if fields.error_code else ""


def _found(content: Raw, path: str, seal: Callable[[str], bool]) -> Sequence[str]:
    """Return what the model saw of a search: seals of ours, or where another server has found it, titles and addresses."""
    if bytes(content)[:1] != b"[":
        return (_error(decode(_result, content, path)) if bytes(content)[:1] == b"{" else "Nothing was found.",)
    pages = decode(_pages, content, path)
    return [
        page.encrypted_content
        if page.encrypted_content and seal(page.encrypted_content)
        else "\n".join(text for text in (page.title, page.url) if text)
        for page in pages
    ] or ["Nothing was found."]


def _fetched(content: Raw, path: str) -> Sequence[str]:
    if bytes(content)[:1] != b"{":
        return ("Error: unavailable",)
    fields = decode(_result, content, path)
    if fields.error_code or fields.content is None:
        return (_error(fields) or "Error: unavailable",)
    document = decode(_document, fields.content, path)
    text = document.source.data if document.source.type == "text" else "(This document is not shown.)"
    return ("\n".join(part for part in (document.title, fields.url, text) if part),)


def _mcp(use: BlockFields, result: BlockFields, id: str, content: Raw, path: str) -> OtherItem:
    said = decode(_texts, content, path) if bytes(content) != b"null" else ""
    arguments = bytes(not_null(use.input) or b"{}")
    text = said if isinstance(said, str) else "\n".join(one.text for one in said)
    raw = to_json(
        {
            "id": id,
            "type": MCP_CALL,
            "status": "failed" if result.is_error else "completed",
            "server_label": use.server_name,
            "name": use.name,
            "arguments": arguments.decode(),
            "output": None if result.is_error else text,
            "error": text or "The tool failed." if result.is_error else None,
        }
    )
    return OtherItem(type=MCP_CALL, raw=Raw(raw), id=id)
