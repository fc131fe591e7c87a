"""Bounds, names and errors of containers, and what a call in one gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.stores.records import StoredContainerFile
from antiphon.tools.sandbox.base import FOLDER, Ended

GIB = 1 << 30
MEMORY = {"1g": GIB, "4g": 4 * GIB, "16g": 16 * GIB, "64g": 64 * GIB}
"""Values of `memory_limit` → bytes."""

LONGEST_NAME = 256
MOST_GIVEN = 50
"""Files that a container may be given when it is made."""

MOST_FILE = 64 << 20
"""Bytes of a file of a container that is kept."""

MOST_CHANGES = 100
"""Files that are kept of one call."""


class NetworkPolicy(msgspec.Struct, frozen=True):
    """`network_policy`."""

    type: Literal["disabled", "allowlist"] = "disabled"


class ContainerBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of containers.

    `memory`: the most that one may be given; `idle`: seconds after which one expires; `per_owner`, `total`: sandboxes that run
    at the same time in this process; `stored`: containers of an owner; `call_seconds`: of one call; `lease`: seconds after
    which the container of a call whose server has died is free again.
    """

    memory: int = GIB
    idle: int = 1200
    per_owner: int = 4
    total: int = 16
    stored: int = 100
    call_seconds: float = 60.0
    lease: float = 15.0


def check_file_size(size: int, param: str) -> None:
    """Refuse a file that is too large for a container. Raises InvalidRequest."""
    if size > MOST_FILE:
        raise InvalidRequest(
            f"A file of a container has at most {MOST_FILE >> 20} MiB.", param=param, code="file_too_large"
        )


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a call in a container gave: its end, new and changed files as they are kept, files that are not, and why.

    `seconds`: for how long it ran.
    """

    ended: Ended
    files: Sequence[StoredContainerFile] = ()
    left_out: Sequence[str] = ()
    seconds: float = 0.0


class ProgramLeft(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended, and the content of the file that it left, b"" for none."""

    ended: Ended
    content: bytes


class ContainersBusy(APIError):
    """503: as many sandboxes run as may, and all of them are in use."""

    def __init__(self) -> None:
        super().__init__(503, "All containers of this server are in use. Try again later.", code="containers_busy")


def container_not_found(id: str, param: str) -> NotFound:
    """Return the 404."""
    return NotFound(
        f"Container '{id}' not found: it has been deleted, or has expired.", param=param, code="container_not_found"
    )


def shown_path(path: str) -> str:
    """Return a file's path as the code in the container sees it."""
    return f"{FOLDER}/{path}"


def kept_path(filename: str) -> str:
    """Return the path below the folder for an uploaded file's name."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    clean = "".join(one for one in name if one.isprintable()).strip()
    while len(clean.encode()) > 200:
        clean = clean[1:]
    return clean if clean.strip(".") else "file"


def memory_name(memory: int) -> str:
    """Return bytes as `memory_limit` has them."""
    return next((name for name, bytes in MEMORY.items() if bytes == memory), f"{memory // GIB}g")


def container_memory(limit: str | None, policy: NetworkPolicy | None, most: int, param: str) -> int:
    """Return the memory of a container that is to be made. Raises InvalidRequest for what this server cannot give."""
    prefix = f"{param}." if param else ""
    if policy is not None and policy.type != "disabled":
        raise InvalidRequest(
            "Code in containers of this server has no network: 'network_policy' must be 'disabled'.",
            param=f"{prefix}network_policy",
            code="unsupported_value",
        )
    memory = MEMORY[limit] if limit is not None else min(MEMORY["1g"], most)
    if memory > most:
        raise InvalidRequest(
            f"This server gives a container at most {memory_name(most)} of memory.",
            param=f"{prefix}memory_limit",
            code="unsupported_value",
        )
    return memory
