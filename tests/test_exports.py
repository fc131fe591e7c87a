"""What other programs may rely on: the package's own names, its version, its types, and that it imports lightly."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

import antiphon

PACKAGE = Path(antiphon.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]
MODULES = sorted(
    "antiphon." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def test_there_is_one_version() -> None:
    assert antiphon.__version__ == PROJECT["version"] == metadata.version("antiphon")


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_the_command_exists() -> None:
    module, _, function = PROJECT["scripts"]["antiphon"].partition(":")
    assert callable(vars(import_module(module))[function])


def test_the_public_names_are_there_and_typed() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    typed = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(["__version__", *typed]) == sorted(antiphon.__all__)
    assert {name: getattr(antiphon, name) for name in antiphon.__all__}
    assert set(antiphon.__all__) <= set(dir(antiphon))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = antiphon.nothing  # type: ignore[attr-defined]


def test_no_code_is_for_windows_where_nothing_here_runs() -> None:
    assert not [path.name for path in PACKAGE.rglob("*.py") if "win32" in path.read_text()]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_and_has_what_it_exports(module: str) -> None:
    loaded = vars(import_module(module))
    assert set(loaded.get("__all__", ())) <= loaded.keys()
    assert loaded["__doc__"]


@pytest.mark.slow  # a process
@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("antiphon", {"msgspec", "asyncio"}),
        ("antiphon.cli", {"uvicorn", "xllamacpp", "mcp", "lark", "jsonschema_rs"}),
        ("antiphon.composition.app", {"xllamacpp", "mcp", "pydantic", "lark"}),
    ],
)
def test_an_import_brings_nothing_that_is_not_needed_yet(module: str, heavy: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not heavy & set(loaded)
