"""Tokens of an identity provider: what is let in, as whom, and what is not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.access.caller import Caller
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, JwtConfig, ModelConfig
from antiphon.errors import APIError, ConfigError
from antiphon.server.auth import jwks
from antiphon.server.auth.jwk import read_keys, unpack
from antiphon.server.auth.jwks import key_source
from antiphon.server.auth.jwt_auth import JwtTokens
from tests.server.auth.issuer import AUDIENCE, Issuer, SigningKey, issuer, pack
from tests.server.handlers import call
from tests.server.serving import serving

KEYS = {algorithm: SigningKey(algorithm, algorithm.lower()) for algorithm in ("RS256", "ES256", "EdDSA")}
RSA = KEYS["RS256"]
STRANGER = SigningKey("RS256", "rs256")  # the same name, another key


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as provider:
        provider.publish(*KEYS.values())
        yield provider


def config(provider: Issuer, **more: Any) -> JwtConfig:
    return JwtConfig(**{"issuer": provider.url, "audience": [AUDIENCE], **more})


@pytest.fixture
async def tokens(provider: Issuer) -> AsyncIterator[JwtTokens]:
    settings = config(provider)
    tokens = JwtTokens(settings, key_source(settings), time.time)
    yield tokens
    await tokens.close()


async def caller_of(provider: Issuer, token: str, **more: Any) -> Caller:
    settings = config(provider, **more)
    tokens = JwtTokens(settings, key_source(settings), time.time)
    caller = await tokens.find(token.encode())
    await tokens.close()
    assert caller is not None
    return caller


async def refused(tokens: JwtTokens, token: str) -> str:
    with pytest.raises(APIError) as caught:
        await tokens.find(token.encode())
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert caught.value.headers == {"www-authenticate": "Bearer"}
    return caught.value.message


# Let in


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_a_good_token_is_let_in(provider: Issuer, tokens: JwtTokens, algorithm: str) -> None:
    caller = await tokens.find(provider.token(KEYS[algorithm]).encode())
    assert caller is not None and caller.owner.startswith("jwt_") and caller.scopes == {"responses", "chat", "tools"}


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_the_key_may_be_a_file(tmp_path: Path, provider: Issuer, algorithm: str) -> None:
    key = KEYS[algorithm]
    pem, keys = tmp_path / "key.pem", tmp_path / "keys.json"
    pem.write_bytes(key.pem())
    keys.write_text(json.dumps({"keys": [key.jwk()]}))
    for file in (pem, keys):
        assert (await caller_of(provider, provider.token(key), key_file=str(file))).owner


@pytest.mark.parametrize("value", [5, True, ["responses", 5], {"responses": 1}])
@pytest.mark.parametrize("claim", ["scopes_claim", "models_claim"])
async def test_scopes_and_models_are_texts(provider: Issuer, claim: str, value: object) -> None:
    settings = config(provider, **{claim: "what"})
    tokens = JwtTokens(settings, key_source(settings), time.time)
    try:
        assert "must be a string or a list" in await refused(tokens, provider.token(RSA, what=value))
    finally:
        await tokens.close()


@pytest.mark.parametrize("part", [0, 1])
async def test_a_deep_token_is_refused(provider: Issuer, tokens: JwtTokens, part: int) -> None:
    deep = b'{"alg":"RS256","iss":"x","a":%b%b}' % (b"[" * 5000, b"]" * 5000)
    good = provider.token(RSA).split(".")[:2]
    good[part] = pack(deep)
    message = ".".join(good)
    assert await refused(tokens, f"{message}.{pack(RSA.sign(message.encode()))}")


async def test_an_owner_is_the_issuers_and_the_subjects(provider: Issuer) -> None:
    ann, again = [await caller_of(provider, provider.token(RSA)) for _ in range(2)]
    bob = await caller_of(provider, provider.token(RSA, sub="bob"))
    assert ann.owner == again.owner != bob.owner
    other = await caller_of(
        provider,
        provider.token(RSA, iss="http://other.example"),
        issuer="http://other.example",
        jwks_url=f"{provider.url}/jwks?v=1",
    )
    assert other.owner != ann.owner
    tenant = await caller_of(provider, provider.token(RSA, tenant="t"), owner_claim="tenant")
    assert (
        tenant.owner
        == (await caller_of(provider, provider.token(RSA, tenant="t", sub="bob"), owner_claim="tenant")).owner
    )


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        ("openid responses", {"responses"}),
        (["read", "antiphon:chat"], {"read", "chat"}),
        ("openid profile", set()),
        ("antiphon:admin", {"admin"}),
        (None, set()),
    ],
)
async def test_scopes_of_a_claim(provider: Issuer, claim: Any, scopes: set[str]) -> None:
    token = provider.token(RSA, scope=claim)
    assert (await caller_of(provider, token, scopes_claim="scope")).scopes == scopes
    assert (await caller_of(provider, token, scopes=["read"])).scopes == {"read"}


async def test_models_of_a_claim(provider: Issuer) -> None:
    token = provider.token(RSA, models=["gpt-*"])
    assert (await caller_of(provider, token, models_claim="models")).models == ("gpt-*",)
    assert (await caller_of(provider, token, models=["llama"])).models == ("llama",)
    nothing = await caller_of(provider, provider.token(RSA), models_claim="models")
    assert nothing.models == ("",)  # a token that names none may call none


async def test_mcp_servers_of_a_claim(provider: Issuer) -> None:
    token = provider.token(RSA, servers=["docs", "https://mcp.example.com/*"])
    some = await caller_of(provider, token, mcp_servers_claim="servers")
    assert [some.may_use(name) for name in ("docs", "https://mcp.example.com/a", "other")] == [True, True, False]
    fixed = await caller_of(provider, token, mcp_servers=["other"])
    assert [fixed.may_use(name) for name in ("docs", "other")] == [False, True]
    nothing = await caller_of(provider, provider.token(RSA), mcp_servers_claim="servers")
    assert not nothing.may_use("docs")  # a token that names none may use none
    assert (await caller_of(provider, token)).may_use("docs")


async def test_limits_are_each_owners(provider: Issuer) -> None:
    ann = await caller_of(provider, provider.token(RSA), limits=["60 requests/min"])
    bob = await caller_of(provider, provider.token(RSA, sub="bob"), limits=["60 requests/min"])
    assert [str(limit) for limit in ann.limits] == ["60 requests/minute"]
    assert ann.meter != bob.meter
    with pytest.raises(ConfigError, match=r"jwt\.limits"):
        JwtTokens(config(provider, limits=["x"]), key_source(config(provider)), time.time)


async def test_clocks_may_differ_a_little(provider: Issuer, tokens: JwtTokens) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 50}, {"iat": now + 50}, {"nbf": now + 50}, {"exp": now + 60.5}, {"iat": None}):
        assert await tokens.find(provider.token(RSA, **claims).encode())


async def test_an_audience_among_several(provider: Issuer, tokens: JwtTokens) -> None:
    assert await tokens.find(provider.token(RSA, aud=["other", AUDIENCE]).encode())


async def test_what_is_no_token_is_somebody_elses_affair(tokens: JwtTokens) -> None:
    for text in (b"sk-x", b"a.b.c", b"eyJ.x", b"", b"..", b"ey"):
        assert await tokens.find(text) is None


# Refused


async def test_claims_that_are_not_good(provider: Issuer, tokens: JwtTokens) -> None:
    now = int(time.time())
    for claims, words in (
        ({"exp": now - 61}, "expired"),
        ({"nbf": now + 70}, "not valid yet"),
        ({"iat": now + 70}, "not valid yet"),
        ({"iss": "http://evil.example"}, "wrong issuer"),
        ({"aud": "other"}, "wrong audience"),
        ({"aud": []}, "wrong audience"),
        ({"aud": None}, "a required claim is missing"),
        ({"exp": None}, "a required claim is missing"),
        ({"exp": "tomorrow"}, "a required claim is missing"),
        ({"sub": None}, "missing claim 'sub'"),
        *(({"sub": value}, "must be a string") for value in ({"a": 1}, 5, 5.0, True, False, ["ann"], [])),
        *(({"sub": value}, "is empty") for value in ("", " ", "\t\n", "\u00a0")),
        *(({"iss": value}, "wrong type") for value in (5, True, ["x"], {})),
        *(({"aud": value}, "wrong type") for value in (5, True, [AUDIENCE, 5], {AUDIENCE: 1})),
        *(({"exp": value}, "wrong type") for value in ("9999999999", True, [9999999999])),
        *(({"nbf": value}, "wrong type") for value in ("0", False, [])),
        *(({"iat": value}, "wrong type") for value in ("0", False, [])),
    ):
        assert words in await refused(tokens, provider.token(RSA, **claims))


async def test_signatures_that_are_not_good(provider: Issuer, tokens: JwtTokens) -> None:
    head, payload, signature = provider.token(RSA).split(".")
    other = pack(json.dumps({**json.loads(unpack(payload)), "sub": "bob"}).encode())
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{head}.{payload}.",
        provider.token(STRANGER),
    ):
        assert "bad signature" in await refused(tokens, token)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS512", "PS256", ""])
async def test_a_token_cannot_choose_how_it_is_checked(provider: Issuer, tokens: JwtTokens, algorithm: str) -> None:
    token = provider.token(RSA, head={"alg": algorithm})
    assert "not accepted" in await refused(tokens, token)
    assert "not accepted" in await refused(tokens, token.rpartition(".")[0] + ".")


async def test_a_public_key_is_no_secret_to_sign_with(provider: Issuer, tokens: JwtTokens) -> None:
    """The confusion of algorithms: the provider's public key taken as the secret of an HMAC."""
    head, payload = (
        pack(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "rs256"}, {"iss": provider.url})
    )
    signature = hmac.new(RSA.pem(), f"{head}.{payload}".encode(), hashlib.sha256).digest()
    assert "not accepted" in await refused(tokens, f"{head}.{payload}.{pack(signature)}")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_a_key_is_for_its_own_algorithm(provider: Issuer, tokens: JwtTokens, algorithm: str) -> None:
    assert "bad signature" in await refused(tokens, provider.token(RSA, head={"alg": algorithm}))
    assert "bad signature" in await refused(tokens, provider.token(KEYS[algorithm], head={"kid": "rs256"}))


async def test_an_algorithm_that_the_operator_has_not_allowed(provider: Issuer) -> None:
    with pytest.raises(APIError):
        await caller_of(provider, provider.token(RSA), algorithms=["EdDSA"])


async def test_extensions_that_nobody_knows(provider: Issuer, tokens: JwtTokens) -> None:
    assert "unknown critical extension" in await refused(
        tokens, provider.token(RSA, head={"crit": ["b64"], "b64": False})
    )


@pytest.mark.parametrize("token", ["eyJ.e30.x", "ey!.a.b", "eyJhbGciOiJSUzI1NiJ9.e30=.AAAA", "eyJhbGciOjF9.e30.AAAA"])
async def test_malformed_tokens(tokens: JwtTokens, token: str) -> None:
    assert "malformed" in await refused(tokens, token)


async def test_a_token_without_end(provider: Issuer, tokens: JwtTokens) -> None:
    assert "too large" in await refused(tokens, provider.token(RSA, more="x" * 20_000))


async def test_a_claim_of_another_kind(provider: Issuer) -> None:
    with pytest.raises(APIError, match="'scope' must be a string"):
        await caller_of(provider, provider.token(RSA, scope=7), scopes_claim="scope")


# Where keys come from


async def test_keys_are_asked_for_once_and_by_discovery(provider: Issuer, tokens: JwtTokens) -> None:
    provider.asked.clear()
    token = provider.token(RSA).encode()
    await asyncio.gather(*(tokens.find(token) for _ in range(20)))
    assert provider.asked == ["/.well-known/openid-configuration", "/jwks?v=1"]


async def test_a_new_key_is_asked_for_but_not_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with issuer() as provider:
        old, new = SigningKey("EdDSA", "old"), SigningKey("EdDSA", "new")
        provider.publish(old)
        settings = config(provider, jwks_url=f"{provider.url}/jwks?v=1")
        tokens = JwtTokens(settings, key_source(settings), time.time)
        assert await tokens.find(provider.token(old).encode())
        provider.publish(old, new)
        for _ in range(5):
            await refused(tokens, provider.token(new))
        assert len(provider.asked) == 1  # strangers cannot make us ask all the time
        monkeypatch.setattr(jwks, "PAUSE", 0.0)
        assert await tokens.find(provider.token(new).encode())
        provider.status = 500  # what is known stays known
        await refused(tokens, provider.token(SigningKey("EdDSA", "newer")))
        assert await tokens.find(provider.token(new).encode())
        await tokens.close()


async def test_a_provider_that_is_away_is_a_503() -> None:
    with issuer() as provider:
        token = provider.token(RSA)
    settings = config(provider)
    tokens = JwtTokens(settings, key_source(settings), time.time)
    with pytest.raises(APIError) as caught:
        await tokens.find(token.encode())
    assert caught.value.status == 503 and provider.url not in caught.value.message
    await tokens.close()


def test_keys_that_cannot_be_used_are_passed_over() -> None:
    small = {"kty": "RSA", "n": pack(b"\xff" * 128), "e": "AQAB"}
    others = [
        small,
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-521"},
        {"kty": "OKP", "crv": "X25519", "x": ""},
        {},
    ]
    encryption = {**RSA.jwk(), "use": "enc"}
    other_use = {**RSA.jwk(), "alg": "RS512"}
    found = read_keys(json.dumps({"keys": [*others, encryption, other_use, RSA.jwk()]}).encode())
    assert [key.kid for key in found] == ["rs256"]
    with pytest.raises(ValueError, match="no RSA, P-256 or Ed25519 key"):
        read_keys(json.dumps({"keys": others}).encode())


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), ("x", "cannot be used"), ("-----BEGIN X-----", "cannot be used")]
)
def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        key_source(JwtConfig(issuer="i", audience=["a"], key_file=str(file)))


# On a server


def test_tokens_and_keys_side_by_side(provider: Issuer) -> None:
    settings = Config(
        store="memory",
        shutdown_grace=0.5,
        jwt=config(provider, limits=["2 requests/min"], models_claim="models"),
        models={"gpt-small": ModelConfig(name="scripted")},
        backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
    )
    with serving(app.build(settings), settings) as served:

        def ask(token: str) -> Any:
            body = json.dumps({"model": "gpt-small", "input": "Hi."})
            return call(served.url, "POST", "/v1/responses", body, {"authorization": f"Bearer {token}"})

        assert call(served.url, "GET", "/v1/models").error()["code"] == "missing_api_key"
        ann, bob = (provider.token(RSA, sub=name, models="gpt-*") for name in ("ann", "bob"))
        assert [ask(ann).status for _ in range(3)] == [200, 200, 429]
        made = ask(bob)
        assert made.status == 200
        path = f"/v1/responses/{made.json()['id']}"
        assert call(served.url, "GET", path, headers={"x-api-key": bob}).status == 200
        assert call(served.url, "GET", path, headers={"x-api-key": ann}).status == 404
        assert ask(provider.token(RSA, sub="carol")).error()["code"] == "model_not_found"
        assert ask(provider.token(STRANGER)).status == 401
