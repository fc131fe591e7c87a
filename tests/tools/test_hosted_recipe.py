"""docs/design.md, "How to add a tool that the server runs": all it names is there, and the example needs no more than it says."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config
from antiphon.core import kinds
from antiphon.tools.base import HostedTool
from tests.test_layers import MAY_IMPORT
from tests.tools import lookup
from tests.tools.lookup import LOOKUP, Lookup

ROOT = Path(__file__).parents[2]


def recipe() -> str:
    text = (ROOT / "docs" / "design.md").read_text()
    start = text.index("**a tool that the server runs**")
    return text[start : text.index("\n**a setting**", start)]


def test_files_and_names_of_the_recipe_exist() -> None:
    named = re.findall(r"`([\w./]+)`", recipe())
    files = [name for name in named if name.endswith(".py")]
    assert len(files) > 5
    for name in files:
        assert (ROOT / "src" / "antiphon" / name).is_file() or (ROOT / name).is_file(), name
    for name in named:
        module, dot, attribute = name.rpartition(".")
        if dot and not name.endswith(".py"):
            assert hasattr(importlib.import_module(f"antiphon.{module}"), attribute), name


def test_a_tool_imports_what_its_folder_may() -> None:
    tree = ast.parse(Path(lookup.__file__).read_text())
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    own = {module.split(".")[1] for module in modules if module.startswith("antiphon.")}
    assert own <= {*MAY_IMPORT["tools"].split(), "tools"}
    assert {module for module in modules if module.startswith("antiphon.tools")} == {
        "antiphon.tools.base",
        "antiphon.tools.hosted",
    }


@pytest.mark.parametrize("type", ["web_search", "file_search", "code_interpreter", "image_generation"])
def test_hosted_tools_of_openai_have_their_row(type: str) -> None:
    row = kinds.BY_DECLARATION[type]
    assert row.runs == "hosted" and row.call and row.prefix
    assert row.serve is not None


async def test_a_server_is_handed_its_tools() -> None:
    tool: HostedTool = Lookup()
    backend = BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")
    parts = Parts(Config(store="memory", backends={"b": backend}), hosted=[tool])
    assert parts.services.hosted_tools["lookup"].kind is tool.kind
    assert kinds.BY_DECLARATION["lookup"] is LOOKUP
