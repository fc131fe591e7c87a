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

_PACKAGE = "antiphon.tools.sandbox.inside"

_LOADER = """
import os, sys
sys.path[:] = [path for path in sys.path if path]
def read(size):
    data = bytearray()
    while len(data) < size:
        piece = os.read(SETTINGS["socket"] or 0, size - len(data))
        if not piece: os._exit(1)
        data += piece
    return bytes(data)
class Sent:
    sources = {}
    @staticmethod
    def find_spec(name, path=None, target=None):
        return type(sys.__spec__)(name, Sent, is_package=not Sent.sources[name]) if name in Sent.sources else None
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        exec(compile(Sent.sources[module.__name__], module.__name__, "exec", optimize=2), module.__dict__)
while size := int(read(8)):
    name = read(size).decode()
    Sent.sources[name] = read(int(read(8)))
sys.meta_path.insert(0, Sent)
from antiphon.tools.sandbox.inside.supervisor import main
main(SETTINGS)
"""


@cache
def sources() -> bytes:
    """Return what runs inside: names of modules and their source, each behind its size in 8 digits; a size of 0 ends it.

    It comes over the connection: no file is opened, and an argument of this size would be held several times by an idle
    container. A module is compiled where it is imported: `program` and what that imports would be half of one.
    """
    parents = ["antiphon", "antiphon.tools", "antiphon.tools.sandbox", _PACKAGE]
    folder = resources.files(_PACKAGE)
    modules = {f"{_PACKAGE}.{name}": folder.joinpath(f"{name}.py").read_bytes() for name in _INSIDE}
    pieces = [
        piece for name, source in (dict.fromkeys(parents, b"") | modules).items() for piece in (name.encode(), source)
    ]
    return b"".join(b"%08d%b" % (len(piece), piece) for piece in pieces) + b"%08d" % 0


def program(settings: dict[str, object]) -> list[str]:
    """Return the arguments that make a Python the first process of a sandbox, which then reads `sources`.

    Its environment is the sandbox's own, and holds the seed of hashes: `-I` would leave that out. The folder of files is no place
    to import from.
    """
    return ["-s", "-B", "-c", f"SETTINGS = {settings!r}{_LOADER}"]


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
