"""An identity provider for tests: real keys, real signatures, its documents over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "antiphon"


def pack(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def pack_number(number: int) -> str:
    """Encode a number as a JWK has it."""
    return pack(number.to_bytes((number.bit_length() + 7) // 8))


class SigningKey:
    """A private key of one of the three kinds."""

    def __init__(self, algorithm: str, kid: str) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self._rsa = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else None
        self._ec = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else None
        self._ed = Ed25519PrivateKey.generate() if algorithm == "EdDSA" else None

    def sign(self, message: bytes) -> bytes:
        """Sign as JWS does."""
        if self._rsa:
            return self._rsa.sign(message, padding.PKCS1v15(), SHA256())
        if self._ec:
            r, s = decode_dss_signature(self._ec.sign(message, ec.ECDSA(SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        assert self._ed
        return self._ed.sign(message)

    def jwk(self) -> dict[str, str]:
        """Return the public key for a JWKS."""
        common = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self._rsa:
            numbers = self._rsa.public_key().public_numbers()
            return {**common, "kty": "RSA", "n": pack_number(numbers.n), "e": pack_number(numbers.e)}
        if self._ec:
            point = self._ec.public_key().public_numbers()
            return {**common, "kty": "EC", "crv": "P-256", "x": pack_number(point.x), "y": pack_number(point.y)}
        assert self._ed
        return {**common, "kty": "OKP", "crv": "Ed25519", "x": pack(self._ed.public_key().public_bytes_raw())}

    def pem(self) -> bytes:
        """Return the public key as PEM."""
        key = self._rsa or self._ec or self._ed
        assert key
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Issuer:
    """An identity provider; `asked` holds the paths that were asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.published: list[Any] = []
        self.status = 200

    def publish(self, *keys: SigningKey) -> None:
        """Make these the keys of the JWKS."""
        self.published = [key.jwk() for key in keys]

    def token(self, key: SigningKey, *, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token; claims that are None are left out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300}
        kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        parts = [{"alg": key.algorithm, "kid": key.kid, "typ": "JWT", **(head or {})}, kept]
        message = ".".join(pack(json.dumps(part).encode()) for part in parts)
        return f"{message}.{pack(key.sign(message.encode()))}"


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run an identity provider."""

    class Documents(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            provider.asked.append(self.path)
            documents = {
                "/.well-known/openid-configuration": {"issuer": provider.url, "jwks_uri": f"{provider.url}/jwks?v=1"},
                "/jwks?v=1": {"keys": provider.published},
            }
            body = json.dumps(documents.get(self.path)).encode()
            self.send_response(provider.status if self.path in documents else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Documents)
    server.daemon_threads = True
    provider = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
