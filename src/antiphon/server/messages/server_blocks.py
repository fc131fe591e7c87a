"""Calls that this server runs, as blocks of the Messages API: one for the call, one for what it gave.

server_tool_use · web_search_tool_result │ web_fetch_tool_result │ code_execution_tool_result
                │ tool_search_tool_result
mcp_tool_use    · mcp_tool_result
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from json import loads
from typing import Any, NamedTuple

import msgspec

from antiphon.core.citations.sources import SourcedText, WebSource
from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME, MCP
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.hosted_tool_writers import FIND, OPEN, queries_in
from antiphon.core.stream.tool_writers import ServeCall
from antiphon.core.text.pieces import text_json
from antiphon.core.tools.deferred_tools import HOSTED_TOOL_SEARCH, TOOL_SEARCH
from antiphon.core.tools.results import ModelText, ToolResult
from antiphon.server.messages.answer import DIRECT, AnswerTerms
from antiphon.server.messages.emitter import ARGUMENTS, MessagesEmitter

Json = dict[str, Any]
LONGEST_QUOTE = 150
"""Characters of a page that a citation quotes."""

OUTPUTS = "code_interpreter_call.outputs"
_TOOL_SEARCH_CODES = frozenset("invalid_tool_input unavailable too_many_requests execution_time_exceeded".split())
_SEARCH_CODES = frozenset("invalid_tool_input unavailable max_uses_exceeded too_many_requests query_too_long".split())
_FETCH_CODES = frozenset(
    "invalid_tool_input url_not_allowed url_not_in_prior_context url_not_accessible max_uses_exceeded unavailable".split()
)


class CallForm(NamedTuple):
    """How a kind's calls look: the block of the call without its input, the input, and the block of its result."""

    prefix: str
    head: Callable[[CallStart], Json]
    input: Callable[[CallStart, Json], Json]
    result: Callable[[CallStart, ToolResult, MessagesEmitter, AnswerTerms], Json]


def _web_name(call: CallStart) -> str:
    return "web_fetch" if call.name in (OPEN, FIND) else "web_search"


def _web_head(call: CallStart) -> Json:
    return {"type": "server_tool_use", "name": _web_name(call)}


def _web_input(call: CallStart, arguments: Json) -> Json:
    if call.name in (OPEN, FIND):
        return {name: arguments[name] for name in ("url", "pattern", "part") if name in arguments}
    queries = queries_in(arguments)
    return {"query": queries[0] if queries else ""} | ({"queries": queries} if len(queries) > 1 else {})


def _web_result(call: CallStart, result: ToolResult, emitter: MessagesEmitter, terms: AnswerTerms) -> Json:
    if call.name in (OPEN, FIND):
        return _page(result, emitter)
    if result.error is not None:
        return _failed("web_search_tool_result", result.code if result.code in _SEARCH_CODES else "unavailable")
    emitter.searches += 1
    told = result.told or SourcedText("", ())
    content = []
    for passage, part in zip(result.passages, told.parts, strict=False):
        source = passage.source
        if not isinstance(source, WebSource):
            continue
        emitter.quotes.setdefault(source.url, passage.text[:LONGEST_QUOTE])
        numbered = tuple(one for one in told.sources if isinstance(one, WebSource) and one.url == source.url)
        sealed = terms.seal(to_json(ModelText(part, numbered)).decode()) if terms.seal is not None else None
        found = {"type": "web_search_result", "url": source.url, "title": source.title or source.url}
        content.append({**found, "page_age": None, "encrypted_content": sealed or ""})
    return {"type": "web_search_tool_result", "content": content, "caller": DIRECT}


def _page(result: ToolResult, emitter: MessagesEmitter) -> Json:
    passage = next(iter(result.passages), None)
    if result.error is not None or passage is None or not isinstance(passage.source, WebSource):
        code = result.code if result.code in _FETCH_CODES else "url_not_accessible"
        return _failed("web_fetch_tool_result", code)
    emitter.fetches += 1
    source = passage.source
    emitter.quotes.setdefault(source.url, passage.text[:LONGEST_QUOTE])
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": passage.text},
        "title": source.title or None,
        "citations": None,
    }
    found = {"type": "web_fetch_result", "url": source.url, "retrieved_at": None, "content": document}
    return {"type": "web_fetch_tool_result", "content": found, "caller": DIRECT}


def _failed(type: str, code: str) -> Json:
    return {"type": type, "content": {"type": f"{type}_error", "error_code": code}, "caller": DIRECT}


def _code_result(call: CallStart, result: ToolResult, emitter: MessagesEmitter, terms: AnswerTerms) -> Json:
    outputs = result.fields.get("outputs")
    if not isinstance(outputs, list):
        if result.error is None:
            outputs = []
        else:
            error = {"type": "code_execution_tool_result_error", "error_code": "unavailable"}
            return {"type": "code_execution_tool_result", "content": error}
    logs = "".join(str(one["logs"]) for one in outputs if one.get("type") == "logs")
    found = {
        "type": "code_execution_result",
        "stdout": logs,
        "stderr": result.error or "",
        "return_code": 0 if result.error is None else 1,
        "content": [{"type": "code_execution_output", "file_id": file.file_id} for file in result.files],
    }
    if call.opening is not None and (container := call.opening.get("container_id")):
        terms.container = str(container)
    return {"type": "code_execution_tool_result", "content": found}


def _mcp_result(call: CallStart, result: ToolResult, emitter: MessagesEmitter, terms: AnswerTerms) -> Json:
    text = result.error if result.error is not None else str(result.fields.get("output", ""))
    content = [{"type": "text", "text": text, "citations": None}] if text else []
    return {"type": "mcp_tool_result", "is_error": result.error is not None, "content": content}


def _found_tools(call: CallStart, result: ToolResult, emitter: MessagesEmitter, terms: AnswerTerms) -> Json:
    if result.error is not None:
        code = result.code if result.code in _TOOL_SEARCH_CODES else "unavailable"
        error = {"type": "tool_search_tool_result_error", "error_code": code, "error_message": result.error}
        return {"type": "tool_search_tool_result", "content": error}
    tools = result.fields.get("tools")
    names = [_found_tool.decode(tool).name for tool in tools] if isinstance(tools, list) else []
    found = [{"type": "tool_reference", "tool_name": name} for name in names]
    content = {"type": "tool_search_tool_search_result", "tool_references": found}
    return {"type": "tool_search_tool_result", "content": content}


class _FoundTool(msgspec.Struct):
    name: str = ""


_found_tool = msgspec.json.Decoder(_FoundTool)

FORMS: Mapping[str, CallForm] = {
    "web_search": CallForm("srvtoolu_", _web_head, _web_input, _web_result),
    "code_interpreter": CallForm(
        "srvtoolu_",
        lambda call: {"type": "server_tool_use", "name": "code_execution"},
        lambda call, arguments: arguments,
        _code_result,
    ),
    HOSTED_TOOL_SEARCH: CallForm(
        "srvtoolu_",
        lambda call: {"type": "server_tool_use", "name": str((call.opening or {}).get("name", TOOL_SEARCH))},
        lambda call, arguments: arguments,
        _found_tools,
    ),
    MCP: CallForm(
        "mcptoolu_",
        lambda call: {"type": "mcp_tool_use", "name": call.name, "server_name": call.namespace or ""},
        lambda call, arguments: arguments,
        _mcp_result,
    ),
}
"""Kind → how its calls look. Clients of this API can declare no others."""


class ServerBlock:
    """What the blocks of a call and of its result have in common: the item is made as ever, and tells nothing itself."""

    def __init__(
        self,
        serve: ServeCall | None,
        emitter: MessagesEmitter,
        item_id: str,
        index: int,
        call: CallStart,
        told: AnswerTerms,
    ) -> None:
        assert serve is not None, "a call that the client runs"
        self.index = index
        self.item_id = item_id
        self._inner = serve(MuteEmitter(), item_id, index, call)
        self._form = FORMS.get(call.kind)
        self._call = call
        self._emitter = emitter
        self._terms = told


class ServerCallBlock(ServerBlock):
    """The Writer of a call that this server runs. Its item is made as ever: the next model call and the store read that."""

    def __init__(
        self, emitter: MessagesEmitter, item_id: str, index: int, call: CallStart, *, told: AnswerTerms
    ) -> None:
        super().__init__(BY_NAME[call.kind].serve, emitter, item_id, index, call, told)
        self._pieces: list[str] = []
        self._told = False

    @property
    def _id(self) -> str:
        assert self._form is not None
        return _block_id(self._form, self._call, self.item_id)

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)
        self._inner.text(text)

    def end_arguments(self) -> None:
        """Emit the block of the call: what a model wrote may be spelled otherwise there."""
        self._inner.end_arguments()
        if self._told or self._form is None:
            return
        self._told = True
        head = {**self._form.head(self._call), "id": self._id}
        if head["type"] == "server_tool_use":
            head["caller"] = DIRECT
        input = to_json(self._form.input(self._call, _object("".join(self._pieces))))
        block = self._emitter.begin(to_json({**head, "input": {}}))
        block.piece(ARGUMENTS, text_json(input.decode()))
        block.end(to_json({**head, "input": loads(input)}))

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: a block has no stages."""

    def result(self, result: ToolResult) -> bytes:
        """Emit the block of the result."""
        self._show(result)
        return self._inner.result(result)

    def close(self, status: str) -> bytes:
        """End a call that got no result: a client gets one all the same, as it has to be sent back.

        Where the result is an item of its own, that one has it.
        """
        if BY_NAME[self._call.kind].serve_output is not None:
            self.end_arguments()
            return self._inner.close(status)
        self._show(ToolResult(error="The response ended before.", code="unavailable"))
        return self._inner.close(status)

    def _show(self, result: ToolResult) -> None:
        if self._form is None:
            return
        self.end_arguments()
        shown = self._form.result(self._call, result, self._emitter, self._terms)
        whole = to_json({"type": shown["type"], "tool_use_id": self._id, **shown})
        self._emitter.begin(whole).end(whole)
        for picture in _plots(result):
            self._emitter.pictured(picture)


def _plots(result: ToolResult) -> Sequence[str]:
    """Return the pictures (base64) that code has shown: no block of its result has a place for them."""
    outputs = result.fields.get("outputs")
    urls = [str(one.get("url")) for one in outputs if one.get("type") == "image"] if isinstance(outputs, list) else []
    return [data for url in urls if (data := url.partition(";base64,")[2])]


def _block_id(form: CallForm, call: CallStart, item_id: str) -> str:
    """Return the id by which the block of a result names that of its call."""
    if BY_NAME[call.kind].serve_output is None:
        return form.prefix + item_id.partition("_")[2]
    return form.prefix + blake2b(call.call_id.encode(errors="replace"), digest_size=12).hexdigest()


class ServerResultBlock(ServerBlock):
    """The Writer of what a call gave, where that is an item of its own."""

    def __init__(
        self, emitter: MessagesEmitter, item_id: str, index: int, call: CallStart, *, told: AnswerTerms
    ) -> None:
        super().__init__(BY_NAME[call.kind].serve_output, emitter, item_id, index, call, told)

    def text(self, text: str) -> None:
        """Do nothing: the arguments are the call's."""

    def end_arguments(self) -> None:
        """Do nothing: the arguments are the call's."""

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: a block has no stages."""

    def result(self, result: ToolResult) -> bytes:
        """Emit the block of the result."""
        if self._form is not None:
            shown = self._form.result(self._call, result, self._emitter, self._terms)
            id = _block_id(self._form, self._call, self.item_id)
            whole = to_json({"type": shown["type"], "tool_use_id": id, **shown})
            self._emitter.begin(whole).end(whole)
        return self._inner.result(result)

    def close(self, status: str) -> bytes:
        """End as the response ends: a client gets a result all the same."""
        return self.result(ToolResult(error="The response ended before.", code="unavailable"))


def _object(text: str) -> Json:
    try:
        found = loads(text or "{}", strict=False)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
