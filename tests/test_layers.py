"""The layers of docs/design.md: a module imports only what stands to its left; concrete parts only what they need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "antiphon"

# From left to right. A module belongs to the first pattern that fits its name within the package.
LAYERS = (
    r"__init__|errors|config|types(\..*)?",
    r"core(\..*)?|checker(\..*)?|agents|guard|faults|log|masking|offload|room|sealing|turns|writes|settings(\..*)?|backends\.http_\w+",
    r"(backends|tools|stores)\.base|stores\.rows|stores\.condition|services|sink|token_count|fetching|observe|otlp|pulse|caller|keys|limits|periods|places|prices|quota",
    r"abilities|gathering|intake|mcp_declarations|compaction|unsealing|approvals|toolwork|structured|media|prompts|webhooks|tracing",
    r"background|engine|event_log|keeping|job_request",
    r"live",
    r"server(\..*)?",
    r"app|factory|reloading|(backends|stores)\.open",
    r"cli(\..*)?|__main__",
)
CONCRETE = re.compile(r"(backends|tools|stores)(\.(?!base$|rows$|condition$|open$|http_).*)?$")
MAY_USE = re.compile(LAYERS[0] + "|" + LAYERS[1])
IMPURE = frozenset(
    "asyncio datetime http os random secrets select socket sqlite3 subprocess threading time urllib uuid".split()
)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text())


def _imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _own_imports(tree: ast.Module) -> set[str]:
    names = {name.removeprefix("antiphon").lstrip(".") for name in _imports(tree) if name.split(".")[0] == "antiphon"}
    return {name or "__init__" for name in names}


def _layer(module: str) -> int:
    for place, pattern in enumerate(LAYERS):
        if re.fullmatch(pattern, module):
            return place
    raise AssertionError(f"{module} has no layer yet: give it one in LAYERS")


def _allowed(module: str, imported: str) -> bool:
    package = module.split(".")[0]
    if CONCRETE.match(module):
        return imported.split(".")[0] == package or MAY_USE.fullmatch(imported) is not None
    if CONCRETE.match(imported):
        return _layer(module) >= _layer("app")
    return imported.split(".")[0] == package or _layer(imported) <= _layer(module)


@pytest.mark.parametrize(
    ("module", "tree"), list(_modules()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_module_imports_only_what_stands_to_its_left(module: str, tree: ast.Module) -> None:
    assert not [name for name in sorted(_own_imports(tree)) if not _allowed(module, name)]


def _pure() -> list[tuple[str, ast.Module]]:
    return [(name, tree) for name, tree in _modules() if re.match(r"core\b|types\b", name) or name.endswith("_codec")]


@pytest.mark.parametrize(("module", "tree"), _pure(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_core_is_synchronous_and_knows_no_clock_network_or_chance(module: str, tree: ast.Module) -> None:
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in ast.walk(tree) if isinstance(node, asynchronous)]
    assert not IMPURE & {name.split(".")[0] for name in _imports(tree)}
