"""Sealed reasoning: thoughts that travel through the client and restore themselves, without id and without store.

A sealed text is `ANT1.<key id>.<base64url(nonce ‖ ChaCha20-Poly1305(text))>`. The first secret seals, all of them open:
rotate by putting a new one in front.
"""

from __future__ import annotations

import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_VERSION = "ANT1"
_NONCE = 12


class Sealer:
    """Seals and opens short texts with keys derived from the operator's secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("A Sealer needs at least one secret.")
        self._secrets = list(keys)
        self._ciphers: dict[str, ChaCha20Poly1305] = {}

    def seal(self, text: str) -> str:
        """Return the text sealed with the first secret."""
        key_id, cipher = next(iter(self._load().items()))
        nonce = secrets.token_bytes(_NONCE)
        box = cipher.encrypt(nonce, zlib.compress(text.encode("utf-8", "surrogatepass"), 1), _VERSION.encode())
        return f"{_VERSION}.{key_id}.{urlsafe_b64encode(nonce + box).decode()}"

    def open(self, sealed: str) -> str | None:
        """Return the text, or None where it was not sealed with one of our secrets or was changed."""
        version, _, rest = sealed.partition(".")
        key_id, _, data = rest.partition(".")
        cipher = self._load().get(key_id) if version == _VERSION else None
        if cipher is None:
            return None
        from cryptography.exceptions import InvalidTag

        try:
            box = urlsafe_b64decode(data)
            packed = cipher.decrypt(box[:_NONCE], box[_NONCE:], _VERSION.encode())
            return zlib.decompress(packed).decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError, zlib.error):
            return None

    def _load(self) -> dict[str, ChaCha20Poly1305]:
        """Derive the keys at first use: the import costs 40 ms that most servers never need."""
        if not self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

            for secret in self._secrets:
                key = blake2b(secret.encode(), digest_size=32, person=b"antiphon.seal").digest()
                key_id = blake2b(key, digest_size=6, person=b"antiphon.keyid").hexdigest()
                self._ciphers[key_id] = ChaCha20Poly1305(key)
        return self._ciphers
