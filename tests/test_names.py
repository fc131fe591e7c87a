"""Names in the package: no two classes of one name; loggers are named after their folder and listed in docs/observability.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.package_source import ROOT, modules, nodes

# Logs that are filtered apart from the rest of their folder have the name of their module.
APART = frozenset({"antiphon.telemetry.access_log", "antiphon.server.process.loop_watch"})


def loggers() -> Iterator[tuple[str, str]]:
    """Yield module and logger name of each logger of ours."""
    for module in modules():
        for node in nodes(module):
            match node:
                case ast.Call(func=ast.Attribute(attr="getLogger"), args=[ast.Constant(value=str(name))]):
                    if name.partition(".")[0] == "antiphon":
                        yield f"antiphon.{module}", name


def test_no_two_classes_have_one_name() -> None:
    found: dict[str, list[str]] = {}
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(module)
    assert len(found) > 300
    assert not {name: homes for name, homes in found.items() if len(homes) > 1}


def test_loggers_are_named_after_their_folder() -> None:
    found = list(loggers())
    assert len(found) > 20
    for module, name in found:
        assert name == (module if module in APART else module.rpartition(".")[0]), module


def test_the_page_lists_the_loggers() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    section = page.partition("## Loggers")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(antiphon[\w.]*)`", section, re.MULTILINE)) == {name for _, name in loggers()}
