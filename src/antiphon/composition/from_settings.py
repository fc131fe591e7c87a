"""What settings become: bounds, sandboxes, readers of tokens, secrets."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from antiphon.backends.openai_calls import connect
from antiphon.config import BackendConfig, CodeInterpreterConfig, Config, JwtConfig
from antiphon.errors import ConfigError
from antiphon.runtime.checker.pool import Bounds
from antiphon.server.api.incoming import FileBounds
from antiphon.stores.open import is_url, shared_secret
from antiphon.tools.base import ToolServers
from antiphon.tools.containers.base import MEMORY, ContainerBounds
from antiphon.tools.sandbox.base import SandboxKind, SandboxLimits
from antiphon.tools.sandbox.pool import Sandboxes

if TYPE_CHECKING:
    from antiphon.server.auth.jwt_auth import JwtTokens
    from antiphon.tools.images.server import ImageServer
    from antiphon.tools.remote_code import RemoteSandboxes


def make_sandboxes(settings: CodeInterpreterConfig) -> Sandboxes:
    """Return what starts sandboxes, as the settings have it. Nothing is tried yet."""
    limits = SandboxLimits(memory=MEMORY[settings.memory], disk=settings.disk, processes=settings.processes)
    off = 'tools.code_interpreter.sandbox is "off"' if settings.sandbox == "off" else ""
    return Sandboxes(sandbox_kinds(settings), limits, python=settings.python, off=off)


def sandbox_kinds(settings: CodeInterpreterConfig) -> Sequence[SandboxKind]:
    """Return the kinds of sandboxes that are tried, in order."""
    match settings.sandbox:
        case "auto":
            from antiphon.tools.sandbox.bubblewrap import Bubblewrap
            from antiphon.tools.sandbox.seatbelt import Seatbelt

            return Bubblewrap(), Seatbelt()
        case "bwrap":
            from antiphon.tools.sandbox.bubblewrap import Bubblewrap

            return (Bubblewrap(),)
        case "seatbelt":
            from antiphon.tools.sandbox.seatbelt import Seatbelt

            return (Seatbelt(),)
        case "sandlock":
            from antiphon.tools.sandbox.sandlock import Sandlock

            return (Sandlock(),)
        case "docker" | "podman":
            from antiphon.tools.sandbox.engine import ContainerEngine

            return (ContainerEngine(settings.sandbox, settings.image, settings.runtime),)
    return ()


def code_source(config: Config, servers: Callable[[], ToolServers]) -> Sandboxes | RemoteSandboxes:
    """Return what runs the code of models: sandboxes of this machine, or a tool of an MCP server. Nothing is tried yet."""
    settings = config.tools.code_interpreter
    if not settings.tool:
        return make_sandboxes(settings)
    from antiphon.tools.remote_code import RemoteSandboxes

    return RemoteSandboxes(servers, settings.tool)


def image_server(config: Config) -> ImageServer | None:
    """Return the server of images, where one is set. Raises ConfigError."""
    settings = config.tools.image_generation
    backend = config.backends.get(settings.backend)
    if backend is None:
        if not settings.url:
            return None
        backend = BackendConfig(url=settings.url, key=settings.key)
    from antiphon.tools.images.server import MOST_STREAMED, ImageServer

    seconds = settings.timeout
    patient = replace(backend, first_token_timeout=seconds, idle_timeout=seconds, max_answer=MOST_STREAMED)
    client = connect(settings.backend or "image_generation", patient)
    return ImageServer(client, settings.model, settings.models, seconds)


def container_bounds(config: Config) -> ContainerBounds:
    """Return the bounds of containers."""
    settings = config.tools.code_interpreter
    return ContainerBounds(
        memory=MEMORY[settings.memory],
        idle=settings.idle_minutes * 60,
        per_owner=settings.per_owner,
        total=settings.total,
        stored=settings.max_containers,
        call_seconds=settings.call_seconds,
        lease=config.background_lease,
    )


def file_bounds(config: Config) -> FileBounds:
    """Return the bounds of uploaded files."""
    return FileBounds(file=config.max_upload, owner_bytes=config.owner_file_bytes, owner_files=config.owner_files)


def schema_bounds(config: Config) -> Bounds:
    """Return what the check of a JSON Schema, or of an answer against one, may take."""
    return Bounds(
        processes=config.schema_processes,
        seconds=config.schema_timeout,
        memory=config.schema_memory * 1024 * 1024,
        schema=config.schema_limit,
    )


def make_tokens(config: JwtConfig) -> JwtTokens:
    """Make the reader of an identity provider's tokens; its cryptography is not imported without need."""
    from antiphon.server.auth.jwks import key_source
    from antiphon.server.auth.jwt_auth import JwtTokens

    return JwtTokens(config, key_source(config), time.time)


def sealing_secrets(config: Config) -> list[str]:
    """Return the secrets that seal reasoning: the configured ones, newest first, or one kept beside the store."""
    if config.secret:
        return [secret.strip() for secret in config.secret.split(",") if secret.strip()]
    if config.store == "memory":
        return [secrets.token_hex(32)]
    if is_url(config.store):
        return [shared_secret(config.store)]
    return [kept_secret(Path(config.store).expanduser().with_suffix(".key"))]


def kept_secret(path: Path) -> str:
    """Read a secret from a file, making it first where it is not there. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(path, "x", opener=_private) as new:
            new.write(secrets.token_hex(32))
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"The secret file {path} cannot be used: {error.strerror}.") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
