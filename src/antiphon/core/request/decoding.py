"""A request's body → CreateResponse and its items. Lenient in: what real clients send is taken."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from antiphon.core.guards.asked import asked_moderation
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BRINGERS, BY_NAME, FUNCTION, is_other_item
from antiphon.core.request.chat_fields import check_chat_fields
from antiphon.core.request.other_items import check_other
from antiphon.core.request.other_spellings import own_spelling
from antiphon.core.request.text_format import PLAIN, ResolvedText, resolve_text
from antiphon.core.request.tool_decoding import check_tool_choice, decode_tool, decode_tools
from antiphon.core.request.validation import decode, decode_fields, invalid, malformed, missing, too_deep
from antiphon.core.tools.redaction import shown_item
from antiphon.errors import InvalidRequest
from antiphon.types.items import Item, KnownItem, OtherItem, UnnamedOutput
from antiphon.types.request import CreateResponse

__all__ = [
    "PLAIN",
    "ResolvedText",
    "check_tool_choice",
    "decode_item",
    "decode_items",
    "decode_request",
    "decode_tool",
    "decode_tools",
    "resolve_text",
]

UnknownFields = Literal["forward", "ignore", "reject"]
Extra = dict[str, Raw]


class _StrictRequest(CreateResponse, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tells in the same pass whether there are fields that nobody knows."""


class _WholeRequest(_StrictRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reads items in the same pass, where each is of a usual type."""

    input: str | list[KnownItem] | None | UnsetType = UNSET  # type: ignore[assignment]  # their JSON, or they themselves


class _InputAlone(msgspec.Struct):
    input: str | list[Raw] | None | UnsetType = UNSET


AT_ONCE = 16 * 1024
"""Bytes of a body from which on its items are read with it: in a smaller one it costs little to pass over them twice."""

_whole_request = msgspec.json.Decoder(_WholeRequest)
_strict_request = msgspec.json.Decoder(_StrictRequest)
_input_alone = msgspec.json.Decoder(_InputAlone)
_request = msgspec.json.Decoder(CreateResponse)
_unnamed_output = msgspec.json.Decoder(UnnamedOutput)
_UNKNOWN = "Object contains unknown field"
_OUTPUT = to_json(BY_NAME[FUNCTION].owes)
_known_item: msgspec.json.Decoder[KnownItem] = msgspec.json.Decoder(KnownItem)
_names = frozenset(field.encode_name for field in msgspec.structs.fields(CreateResponse))

# Request


def decode_request(
    body: bytes, unknown: UnknownFields = "forward", *, needs_input: bool = True, at_once: bool = False
) -> tuple[CreateResponse, Extra]:
    """Decode a body that has passed `check_json`. Returns the request and the unknown fields that are to be forwarded.

    `at_once`: the `input` of a large body may have items in the place of their JSON. Raises InvalidRequest with the path of the
    offending field (contract, "Request fields").
    """
    try:
        body = _on_one_line(body)
        request, extra = _decode(body, unknown, at_once and len(body) >= AT_ONCE)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise malformed(error, "", body) from None
    except RecursionError:
        raise too_deep() from None
    if needs_input:
        _check_input(request)
    _check(request)
    return request, extra


def _on_one_line(body: bytes) -> bytes:
    """Take line breaks out of a printed body: what is echoed as raw JSON stands on one `data:` line of a stream."""
    return msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body


def raw_items(body: bytes) -> Sequence[Raw]:
    """Return the JSON of the items of a body that `decode_request` has taken."""
    input = _input_alone.decode(_on_one_line(body)).input
    return input if isinstance(input, list) else ()


def _decode(body: bytes, unknown: UnknownFields, at_once: bool) -> tuple[CreateResponse, Extra]:
    request = _known_fields(body, at_once)
    if request is not None:
        return request, {}
    fields = decode_fields(body)
    extra = {name: value for name, value in fields.items() if name not in _names and bytes(value) != b"null"}
    if "messages" in extra and "input" not in fields:
        raise InvalidRequest(
            "Missing required parameter: 'input'. 'messages' is a parameter of /v1/chat/completions and /v1/messages.",
            param="input",
            code="missing_required_parameter",
        )
    check_chat_fields(extra)
    if extra and unknown == "reject":
        name = next(iter(extra))
        raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    return _request.decode(body), extra if unknown == "forward" else {}


def _known_fields(body: bytes, at_once: bool) -> CreateResponse | None:
    """Return the request of a body; None where it has fields that nobody knows. Raises what msgspec raises."""
    if at_once:
        try:
            return _whole_request.decode(body)
        except (ValueError, OverflowError, RecursionError) as error:  # of items, the next reading tells or takes it
            if str(error).startswith(_UNKNOWN):
                return None
    try:
        return _strict_request.decode(body)
    except msgspec.ValidationError as error:
        if not str(error).startswith(_UNKNOWN):
            raise  # once is enough: its words repeat the value, which may have megabytes
        return None


def _check_input(request: CreateResponse) -> None:
    if request.input is None or (request.input is UNSET and not _may_lack_input(request)):
        raise missing("input")
    if request.input == [] and not _may_lack_input(request):
        raise InvalidRequest("Invalid 'input': must have at least one item.", param="input")


def _check(request: CreateResponse) -> None:
    if request.previous_response_id is not None and request.conversation is not None:
        raise InvalidRequest(
            "'previous_response_id' and 'conversation' cannot be used together.", param="previous_response_id"
        )
    if request.background_options is not None and request.background_options.window:
        _check_window(request)
    raw = _raw_of(request)
    if any(raw):
        for (name, first), value in zip(_SHAPES.items(), raw, strict=True):
            _check_shape(name, value, first)
        asked_moderation(request.moderation)


_SHAPES = {
    "prompt": b"{",
    "client_metadata": b"{",
    "context_management": b"[",
    "access_programs": b"{",
    "image": b"{",
    "multi_agent": b"{",
    "moderation": b"{",
}
_raw_of = attrgetter(*_SHAPES)


def _check_window(request: CreateResponse) -> None:
    """Raise InvalidRequest for a completion window of a response for which somebody waits."""
    needs = {
        "'background: true'": request.background,
        "no 'stream'": not request.stream,
        "the 'service_tier' default": request.service_tier in (None, "auto", "default"),
    }
    for need, met in needs.items():
        if not met:
            raise InvalidRequest(
                f"Invalid 'background_options.completion_window': it needs {need}.",
                param="background_options.completion_window",
            )


def _may_lack_input(request: CreateResponse) -> bool:
    return bool(request.prompt or request.conversation or request.previous_response_id)


def _check_shape(name: str, value: Raw | None, first: bytes) -> None:
    if value is not None and not bytes(value).startswith(first):
        shape = "object" if first == b"{" else "array"
        raise InvalidRequest(f"Invalid value for '{name}': expected `{shape}`.", param=name, code="invalid_type")


# Items


class _ItemKind(msgspec.Struct):
    """The few keys that tell what an item is."""

    type: str | None | msgspec.UnsetType = UNSET
    role: str | None = None
    id: str | None = None


_kind = msgspec.json.Decoder(_ItemKind)


def decode_items(items: Sequence[Raw], path: str = "input") -> list[Item]:
    """Decode items one by one, so that an error names its path."""
    decode = _known_item.decode
    decoded: list[Item] = []
    for index, raw in enumerate(items):
        try:
            decoded.append(decode(raw))
        except (ValueError, RecursionError) as error:
            decoded.append(_decode_unusual_item(bytes(raw), f"{path}[{index}]", error))
    return decoded


def decode_item(raw: bytes | Raw, path: str = "input") -> Item:
    """Decode one item. A message needs no `type`, a reference may have it null; other known types stay as they came."""
    try:
        return _known_item.decode(raw)
    except (ValueError, RecursionError) as error:
        return _decode_unusual_item(bytes(raw), path, error)


def _decode_unusual_item(raw: bytes, path: str, error: Exception) -> Item:
    if not isinstance(error, msgspec.ValidationError):
        return decode(_known_item, raw, path)  # says what is wrong
    kind = decode(_kind, raw, path)
    if kind.type is UNSET and kind.role is not None:
        return _decode_known(b'{"type":"message",%b' % raw[raw.index(b"{") + 1 :], path)
    if kind.type is UNSET or kind.type is None:
        return _decode_untyped(raw, kind, path)
    if is_other_item(kind.type):
        id = kind.id if kind.id is not None else UNSET
        item = check_other(OtherItem(kind.type, Raw(raw), id), path)
        return OtherItem(kind.type, shown_item(item.raw), id) if kind.type in BRINGERS else item
    if str(error).endswith("`$.type`"):
        raise InvalidRequest(f"Invalid value: '{kind.type}' is not an item type.", param=f"{path}.type")
    return _decode_known(raw, path)


def _decode_untyped(raw: bytes, kind: _ItemKind, path: str) -> Item:
    if kind.role is None and kind.id is None:
        raise missing(f"{path}.type")
    type = "message" if kind.role is not None else "item_reference"
    return _decode_known(to_json({**decode_fields(raw, path), "type": type}), path)


def _decode_known(raw: bytes, path: str) -> Item:
    """Decode an item of a known type; a null where the type has none stands for a field left out."""
    try:
        return _known_item.decode(raw)
    except msgspec.ValidationError as error:
        fields = decode_fields(raw, path)
        own = own_spelling(fields)
        if _names_no_call(fields):
            return decode(_unnamed_output, to_json(_without_nulls(own or fields)), path)
        if own is None and not str(error).rpartition(" - at ")[0].endswith("got `null`"):
            raise invalid(str(error), path) from None
    except (ValueError, RecursionError):
        return decode(_known_item, raw, path)
    return decode(_known_item, to_json(_without_nulls(own or fields)), path)


def _without_nulls(fields: Extra) -> Extra:
    return {name: value for name, value in fields.items() if bytes(value) != b"null"}


def _names_no_call(fields: Extra) -> bool:
    """Tell whether an item is an output of a function without the id of its call."""
    return bytes(fields["type"]) == _OUTPUT and bytes(fields.get("call_id", b"null")) == b"null"
