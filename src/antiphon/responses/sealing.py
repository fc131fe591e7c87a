"""Sealer: encrypts texts that clients carry or that lie in the store; only this deployment can open them.

A sealed text is `ANT2.<key id>.<kind>.<size>.<base64url(nonce ‖ ChaCha20-Poly1305(deflate(text)))>`: `kind` is its
purpose, `size` the bytes of the text. Head and owner are authenticated: a seal opens for its owner and
purpose only, and its size is known before it is inflated. The first secret seals, all of them open: rotate by
putting a new one in front.

`ANT1` seals of earlier versions know neither owner nor kind. They open where the server has one owner only (without keys).
"""

from __future__ import annotations

import hmac
import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from antiphon.errors import AntiphonError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

Kind = Literal["reasoning", "thoughts", "found", "compaction", "job", "webhook"]
"""`reasoning` is a text of thoughts, `thoughts` a text with what only its backend can read, `found` what a tool has found."""

MOST_BYTES = 4 * 1024 * 1024
"""Bytes of the largest text that is sealed or opened, a job's request excepted."""
MOST_JOB_BYTES = 1 << 40
ONLY_OWNER = "local"
"""Whom everything belongs to on a server without keys."""

_VERSION = "ANT2"
_FIRST_VERSION = "ANT1"
_NONCE = 12
_LONGEST_NUMBER = 13
_LONGEST_HEAD = 48
_SIGNATURE = 8
"""Bytes of a signature: to guess one takes 2^64 requests."""


class SealError(AntiphonError):
    """A seal cannot be opened; the message says why and may be shown to the client."""


class Sealer:
    """Seals and opens texts, and signs, with keys derived from the operator's secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("A Sealer needs at least one secret.")
        self._secrets = list(keys)
        self._ciphers: dict[str, ChaCha20Poly1305] = {}

    def seal(self, text: str, kind: Kind, owner: str) -> str:
        """Return the text sealed with the first secret, for one owner and purpose. Raises SealError if it is too large."""
        plain = text.encode("utf-8", "surrogatepass")
        if len(plain) > _most(kind):
            raise SealError(f"A text of {len(plain)} bytes cannot be sealed: the limit is {_most(kind)} bytes.")
        key_id, cipher = next(iter(self._load().items()))
        head = f"{_VERSION}.{key_id}.{kind}.{len(plain)}"
        nonce = secrets.token_bytes(_NONCE)
        box = cipher.encrypt(nonce, zlib.compress(plain, 1), _bound(head, owner))
        return f"{head}.{urlsafe_b64encode(nonce + box).decode()}"

    def open(self, sealed: str, kind: Kind, owner: str) -> str:
        """Return the text. Raises SealError where the seal is another's, another kind's, changed or too large."""
        version, _, rest = sealed.partition(".")
        if version == _FIRST_VERSION:
            return self._open_first(rest, owner)
        key_id, _, rest = rest.partition(".")
        cipher = self._load().get(key_id) if version == _VERSION else None
        made_for, _, rest = rest.partition(".")
        size, _, data = rest.partition(".")
        if cipher is None or made_for != kind or not _is_number(size):
            raise _not_verified()
        if int(size) > _most(kind):
            raise SealError(f"The sealed text has {size} bytes: the limit is {_most(kind)} bytes.")
        head = f"{version}.{key_id}.{made_for}.{size}"
        return _text(_decrypted(cipher, data, _bound(head, owner)), int(size))

    def size(self, sealed: str) -> int:
        """Return how many bytes a seal says to hold, without a look inside; for those of earlier versions the most."""
        parts = sealed.split(".", 4)
        if len(parts) == 5 and parts[0] == _VERSION and _is_number(parts[3]):
            return int(parts[3])
        return MOST_BYTES if parts[0] == _FIRST_VERSION else 0

    def has_more(self, sealed: str) -> bool:
        """Tell whether a seal says that it holds thoughts with what only their backend can read."""
        return sealed.startswith(f"{_VERSION}.") and ".thoughts." in sealed[:_LONGEST_HEAD]

    @property
    def loaded(self) -> bool:
        """Tell whether a seal takes no longer than its text: the first one imports the cryptography, which takes a while."""
        return bool(self._ciphers)

    def load(self) -> None:
        """Import the cryptography and derive the keys."""
        self._load()

    def sign(self, *parts: str) -> str:
        """Return a signature of texts in their order, as hexadecimal digits."""
        return self._signature(self._secrets[0], parts)

    def signed(self, signature: str, *parts: str) -> bool:
        """Tell whether a signature of texts was made with one of the secrets."""
        given = signature.encode("utf-8", "surrogatepass")
        return any(hmac.compare_digest(given, self._signature(one, parts).encode()) for one in self._secrets)

    def _signature(self, secret: str, parts: Sequence[str]) -> str:
        key = blake2b(secret.encode(), digest_size=32, person=b"antiphon.sign").digest()
        digest = blake2b(key=key, digest_size=_SIGNATURE)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(data), data))
        return digest.hexdigest()

    def _open_first(self, rest: str, owner: str) -> str:
        key_id, _, data = rest.partition(".")
        cipher = self._load().get(key_id)
        if cipher is None:
            raise _not_verified()
        if owner != ONLY_OWNER:
            raise SealError("The encrypted content was made by an earlier version and is not bound to an owner.")
        return _text(_decrypted(cipher, data, _FIRST_VERSION.encode()), None)

    def _load(self) -> dict[str, ChaCha20Poly1305]:
        """Derive the keys at first use: the import costs 40 ms that most servers never need."""
        if not self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

            for secret in self._secrets:
                key = blake2b(secret.encode(), digest_size=32, person=b"antiphon.seal").digest()
                key_id = blake2b(key, digest_size=6, person=b"antiphon.keyid").hexdigest()
                self._ciphers[key_id] = ChaCha20Poly1305(key)
        return self._ciphers


def _most(kind: str) -> int:
    return MOST_JOB_BYTES if kind == "job" else MOST_BYTES


def _bound(head: str, owner: str) -> bytes:
    return f"{head}.{owner}".encode("utf-8", "surrogatepass")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def _decrypted(cipher: ChaCha20Poly1305, data: str, bound: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        box = urlsafe_b64decode(data)
        return cipher.decrypt(box[:_NONCE], box[_NONCE:], bound)
    except (InvalidTag, ValueError):
        raise _not_verified() from None


def _text(packed: bytes, size: int | None) -> str:
    """Inflate a text, to its size and no further; without one, to the most that a text may have."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, (MOST_BYTES if size is None else size) + 1)
        if len(plain) > (MOST_BYTES if size is None else size) or not inflater.eof:
            raise SealError(f"The sealed text is too large: the limit is {MOST_BYTES} bytes.")
        return plain.decode("utf-8", "surrogatepass")
    except (ValueError, zlib.error):
        raise _not_verified() from None


def _not_verified() -> SealError:
    return SealError("The encrypted content could not be verified.")
