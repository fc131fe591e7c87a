"""JSON Web Tokens of an identity provider → Caller (RFC 7519, 8725; OpenID Connect Discovery)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw

from antiphon.access.caller import SCOPES, Caller, Limit, parse_limits
from antiphon.config import JwtConfig
from antiphon.errors import ConfigError
from antiphon.server.auth.authenticator import invalid
from antiphon.server.auth.jwk import unpack
from antiphon.server.auth.jwks import KeySource

MOST_BYTES = 16_384
SCOPE_PREFIX = "antiphon:"
"""Scopes may carry it, so that they don't clash with other programs': `antiphon:responses`."""


class Head(msgspec.Struct, frozen=True):
    """A token's head. What is `crit` must be understood: nothing is."""

    alg: str
    kid: str = ""
    crit: list[str] = []


class Claims(msgspec.Struct, frozen=True):
    """The claims that are always looked at. Times are Unix seconds."""

    iss: str
    aud: str | list[str]
    exp: float
    nbf: float | None = None
    iat: float | None = None


_head = msgspec.json.Decoder(Head)
_claims = msgspec.json.Decoder(Claims)
_all_claims = msgspec.json.Decoder(dict[str, Raw])
_texts = msgspec.json.Decoder(str | list[str])
_identity = msgspec.json.Decoder(str)


class JwtTokens:
    """Tokens of one issuer. Raises ConfigError."""

    def __init__(self, config: JwtConfig, keys: KeySource, clock: Callable[[], float]) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._limits = _limits(config)

    async def find(self, presented: bytes) -> Caller | None:
        """Return the caller of a token. Raises APIError 401 for one that is not good, and says why."""
        parts = presented.split(b".")
        if len(parts) != 3 or not presented.startswith(b"ey"):
            return None
        if len(presented) > MOST_BYTES:
            raise invalid("Invalid token: too large.")
        try:
            head, payload = _head.decode(unpack(parts[0])), unpack(parts[1])
            signature = unpack(parts[2])
        except (ValueError, RecursionError):
            raise invalid("Invalid token: malformed.") from None
        await self._check_signature(head, b".".join(parts[:2]), signature)
        return self._caller(payload)

    async def closed(self) -> bool:
        """Tell that others need a key."""
        return True

    async def close(self) -> None:
        """Close the connection to the issuer."""
        await self._keys.close()

    async def _check_signature(self, head: Head, message: bytes, signature: bytes) -> None:
        if head.alg not in self._config.algorithms:
            raise invalid("Invalid token: signature algorithm not accepted.")
        if head.crit:
            raise invalid("Invalid token: unknown critical extension ('crit').")
        for key in await self._keys.named(head.kid):
            # The key says which algorithm it is for; the token's head only has to agree.
            if key.verifier.algorithm == head.alg and key.verifier.verify(signature, message):
                return
        raise invalid("Invalid token: bad signature or unknown key.")

    def _caller(self, payload: bytes) -> Caller:
        try:
            claims, others = _claims.decode(payload), _all_claims.decode(payload)
        except (ValueError, RecursionError):
            raise invalid("Invalid token: a required claim is missing or has the wrong type.") from None
        self._check(claims)
        name = _owner(claims.iss, self._identity(others))
        return Caller(
            owner=name,
            scopes=self._scopes(others),
            models=self._models(others),
            mcp_servers=self._mcp_servers(others),
            limits=self._limits,
            meter=name,
        )

    def _identity(self, claims: dict[str, Raw]) -> str:
        """Return whom objects belong to: a text that is not empty, so that 5 and "5" are never one owner."""
        claim = self._config.owner_claim
        if claim not in claims:
            raise invalid(f"Invalid token: missing claim '{claim}'.")
        try:
            identity = _identity.decode(claims[claim])
        except (ValueError, RecursionError):
            raise invalid(f"Invalid token: claim '{claim}' must be a string.") from None
        if not identity.strip():
            raise invalid(f"Invalid token: claim '{claim}' is empty.")
        return identity

    def _check(self, claims: Claims) -> None:
        config, now = self._config, self._clock()
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != config.issuer:
            raise invalid("Invalid token: wrong issuer ('iss').")
        if not set(audience) & set(config.audience):
            raise invalid("Invalid token: wrong audience ('aud').")
        if claims.exp + config.leeway <= now:
            raise invalid("The token has expired.")
        if max(claims.nbf or 0, claims.iat or 0) - config.leeway > now:
            raise invalid("The token is not valid yet.")

    def _scopes(self, claims: dict[str, Raw]) -> frozenset[str]:
        if not self._config.scopes_claim:
            return frozenset(self._config.scopes)
        given = _list(claims, self._config.scopes_claim)
        return frozenset(scope.removeprefix(SCOPE_PREFIX) for scope in given) & frozenset(SCOPES)

    def _models(self, claims: dict[str, Raw]) -> tuple[str, ...]:
        if not self._config.models_claim:
            return tuple(self._config.models)
        return tuple(_list(claims, self._config.models_claim)) or NO_MODEL

    def _mcp_servers(self, claims: dict[str, Raw]) -> tuple[str, ...]:
        if not self._config.mcp_servers_claim:
            return tuple(self._config.mcp_servers)
        return tuple(_list(claims, self._config.mcp_servers_claim)) or NO_MODEL


NO_MODEL = ("",)
"""A pattern that no id fits: none at all would mean every model, or every MCP server."""


def _list(claims: dict[str, Raw], name: str) -> Sequence[str]:
    """Return a claim's texts: an array, or words with spaces between."""
    if name not in claims:
        return ()
    try:
        value = _texts.decode(claims[name])
    except (ValueError, RecursionError):
        raise invalid(f"Invalid token: claim '{name}' must be a string or a list of strings.") from None
    return value.split() if isinstance(value, str) else value


def _owner(issuer: str, name: str) -> str:
    """Return the owner's id: no choice of names at the issuer makes somebody else of its user."""
    said = b"%d:%b%b" % (len(issuer), issuer.encode(), name.encode())
    return "jwt_" + hashlib.blake2b(said, digest_size=16, person=b"antiphon.owner").hexdigest()


def _limits(config: JwtConfig) -> tuple[Limit, ...]:
    try:
        return parse_limits(config.limits)
    except ValueError as error:
        raise ConfigError(f"jwt.limits: {error}") from None
