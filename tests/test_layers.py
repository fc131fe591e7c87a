"""The layers of docs/design.md: what each folder may import, one line each."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache

from tests.package_source import PACKAGE, modules, nodes

# A folder, or a module that lies beside the folders → what it imports besides itself; `*`: all that stand above it.
MAY_IMPORT = {
    "__init__": "",
    "types": "",
    "errors": "",
    "core": "types errors",
    "runtime": "errors",
    "net": "errors runtime",
    "config": "errors net",
    "conformance": "errors core net",
    "runtime.checker": "errors runtime",
    "tools.sandbox": "errors",
    "stores": "types errors core runtime net config",
    "tools.retrieval": "types errors core runtime net config stores",
    "backends": "types errors core runtime net config",
    "tools.containers": "errors stores tools.sandbox",
    "tools": "types errors core runtime net config stores tools.retrieval tools.sandbox tools.containers",
    "access": "types errors core config stores backends",
    "telemetry": "types errors core runtime net config stores backends tools access",
    "responses": "*",
    "server.batches.work": "*",
    "server": "*",
    "composition": "*",
    "cli": "*",
    "__main__": "cli",
}

# What the others see of a folder that holds several kinds of one thing. Which kind is used is known to COMPOSING only.
SEAMS = {
    "backends": "base",
    "stores": "base records item_ids audit_records log_records batch_records usage_records webhook_records condition",
    "tools": "base server_budget",
    "tools.sandbox": "base",
}
COMPOSING = frozenset(("composition", "cli"))

MOST_FILES = 20
IMPURE = frozenset(
    "asyncio datetime http os random secrets select socket sqlite3 subprocess threading time urllib uuid".split()
)


def imports(tree: Iterable[ast.AST], *, for_types: bool = True) -> Iterator[str]:
    """Yield what the nodes of a module import, in functions as well; without `for_types` not what only type checkers see."""
    tree = list(tree)
    unseen = set() if for_types else {id(node) for block in tree if _for_types(block) for node in ast.walk(block)}
    for node in tree:
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def own_imports(name: str, *, for_types: bool = True) -> set[str]:
    """Return the package's modules that one of them imports."""
    found = set()
    for imported in imports(nodes(name), for_types=for_types):
        package, _, rest = imported.partition(".")
        if package == "antiphon":
            module = rest if rest in modules() else rest.rpartition(".")[0]
            found.add(module or "__init__")
    return found - {name}


def folder_of(name: str) -> str:
    """Return the folder of MAY_IMPORT that a module lies in: a room within a folder may have a line of its own."""
    parts = name.split(".")
    rooms = (".".join(parts[:depth]) for depth in range(len(parts), 1, -1))
    return next((room for room in rooms if room in MAY_IMPORT), parts[0])


def allowed_to(folder: str) -> set[str]:
    """Return the folders that one may import."""
    if MAY_IMPORT[folder] != "*":
        return set(MAY_IMPORT[folder].split())
    order = list(MAY_IMPORT)
    return set(order[: order.index(folder)])


def test_a_module_imports_what_its_folder_may() -> None:
    wrong = []
    for name in modules():
        folder = folder_of(name)
        allowed = {folder, "__init__", *allowed_to(folder)}
        wrong += [f"{name} imports {one}" for one in sorted(own_imports(name)) if folder_of(one) not in allowed]
    assert not wrong


def test_the_kinds_behind_a_seam_are_known_to_their_folder_alone() -> None:
    wrong = []
    for name in modules():
        for imported in sorted(own_imports(name)):
            behind = folder_of(imported)
            if folder_of(name) not in COMPOSING and behind in SEAMS and behind != folder_of(name):
                seams = {f"{behind}.{seam}" for seam in SEAMS[behind].split()}
                wrong += [f"{name} imports {imported}"] if imported not in seams else []
    assert not wrong


def test_layers_stand_in_order() -> None:
    seen: set[str] = set()
    for folder in MAY_IMPORT:
        assert allowed_to(folder) <= seen
        seen.add(folder)


def test_no_imports_go_in_a_circle() -> None:
    left = {name: own_imports(name, for_types=False) for name in modules()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_no_folder_is_crowded() -> None:
    for folder in (PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__")):
        files = [path.name for path in folder.iterdir() if path.is_file()]
        assert len(files) <= MOST_FILES or folder.name == "schema", folder  # a migration is never taken away


def test_the_core_is_synchronous_and_knows_no_clock_network_or_chance() -> None:
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    wrong = []
    for name in modules():
        if folder_of(name) in ("core", "types") or name.endswith(".codec"):
            tree = nodes(name)
            wrong += [f"{name}: line {node.lineno}" for node in tree if isinstance(node, asynchronous)]
            wrong += [f"{name} imports {found}" for found in imports(tree) if found.partition(".")[0] in IMPURE]
    assert not wrong
