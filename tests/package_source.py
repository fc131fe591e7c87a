"""The package's source, for tests that read it: each module is parsed once in a process, when it is first asked for."""

from __future__ import annotations

import ast
import gc
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "antiphon"


@cache
def modules() -> Mapping[str, Path]:
    """Return the files of all modules by name within the package, `__init__` of a folder under the folder's name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def nodes(name: str) -> Sequence[ast.AST]:
    """Return the syntax tree of a module, flat: the module itself first."""
    gc.disable()  # it is kept to the end: to look for garbage in it would take longer than to parse it
    try:
        return list(ast.walk(ast.parse(modules()[name].read_text())))
    finally:
        gc.freeze()
        gc.enable()


def shown(name: str) -> str:
    """Return the path of a module within the package."""
    return modules()[name].relative_to(PACKAGE).as_posix()
