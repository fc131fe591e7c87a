"""Where a shell runs its commands: at the client, or in a container of this server, as `environment` says."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.types.raw import OptionalRaw

SHELL = "shell"
HOSTED_SHELL = "hosted_shell"
"""The kind of a shell whose commands this server runs. Its declarations and items have the types of the client's shell."""

CONTAINER_AUTO = "container_auto"
CONTAINER_REFERENCE = "container_reference"


class _Environment(msgspec.Struct):
    type: str = ""


class _Shell(msgspec.Struct):
    environment: OptionalRaw = None


_shell = msgspec.json.Decoder(_Shell)
_environment = msgspec.json.Decoder(_Environment)


def in_container(shell: Raw) -> bool:
    """Tell whether a shell's declaration, or a call of one, names a container."""
    try:
        environment = _shell.decode(shell).environment
        if environment is None or bytes(environment) == b"null":
            return False
        return _environment.decode(environment).type in (CONTAINER_AUTO, CONTAINER_REFERENCE)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
