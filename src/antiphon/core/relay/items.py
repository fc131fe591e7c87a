"""Items of another server, made fit to be passed on: what is right stays, what cannot be mended is a BackendError."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import PARTED, STREAMED
from antiphon.core.relay.shapes import (
    INNER,
    OPTIONAL,
    OTHER_ITEMS,
    STATUSES,
    WEB_ACTIONS,
    WEB_OPTIONAL,
    WORKED_ON,
    Json,
    check,
    fits,
    good_name,
    wrong,
)
from antiphon.core.seals import is_seal
from antiphon.types.chat import Logprob, TopLogprob

ARGUMENTS = STREAMED
KNOWN = frozenset((*PARTED, *STREAMED))
_OWN = frozenset(("id", "type", "status", "content", "summary", "role", "call_id", "name", "arguments", "input"))


def encoded(value: object) -> bytes:
    """Return JSON. Raises BackendError for a number that JSON libraries do not carry."""
    try:
        return to_json(value)
    except (OverflowError, RecursionError):
        raise wrong("it holds a number or a nesting that is out of range") from None


def item_of(value: object) -> Json:
    """Return an event's item with a type that clients know; its fields may still be wrong. Raises BackendError."""
    if not isinstance(value, dict):
        raise wrong("its item is not an object")
    type = value.get("type")
    if not isinstance(type, str) or (type not in KNOWN and type not in OTHER_ITEMS):
        raise wrong("its item has a type that is not known")
    return without_nulls(value, OTHER_ITEMS.get(type, {}))


def without_nulls(item: Json, shape: Mapping[str, str]) -> Json:
    """Leave out nulls where the document has none: typed clients throw at a `status` that is null."""
    return {name: value for name, value in item.items() if value is not None or shape.get(name, "").endswith("?")}


def extras(item: Json) -> Json:
    """Return a message's, a reasoning item's or a call's fields beside those that are made anew.

    A seal that another server of this kind has made is left out: only that server can open it.
    """
    shape = OPTIONAL[item["type"]]
    return {
        name: value
        for name, value in item.items()
        if name not in _OWN
        and (name not in shape or (fits(value, shape[name]) and value != ""))
        and not (name == "encrypted_content" and is_seal(value))
    }


def other_item(item: Json, id: str, status: str) -> Json:
    """Return an item that passes as it is, checked. `status` stands in for one that is missing or odd."""
    type = item["type"]
    made = {**item, "id": id}
    check(made, OTHER_ITEMS[type], f"its item of the type '{type}'")
    if type in INNER:
        made[INNER[type][0]] = _inner(type, made[INNER[type][0]])
    for name, kind in OPTIONAL.get(type, {}).items():
        if name in made and not fits(made[name], kind):
            del made[name]
    known = STATUSES.get(type, WORKED_ON)
    if made.get("status") not in known:
        made.pop("status", None)
        if known:
            made["status"] = status if status in known else "failed" if status == "incomplete" else "completed"
            if made["status"] not in known:
                made["status"] = known[0]
    return made


def _inner(type: str, value: Any) -> object:
    """Return what is inside of an item, checked: an object, or a list of objects. Raises BackendError."""
    name, shape = INNER[type]
    what = f"the '{name}' of its item of the type '{type}'"
    for entry in value if isinstance(value, list) else [value]:
        check(entry, shape, what)
    if type != "web_search_call":
        return value
    if value["type"] not in WEB_ACTIONS:
        raise wrong(f"{what} has a type that is not known")
    check(value, WEB_ACTIONS[value["type"]], what)
    return {key: entry for key, entry in value.items() if key not in WEB_OPTIONAL or fits(entry, WEB_OPTIONAL[key])}


def parts_of(value: object) -> list[Json]:
    """Return the parts of a message's content; texts under other names count. Raises BackendError for what is no part."""
    return [_part(entry, ("output_text", "refusal")) for entry in _listed(value, "the 'content' of its message")]


def _listed(value: object, what: str) -> list[object]:
    """Return what may be a list, one text, or nothing. Raises BackendError."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise wrong(f"{what} has the wrong type")
    return value


def thoughts_of(value: object, name: str) -> list[Json]:
    """Return the parts of a reasoning item's `content` or `summary`. Raises BackendError for what is no part."""
    type = "reasoning_text" if name == "content" else "summary_text"
    return [_part(entry, (type,)) for entry in _listed(value, f"the '{name}' of its reasoning item")]


def _part(value: object, types: Sequence[str]) -> Json:
    """Return a part of one of these types; what has a text and another type, or none, is of the first one."""
    if isinstance(value, str):
        return {"type": types[0], "text": value}
    if not isinstance(value, dict):
        raise wrong("one of its parts is not an object")
    type = value.get("type")
    if type not in types:
        if not isinstance(value.get("text"), str):
            raise wrong("one of its parts has a type that is not known there")
        type = types[0]
    field = "refusal" if type == "refusal" else "text"
    text = value.get(field)
    if text is not None and not isinstance(text, str):
        raise wrong(f"the '{field}' of one of its parts has the wrong type")
    return {**value, "type": type, field: text or ""}


def part_made(kind: str, text: str) -> Json:
    """Return a part as the document has it."""
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    return {"type": kind, "text": text} | ({"annotations": [], "logprobs": []} if kind == "output_text" else {})


def logprobs_of(value: object) -> bytes:
    """Return the entries of a part's logprobs as JSON, joined by commas; b"" where they are not what they should be."""
    if not isinstance(value, list) or not value:
        return b""
    try:
        entries = msgspec.convert(value, list[Logprob])
    except msgspec.ValidationError:
        return b""
    return b",".join([to_json(_whole(entry)) for entry in entries])


def _whole(entry: Logprob) -> Logprob:
    """Fill in the bytes that strict clients want."""
    top = [TopLogprob(one.token, one.logprob, _bytes(one)) for one in entry.top_logprobs or ()]
    return Logprob(entry.token, entry.logprob, _bytes(entry), top)


def _bytes(entry: Logprob | TopLogprob) -> list[int]:
    return entry.bytes if entry.bytes is not None else list(entry.token.encode(errors="surrogatepass"))


def as_custom(item: object, names: Collection[str]) -> object:
    """Return a function's call as that of the custom tool which has its name (vLLM, LM Studio: they give them to models so).

    Its `arguments` stay, and are unwrapped where the item is written.
    """
    if isinstance(item, dict) and item.get("type") == "function_call" and good_name(item.get("name")) in names:
        return {**item, "type": "custom_tool_call"}
    return item


def is_function(item: Json) -> bool:
    """Tell whether a custom tool's call came as a function's."""
    return "arguments" in item and "input" not in item


def arguments_of(item: Json) -> str:
    """Return a call's arguments or input; some servers send the arguments as the object that they stand for."""
    value = item.get("arguments" if is_function(item) else ARGUMENTS[item["type"]])
    if isinstance(value, dict):
        return encoded(value).decode()
    if value is not None and not isinstance(value, str):
        raise wrong(f"the '{ARGUMENTS[item['type']]}' of its call has the wrong type")
    return value or ""


def same_json(one: str, other: str) -> bool:
    """Tell whether two texts are JSON that means the same: some servers write arguments anew at the end."""
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def call_name(item: Json) -> str:
    """Return the name of a call. Raises BackendError where there is none."""
    name = good_name(item.get("name"))
    if not name:
        raise wrong("its call has no name")
    return name
