"""Wishes of a request that a model may not honour: the effort, and fields that its server does not take.

Each function returns the names of the wishes that the request to the backend does not have, as clients know them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from antiphon.backends.chat.profiles import Profile
from antiphon.backends.learning.efforts import nearest_effort
from antiphon.backends.learning.refusal_words import CLIENTS_NAMES, KEYWORD
from antiphon.core.json_encoding import to_json
from antiphon.core.tools.schema_subsets import Json, walk
from antiphon.core.turn import TEMPLATE_FIELDS
from antiphon.errors import InvalidRequest

EFFORT = "reasoning.effort"
_any = msgspec.json.Decoder(Any)
OFF = ("none", "minimal")


def add_effort(fields: dict[str, bytes], effort: str | None, profile: Profile, *, refuse: bool) -> tuple[str, ...]:
    """Add the effort as the server takes it: its nearest value, or nothing. `refuse`: raise InvalidRequest instead."""
    if effort is None:
        return ()
    where = "none" if "reasoning_effort" in profile.drop else profile.effort
    thinking = effort not in OFF
    told = where in ("enable_thinking", "both") and "enable_thinking" not in profile.drop
    if told:
        fields[TEMPLATE_FIELDS] = to_json({"enable_thinking": thinking})
    if where == "reasoning":
        taken = nearest_effort(effort, profile.efforts)
        fields["reasoning"] = to_json({"effort": taken})
    elif where == "reasoning_effort" or (where == "both" and thinking):
        taken = nearest_effort(effort, profile.efforts)
        fields["reasoning_effort"] = to_json(taken)
    else:
        taken = effort if told or effort == "none" else ""
    if taken == effort:
        return ()
    if refuse:
        raise _refused(effort, profile.efforts if taken else ())
    return (EFFORT,)


def _refused(effort: str, taken: Sequence[str]) -> InvalidRequest:
    if not taken:
        return InvalidRequest(
            "This model does not support 'reasoning.effort'.", param=EFFORT, code="unsupported_parameter"
        )
    values = ", ".join(taken)
    return InvalidRequest(
        f"This model does not support the effort '{effort[:64]}'. Supported values are: {values}.",
        param=EFFORT,
        code="unsupported_value",
    )


def drop(fields: dict[str, bytes], names: Collection[str], choice: str) -> tuple[str, ...]:
    """Take out fields that the server refuses. `choice`: the mode of the tool choice, which is left out already."""
    dropped = [name for name in names if fields.pop(name, None) is not None]
    keywords = [name.removeprefix(KEYWORD) for name in names if name.startswith(KEYWORD)]
    if keywords:
        dropped += [KEYWORD + name for name in _without_keywords(fields, keywords)]
    if "tool_choice" in names and choice == "required":
        dropped.append("tool_choice")
    asked = (CLIENTS_NAMES.get(name, name) for name in dropped)
    return tuple(dict.fromkeys(name for name in asked if name))


def _without_keywords(fields: dict[str, bytes], keywords: Sequence[str]) -> list[str]:
    """Take keywords out of the schemas of tools and format, and return those that were there."""
    gone: dict[str, None] = {}

    def fit(schema: Json) -> Json:
        for name in keywords:
            if schema.pop(name, gone) is not gone:
                gone[name] = None
        return schema

    for field in ("tools", "response_format"):
        data = fields.get(field, b"")
        if not any(b'"%b"' % name.encode() in data for name in keywords):
            continue
        try:
            value = _any.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue  # a client's schema with values that cannot be read: the server says what it thinks of it
        for holder, key in _schemas(value):
            try:
                holder[key] = walk(holder[key], fit)
            except RecursionError:
                continue
        fields[field] = to_json(value)
    return list(gone)


def _schemas(value: Any) -> list[tuple[Json, str]]:
    """Return where schemas stand in `tools` or `response_format`."""
    if isinstance(value, list):
        return [(tool["function"], "parameters") for tool in value if "parameters" in tool.get("function", ())]
    inner = value.get("json_schema", value)
    return [(inner, "schema")] if "schema" in inner else []
