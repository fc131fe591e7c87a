"""All that the newest `anthropic` package names has a row in docs/compatibility.md; the rows are those of the decoder."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from anthropic.types import beta
from anthropic.types.beta import message_create_params
from typing_extensions import get_type_hints

from antiphon.server.messages.blocks import KNOWN
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.server.messages.request import FIELDS
from tests import messages_compatibility as page
from tests.messages_compatibility import Row, named


def alternatives(type: Any) -> Iterator[Any]:
    """Yield the types among which a type leaves the choice."""
    origin = get_origin(type)
    if origin is typing.Annotated:
        yield from alternatives(get_args(type)[0])
    elif origin is typing.Union:
        for one in get_args(type):
            yield from alternatives(one)
    else:
        yield type


def fields(type: Any) -> set[str]:
    return set(type.model_fields) if hasattr(type, "model_fields") else set(get_type_hints(type))


def types(type: Any) -> set[str]:
    """Return the values of `type` among a choice of objects."""
    found: set[str] = set()
    for one in alternatives(type):
        if hasattr(one, "model_fields"):
            hint = one.model_fields["type"].annotation if "type" in one.model_fields else None
        else:
            hint = get_type_hints(one).get("type")
        while hint is not None and get_origin(hint) is not Literal:
            (hint,) = get_args(hint)[:1] or (None,)
        found |= set(get_args(hint)) if hint is not None else set()
    return found


SURFACE = {
    "Request fields": lambda: fields(message_create_params.MessageCreateParamsBase),
    "Fields of a message": lambda: set().union(*map(fields, alternatives(beta.BetaMessageParam))),
    "Blocks of a request": lambda: types(beta.BetaContentBlockParam),
    "Types of tools": lambda: types(beta.BetaToolUnionParam),
    "Fields of a Message": lambda: fields(beta.BetaMessage),
    "Fields of its usage": lambda: fields(beta.BetaUsage),
    "Blocks of a Message": lambda: types(beta.BetaContentBlock),
    "Events": lambda: types(beta.BetaRawMessageStreamEvent),
    "Types of deltas": lambda: types(beta.BetaRawContentBlockDelta),
}


@pytest.mark.parametrize("table", SURFACE)
def test_all_that_the_package_names_has_a_row(table: str) -> None:
    wanted = SURFACE[table]()
    assert len(wanted) > 3 and not wanted - named(page.TABLES[table])


@pytest.mark.parametrize("table", page.TABLES)
def test_no_name_has_two_rows(table: str) -> None:
    names = [name for row in page.TABLES[table] for name in row.names.split(", ")]
    assert len(names) == len(set(names)) and all(row.fate for row in page.TABLES[table])


def _fate(rows: list[Row], name: str) -> str:
    return next(row.fate for row in rows if name in row.names.split(", "))


def test_rows_of_fields_are_those_of_the_decoder() -> None:
    assert named(page.REQUEST) - {"betas", "any other"} == set(FIELDS)
    for name, verdict in FIELDS.items():
        assert _fate(page.REQUEST, name).startswith("Ignored") is (verdict == "ignored"), name


def test_rows_of_blocks_are_those_of_the_decoder() -> None:
    left_out = {name for row in page.BLOCKS if row.fate.startswith("Left out") for name in row.names.split(", ")}
    assert named(page.BLOCKS) - left_out == set(KNOWN)


@pytest.mark.parametrize("type", sorted(named(page.TOOLS)))
async def test_what_becomes_of_tools(type: str) -> None:
    """What is named as ignored is what no tool comes of."""
    tool = {"type": type, "name": "t", "input_schema": {"type": "object"}, "mcp_server_name": "s"}
    servers = [{"type": "url", "name": "s", "url": "http://example.org/mcp"}] if type == "mcp_toolset" else None
    said = [{"role": "user", "content": "Hi."}]
    body = {"model": "m", "max_tokens": 9, "messages": said, "tools": [tool], "mcp_servers": servers}
    asked = await MessagesRequestDecoder(lambda name: name).decode(json.dumps(body).encode())
    ignored = _fate(page.TOOLS, type).startswith("Not offered")
    assert bool(asked.tools) is not ignored and bool(asked.ignored) is ignored
