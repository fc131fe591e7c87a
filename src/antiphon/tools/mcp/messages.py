"""MCP's messages: JSON-RPC requests out, answers in. What comes from a server is bounded and checked before it is used. Pure.

Specification: modelcontextprotocol.io, revisions 2024-11-05 to 2026-07-28. Only tools are used of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from antiphon.config.masking import masked
from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import nested_deeper
from antiphon.core.tools.mcp_content import FAULTS, item_text
from antiphon.tools.base import ToolOutput, ToolServerError
from antiphon.types.tools import RemoteTool

WITH_HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The revisions that begin with `initialize`, the newest first."""
WITHOUT_HANDSHAKE = "2026-07-28"
"""The revision whose every request says what `initialize` said."""
HEADER_MISMATCH, LACKS_CAPABILITY, UNSUPPORTED_VERSION, NO_SUCH_METHOD = -32020, -32021, -32022, -32601
PROGRESS = "notifications/progress"

MOST_NAME = 128
"""Characters of a tool's name (revision 2025-11-25, "Tool Names")."""
MOST_DESCRIPTION = 32 * 1024
"""Characters of a tool's description."""
MOST_SCHEMA = 128 * 1024
"""Bytes of a tool's input schema, and of its annotations."""
MOST_DEPTH = 64
"""Levels of a tool's input schema, and of its annotations."""
MOST_PARTS = 4096
"""Parts of a result."""
MOST_REASON = 1000
"""Characters of a server's own words in an error."""
MOST_QUESTIONS = 16
"""Questions to a person in a result that asks for input."""
MOST_BATCH = 64
"""Messages in a JSON-RPC batch."""

Json = Mapping[str, object]


def nobody() -> None:
    """Tell no one."""


class RpcRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a server. `headers` are those that its transport is to send; `progressed` is told that it is worked on."""

    id: int
    method: str
    body: bytes
    headers: Mapping[str, str] = {}
    progressed: Callable[[], None] = nobody

    def answer_among(self, found: Sequence[RpcMessage]) -> RpcMessage | None:
        """Return the answer to this request among messages; what they say of its progress is told."""
        for one in found:
            if one.method is None and str(one.id) == str(self.id):  # some servers give numbers back as text
                return one
            if one.method == PROGRESS and str(one.params.progress_token) == str(self.id):
                self.progressed()
        return None


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Raw = Raw(b"null")


class _Params(msgspec.Struct, rename="camel"):
    progress_token: int | str | None = None


NO_PARAMS = _Params()


class RpcMessage(msgspec.Struct):
    """A JSON-RPC message: an answer has a `result` or an `error`, a request a `method` and an `id`."""

    id: int | str | None = None
    method: str | None = None
    result: Raw = Raw(b"")
    error: _Error | None = None
    given: Raw = msgspec.field(default=Raw(b""), name="params")

    @property
    def params(self) -> _Params:
        """What a notification says of progress."""
        try:
            return _params.decode(self.given)
        except FAULTS:
            return NO_PARAMS


class _Listing(msgspec.Struct, rename="camel"):
    tools: list[Raw] = []
    next_cursor: str | None = None


class _Hints(msgspec.Struct, rename="camel"):
    read_only_hint: bool | None = None


class _Tool(msgspec.Struct, rename="camel"):
    name: str
    description: str | None = None
    input_schema: Raw = Raw(b"null")
    annotations: Raw = Raw(b"null")


class _Asked(msgspec.Struct):
    method: str = ""


class _Result(msgspec.Struct, rename="camel"):
    content: list[Raw] | str | None = None
    structured_content: Raw = Raw(b"null")
    is_error: bool | None = None
    result_type: str | None = None
    input_requests: dict[str, _Asked] = {}
    request_state: Raw | UnsetType = UNSET


class _Initialized(msgspec.Struct, rename="camel"):
    protocol_version: str = ""


class _Discovered(msgspec.Struct, rename="camel"):
    supported_versions: list[str] = []


class _Supported(msgspec.Struct):
    supported: list[str] = []


_message = msgspec.json.Decoder(RpcMessage)
_params = msgspec.json.Decoder(_Params)
_batch = msgspec.json.Decoder(list[Raw])
_listing = msgspec.json.Decoder(_Listing)
_tool = msgspec.json.Decoder(_Tool)
_hints = msgspec.json.Decoder(_Hints | None)
_result = msgspec.json.Decoder(_Result)
_initialized = msgspec.json.Decoder(_Initialized)
_discovered = msgspec.json.Decoder(_Discovered)
_supported = msgspec.json.Decoder(_Supported)
_arguments = msgspec.json.Decoder(dict[str, Raw])


class RpcError(ToolServerError):
    """A server answered with an error; `supported` are the revisions that it names as its own."""

    def __init__(self, error: _Error) -> None:
        super().__init__(f"it answered with error {error.code}: {printable(masked(error.message))}")
        self.code = error.code
        try:
            self.supported = frozenset(_supported.decode(error.data).supported)
        except FAULTS:
            self.supported = frozenset()


def request(id: int | None, method: str, params: Json | None = None) -> bytes:
    """Return a request, or a notification where there is no id, as JSON in one line."""
    fields: dict[str, object] = {"jsonrpc": "2.0"}
    if id is not None:
        fields["id"] = id
    return to_json({**fields, "method": method, **({} if params is None else {"params": params})})


def reply(message: RpcMessage) -> bytes:
    """Return the answer to a server's request: to a ping, nothing; the rest (sampling, elicitation, roots) is not offered."""
    answer: dict[str, object] = {"jsonrpc": "2.0", "id": message.id}
    if message.method == "ping":
        return to_json({**answer, "result": {}})
    return to_json({**answer, "error": {"code": NO_SUCH_METHOD, "message": "This client offers tools' calls only."}})


def messages(data: bytes) -> list[RpcMessage]:
    """Decode a message or a batch of messages. Raises ToolServerError."""
    try:
        data.decode()
        if not data.lstrip().startswith(b"["):
            return [_message.decode(data)]
        batch = _batch.decode(data)
        if len(batch) > MOST_BATCH:
            raise ToolServerError(f"it sent more than {MOST_BATCH} messages at once.")
        return [_message.decode(one) for one in batch]
    except FAULTS:
        raise ToolServerError("it sent a message that cannot be read.") from None


def result(message: RpcMessage) -> Raw:
    """Return the result of an answer. Raises RpcError, ToolServerError."""
    if message.error is not None:
        raise RpcError(message.error)
    if not bytes(message.result).startswith(b"{"):
        raise ToolServerError("it sent an answer without a result.")
    return message.result


def version(answer: Raw) -> str:
    """Return the revision that a server has chosen. Raises ToolServerError."""
    try:
        chosen = _initialized.decode(answer).protocol_version
    except FAULTS:
        raise ToolServerError("it sent an answer to 'initialize' that cannot be read.") from None
    return chosen if len(chosen) <= len(WITHOUT_HANDSHAKE) and chosen.isascii() and chosen.isprintable() else ""


def discovered(answer: Raw) -> frozenset[str]:
    """Return the revisions that a server says it supports; none where this is no answer to `server/discover`."""
    try:
        return frozenset(_discovered.decode(answer).supported_versions)
    except FAULTS:
        return frozenset()


# Tools


def page(answer: Raw) -> tuple[list[Raw], str | None]:
    """Return the tools of a list's page, as they came, and the cursor of the next. Raises ToolServerError."""
    try:
        found = _listing.decode(answer)
    except FAULTS:
        raise ToolServerError("it sent a list of tools that cannot be read.") from None
    return found.tools, found.next_cursor or None


def remote_tool(label: str, raw: Raw) -> RemoteTool:
    """Return a tool as it was listed. Raises ToolServerError where its name, its schema or its size is not acceptable."""
    try:
        tool = _tool.decode(raw)
        hints = _hints.decode(tool.annotations)
    except FAULTS:
        raise ToolServerError("it lists a tool that cannot be read.") from None
    if not 1 <= len(tool.name) <= MOST_NAME or not tool.name.isprintable():
        raise ToolServerError(f"it lists a tool whose name does not have 1 to {MOST_NAME} printable characters.")
    where = f"the tool '{tool.name}'"
    if tool.description is not None and len(tool.description) > MOST_DESCRIPTION:
        raise ToolServerError(f"the description of {where} has more than {MOST_DESCRIPTION} characters.")
    return RemoteTool(
        server_label=label,
        name=tool.name,
        description=tool.description,
        input_schema=_object(tool.input_schema, f"the input schema of {where}") or Raw(b'{"type":"object"}'),
        annotations=_object(tool.annotations, f"the annotations of {where}"),
        read_only=bool(hints and hints.read_only_hint),
    )


def _object(raw: Raw, what: str) -> Raw | None:
    """Return an object encoded anew, so that it is valid throughout and stands in one line; None for null."""
    data = bytes(raw)
    if data == b"null":
        return None
    if len(data) > MOST_SCHEMA:
        raise ToolServerError(f"{what} has more than {MOST_SCHEMA} bytes.")
    if not data.startswith(b"{"):
        raise ToolServerError(f"{what} is not an object.")
    return Raw(_anew(data, what))


def _anew(data: bytes, what: str) -> bytes:
    try:
        if nested_deeper(data, MOST_DEPTH):
            raise ToolServerError(f"{what} is nested more than {MOST_DEPTH} levels deep.")
        return to_json(msgspec.json.decode(data))
    except FAULTS:
        raise ToolServerError(f"{what} cannot be read.") from None


# Calls


def arguments(text: str) -> Raw | None:
    """Return a call's arguments in one line, None where they are no JSON object."""
    try:
        data = (text or "{}").encode()
        _arguments.decode(data)
        return Raw(msgspec.json.format(data, indent=-1))
    except FAULTS:
        return None


def tool_output(answer: Raw) -> ToolOutput:
    """Return what a call gave, as the text of its item. Raises ToolServerError."""
    try:
        found = _result.decode(answer)
    except FAULTS:
        raise ToolServerError("it sent a result that cannot be read.") from None
    if found.result_type not in (None, "complete"):
        raise ToolServerError("it asks for more input, which is not offered.")
    content = [Raw(to_json(found.content))] if isinstance(found.content, str) else found.content or []
    if len(content) > MOST_PARTS:
        raise ToolServerError(f"its result has more than {MOST_PARTS} parts.")
    try:
        return ToolOutput(item_text(content, found.structured_content), bool(found.is_error))
    except FAULTS:
        raise ToolServerError("its result has a part that cannot be read.") from None


def asked_again(answer: Raw) -> Json | None:
    """Return what a call is repeated with, for a result that asks for input; None for other results, and what is not offered.

    A server may ask for nothing but its state; a question to a person is answered as one that nobody has looked at.
    """
    try:
        found = _result.decode(answer)
    except FAULTS:
        return None
    asked = found.input_requests
    if found.result_type != "input_required" or len(asked) > MOST_QUESTIONS:
        return None
    if not (asked or found.request_state) or any(one.method != "elicitation/create" for one in asked.values()):
        return None
    again: dict[str, object] = {"inputResponses": {key: {"action": "cancel"} for key in asked}} if asked else {}
    return again if found.request_state is UNSET else {**again, "requestState": found.request_state}


def printable(text: str) -> str:
    """Return a server's own words: one line, and not too long."""
    short = text[:MOST_REASON]
    return "".join(character if character.isprintable() else " " for character in short).strip() or "no reason given"


def no_doubles(tools: Sequence[RemoteTool]) -> None:
    """Refuse lists with two tools of one name. Raises ToolServerError."""
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise ToolServerError(f"it lists two tools named '{tool.name}'.")
        seen.add(tool.name)
