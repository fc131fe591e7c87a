"""Public keys of an identity provider: JWKS or PEM → what checks a signature (RFC 7517, 7518, 8037)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from antiphon.errors import AntiphonError

LEAST_RSA_BITS = 2048


class UnusableKey(AntiphonError, ValueError):
    """This is no public key that can be used; the message is for the operator."""


class Jwk(msgspec.Struct, frozen=True):
    """An entry of a JWKS."""

    kty: str
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class Jwks(msgspec.Struct, frozen=True):
    """A JWKS."""

    keys: list[msgspec.Raw]


class RsaKey:
    """Checks RS256."""

    algorithm = "RS256"

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        if key.key_size < LEAST_RSA_BITS:
            raise UnusableKey(f"an RSA key has at least {LEAST_RSA_BITS} bits")
        self._key = key

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is good."""
        try:
            self._key.verify(signature, message, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


class EllipticKey:
    """Checks ES256."""

    algorithm = "ES256"

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise UnusableKey("an elliptic curve other than P-256")
        self._key = key

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is good: two numbers of 32 bytes."""
        if len(signature) != 64:
            return False
        der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        try:
            self._key.verify(der, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


class EdwardsKey:
    """Checks EdDSA."""

    algorithm = "EdDSA"

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is good."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


Verifier = RsaKey | EllipticKey | EdwardsKey
"""A public key, bound to the one algorithm that it is for: a token cannot choose another."""


class NamedKey(msgspec.Struct, frozen=True):
    """A key and its `kid`, "" where it has none."""

    kid: str
    verifier: Verifier


def read_keys(data: bytes) -> list[NamedKey]:
    """Read a PEM file (a public key or a certificate) or a JWKS. Raises ValueError where it has no key of use."""
    keys = _pem(data) if data.lstrip().startswith(b"-----BEGIN") else _jwks(data)
    if not keys:
        raise UnusableKey("no RSA, P-256 or Ed25519 key for signatures")
    return keys


def unpack(text: str | bytes) -> bytes:
    """Decode base64url without padding. Raises ValueError for anything else."""
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) % 4 == 1 or b"=" in raw or b"+" in raw or b"/" in raw:
        raise ValueError("not base64url")
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None


def _pem(data: bytes) -> list[NamedKey]:
    if b"BEGIN CERTIFICATE" in data:
        return [NamedKey("", _verifier(load_pem_x509_certificate(data).public_key()))]
    return [NamedKey("", _verifier(load_pem_public_key(data)))]


def _jwks(data: bytes) -> list[NamedKey]:
    """Read the keys that are known; providers list others beside them."""
    keys = []
    for raw in _entries(data):
        try:
            jwk = msgspec.json.decode(raw, type=Jwk)
            key = NamedKey(jwk.kid, _from_jwk(jwk))
        except ValueError:  # msgspec's errors are ValueErrors
            continue
        if jwk.use == "sig" and jwk.alg in ("", key.verifier.algorithm):
            keys.append(key)
    return keys


def _entries(data: bytes) -> Sequence[msgspec.Raw]:
    return msgspec.json.decode(data, type=Jwks).keys


def _from_jwk(jwk: Jwk) -> Verifier:
    match jwk.kty, jwk.crv:
        case "RSA", _:
            numbers = rsa.RSAPublicNumbers(_number(jwk.e), _number(jwk.n))
            return RsaKey(numbers.public_key())
        case "EC", "P-256":
            return EllipticKey(
                ec.EllipticCurvePublicNumbers(_number(jwk.x), _number(jwk.y), ec.SECP256R1()).public_key()
            )
        case "OKP", "Ed25519":
            return EdwardsKey(Ed25519PublicKey.from_public_bytes(unpack(jwk.x)))
        case _:
            raise UnusableKey(f"a key of the kind {jwk.kty} {jwk.crv}")


def _verifier(key: object) -> Verifier:
    match key:
        case rsa.RSAPublicKey():
            return RsaKey(key)
        case ec.EllipticCurvePublicKey():
            return EllipticKey(key)
        case Ed25519PublicKey():
            return EdwardsKey(key)
        case _:
            raise UnusableKey("a key that is neither RSA, nor P-256, nor Ed25519")


def _number(text: str) -> int:
    return int.from_bytes(unpack(text))
