"""The Python inside a sandbox: which one, with which folders, and the program that it is started with."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from antiphon.tools.sandbox.base import Interior, SandboxError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
USUAL = ("/usr/bin/python3", "/usr/local/bin/python3")
ASK_SECONDS = 10
_INSIDE = ("frames", "files", "interpreter", "program", "stillness", "supervisor")

_LOADER = """
import sys, json, types
settings, sources = json.loads(sys.argv[1]), json.loads(sys.argv[2])
del sys.argv[1:]
for name, source in sources:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)
module.main(settings)
"""


@cache
def _sources() -> str:
    """Return what runs inside as JSON: names of modules and their source. It comes as an argument: no file is opened."""
    package = "antiphon.tools.sandbox.inside"
    parents = ["antiphon", "antiphon.tools", "antiphon.tools.sandbox", package]
    folder = resources.files(package)
    modules = [(f"{package}.{name}", folder.joinpath(f"{name}.py").read_text()) for name in _INSIDE]
    return json.dumps([*((name, "") for name in parents), *modules])


def program(settings: dict[str, object]) -> list[str]:
    """Return the arguments that make a Python the first process of a sandbox."""
    return ["-I", "-B", "-c", _LOADER, json.dumps(settings), _sources()]


def interiors(python: str, user: int | None) -> Iterator[Interior]:
    """Yield the Pythons that may be used, best first: `python` alone where it is given. Raises SandboxError.

    `user`: the uid that has to reach them.
    """
    if python:
        yield _asked(python, user)
        return
    own = Interior(python=sys.executable, folders=_folders(sys.prefix, sys.base_prefix))
    if sys.executable and _reachable(own, user):
        yield own
    for path in USUAL:
        if os.path.exists(path) and path != sys.executable:
            yield Interior(python=path)


def _asked(python: str, user: int | None) -> Interior:
    path = shutil.which(python)
    if path is None:
        raise SandboxError(f"there is no Python '{python}'")
    question = "import sys,json;print(json.dumps([sys.executable,sys.prefix,sys.base_prefix]))"
    try:
        said = subprocess.run(  # noqa: S603 (the operator's own program)
            [path, "-I", "-c", question], capture_output=True, timeout=ASK_SECONDS, check=True, env={}
        )
        executable, *prefixes = json.loads(said.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise SandboxError(f"'{python}' is no Python that runs") from None
    found = Interior(python=executable, folders=_folders(*prefixes))
    if not _reachable(found, user):
        raise SandboxError(f"'{python}' cannot be reached by the user {user}, whom sandboxes run under")
    return found


def _folders(*prefixes: str) -> tuple[str, ...]:
    """Return the folders of a Python that are not among the system's."""
    paths = dict.fromkeys(os.path.abspath(prefix) for prefix in prefixes)
    return tuple(path for path in paths if not any(path == one or path.startswith(one + "/") for one in SYSTEM))


def _reachable(interior: Interior, user: int | None) -> bool:
    """Tell whether a user reaches a Python: each folder above it lets everybody through. None is the server's own."""
    if any(len(Path(folder).parts) < 2 for folder in interior.folders):
        return False
    if user is None:
        return True
    paths = {Path(os.path.realpath(interior.python)), *map(Path, interior.folders)}
    above = {parent for path in paths for parent in (path, *path.parents)}
    try:
        return all(path.stat().st_mode & stat.S_IXOTH for path in above)
    except OSError:
        return False
