"""The documentation names every setting, route, field, item, tool and event that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config, EngineConfig, JwtConfig, KeyConfig, McpServerConfig, ModelConfig
from antiphon.core.kinds import OTHER_ITEM_TYPES, OTHER_TOOL_TYPES
from antiphon.core.request.chat_fields import REFUSED
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from tests.compatibility import FIELDS, ITEMS, TOOLS, Kind
from tests.compatibility_events import EVENTS
from tests.compatibility_page import PAGE, render
from tests.golden.player import CASES, Case

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def _text(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize(
    "struct", [Config, BackendConfig, ModelConfig, EngineConfig, McpServerConfig, KeyConfig, JwtConfig]
)
def test_every_setting_is_documented(struct: type[msgspec.Struct]) -> None:
    documented = re.findall(r"`(\w+)`|`?\[(\w+)[.\]]", _text("configuration.md"))
    names = {name for found in documented for name in found}
    assert not [field.name for field in msgspec.structs.fields(struct) if field.name not in names]


def _documented_routes() -> set[tuple[str, str]]:
    """Return methods and paths of the tables in contract.md, whose rows begin with `GET` `POST` … and a path."""
    rows = re.findall(r"^\| `((?:[A-Z]+ ?)+)` \| `([^`]+)` \|", _text("contract.md"), re.MULTILINE)
    return {(method, path) for methods, path in rows for method in methods.split()}


def test_every_route_is_documented_and_every_documented_route_exists() -> None:
    parts = Parts(Config(store="memory", backends={"demo": BackendConfig(url="http://127.0.0.1:9", api="scripted")}))
    routes = {(route.method, route.path.replace(":path", "")) for route in parts.app.router.routes}
    assert routes == {(method, path.removeprefix("/v1") or "/") for method, path in _documented_routes()}


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


# Compatibility


def _types(kinds: tuple[Kind, ...]) -> Iterator[str]:
    for kind in kinds:
        yield from kind.types.split(", ")


def test_the_page_is_what_the_data_says() -> None:
    assert PAGE.read_text() == render()


def test_every_request_field_has_a_fate() -> None:
    names = [field.name for field in FIELDS]
    known = names[: names.index("max_tokens")]
    assert known == sorted(known, key=list(CreateResponse.__struct_fields__).index)
    assert set(known) == set(CreateResponse.__struct_fields__)
    assert names[len(known) :] == [*sorted(REFUSED), "anything else"]


def test_what_is_said_to_be_in_the_response_is_there() -> None:
    in_both = set(CreateResponse.__struct_fields__) & set(Response.__struct_fields__)
    assert {field.name for field in FIELDS if field.echoed} == in_both


def test_every_item_and_tool_has_a_fate() -> None:
    items = {"message", "reasoning", "function_call", "function_call_output", "item_reference"}
    items |= {"custom_tool_call", "custom_tool_call_output"} | OTHER_ITEM_TYPES
    assert sorted(_types(ITEMS)) == sorted(items)
    assert sorted(_types(TOOLS)) == sorted({"function", "custom", "namespace"} | OTHER_TOOL_TYPES)


def test_every_event_of_the_golden_transcripts_is_on_the_page() -> None:
    sent = {event["type"] for name in CASES for event in Case(name).recorded_events()}
    assert sent <= set(_types(EVENTS))
