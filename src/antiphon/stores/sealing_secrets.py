"""The secrets that seal what clients carry: configured, or kept beside the store."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from antiphon.config import Config
from antiphon.errors import ConfigError
from antiphon.stores.open import is_url, shared_secret


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
