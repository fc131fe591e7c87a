"""How backends are reached: queries of URLs, headers of keys, unix sockets, proxies, certificates."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.open import open_backend
from antiphon.backends.responses.backend import ResponsesBackend
from antiphon.config import BackendConfig, Config
from antiphon.config.masking import secrets_of
from antiphon.config.rules import check
from antiphon.config.shortcuts import backend_tables
from antiphon.config.tables import mask
from antiphon.errors import BackendError, ConfigError
from tests.net.certificates import Authority
from tests.net.proxy import proxying
from tests.net.upstream import Call, Upstream, running

AZURE = "/openai/deployments/d"
VERSION = "?api-version=2024-10-21"


async def models(call: Call) -> None:
    await call.answer({"object": "list", "data": [{"id": "m", "object": "model"}]})


def opened(url: str, **fields: Any) -> ChatBackend | ResponsesBackend:
    backend = open_backend("b", BackendConfig(url=url, **fields))
    assert isinstance(backend, (ChatBackend, ResponsesBackend))
    return backend


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"key": "k"}, {"authorization": "Bearer k"}),
        ({"key": "k", "key_header": "API-Key"}, {"api-key": "k"}),
        ({"key": "k", "headers": {"Authorization": "Basic x"}}, {"authorization": "Basic x"}),
    ],
)
async def test_a_query_is_kept_and_the_key_is_where_it_is_wanted(
    fields: dict[str, Any], headers: dict[str, str], api: str
) -> None:
    async with running(models) as upstream:
        backend = opened(f"http://127.0.0.1:{upstream.port}{AZURE}{VERSION}", api=api, **fields)
        assert [model.id for model in await backend.models()] == ["m"]
        await backend.close()
        (call,) = upstream.calls
        assert call.path == f"{AZURE}/models{VERSION}"
        assert {name: call.headers[name] for name in ("authorization", "api-key") if name in call.headers} == headers


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"key": "k"}, {"x-api-key": "k"}),
        ({"key": "k", "key_header": "authorization"}, {"authorization": "Bearer k"}),
        ({"key": "k", "headers": {"X-API-Key": "other"}}, {"x-api-key": "other"}),
    ],
)
async def test_a_messages_server_has_its_key_in_a_header_of_its_own(
    fields: dict[str, Any], headers: dict[str, str]
) -> None:
    async with running(models) as upstream:
        backend = open_backend(
            "b", BackendConfig(url=f"http://127.0.0.1:{upstream.port}/a?b=c", api="anthropic", **fields)
        )
        assert [model.id for model in await backend.models()] == ["m"]
        await backend.close()
        (call,) = upstream.calls
        assert call.path == "/a/v1/models?b=c&limit=1000"
        assert {name: call.headers[name] for name in ("authorization", "x-api-key") if name in call.headers} == headers


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://api.anthropic.com", "anthropic"),
        ("https://api.anthropic.com/v1/", "anthropic"),
        ("claude=https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://api.moonshot.ai/anthropic", "anthropic"),
        ("https://api.minimax.io/anthropic/v1", "anthropic"),
        ("http://127.0.0.1:8000/v1/messages", "anthropic"),
        ("https://anthropic.example.com/v1", "chat"),
        ("http://127.0.0.1:8000/v1", "chat"),
        ("unix:/run/llama.sock:/v1", "chat"),
        ("http://[", "chat"),
    ],
)
def test_the_api_of_a_url_that_is_given_alone(url: str, api: str) -> None:
    (told,) = backend_tables([url], [], [], "--backend").values()
    assert told.get("api", "chat") == api
    (told,) = backend_tables([url], [], ["responses"], "--backend").values()
    assert told["api"] == "responses"


@pytest.mark.parametrize("endpoint", ["", "/chat/completions", "/responses", "/"])
async def test_a_url_that_was_pasted_with_its_endpoint(endpoint: str) -> None:
    async with running(models) as upstream:
        backend = opened(f"http://127.0.0.1:{upstream.port}{AZURE}{endpoint}{VERSION}")
        await backend.models()
        await backend.close()
        assert [call.path for call in upstream.calls] == [f"{AZURE}/models{VERSION}"]


@pytest.mark.parametrize("path", ["", ":/v1", ":/v1?a=b"])
async def test_a_backend_on_a_unix_socket(path: str, tmp_path: Path) -> None:
    socket = str(tmp_path / "s")
    async with running(models, socket) as upstream:
        backend = opened(f"unix:{socket}{path}", proxy="http://nobody.invalid:1")
        assert [model.id for model in await backend.models()] == ["m"]
        await backend.close()
        base, _, query = path.removeprefix(":").partition("?")
        (call,) = upstream.calls
        assert call.path == f"{base}/models{'?' + query if query else ''}"
        assert call.headers["host"] == "localhost"


async def test_a_backend_behind_a_proxy_of_its_own() -> None:
    async with running(models) as upstream, proxying({"far.example": "127.0.0.1"}, "pass-word") as proxy:
        url = f"http://far.example:{upstream.port}/v1"
        backend = opened(url, proxy=f"http://user:pass-word@127.0.0.1:{proxy.port}")
        assert [model.id for model in await backend.models()] == ["m"]
        await backend.close()
        assert proxy.asked == [f"GET {url}/models"]
        backend = opened(url, proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(BackendError, match="The proxy to the backend refused this server's password") as caught:
            await backend.models()
        assert caught.value.status == 502
        await backend.close()


async def test_a_backend_of_a_private_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    cert, key = map(str, authority.sign("client"))
    upstream = Upstream(models)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/v1"
    backend = opened(url, ca=str(authority.file), client_cert=cert, client_key=key)
    assert [model.id for model in await backend.models()] == ["m"]
    await backend.close()
    backend = opened(url, ca=str(authority.file))
    with pytest.raises(BackendError):
        await backend.models()
    await backend.close()
    server.close()
    await upstream.stop()
    with pytest.raises(ConfigError, match=r"^backends\.b\.ca: /none"):
        opened(url, ca="/none")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"url": "ftp://h"}, r"backends\.b\.url: 'ftp://h' is not http"),
        ({"url": "http://h", "proxy": "ftp://p"}, r"backends\.b\.proxy: expected"),
        ({"url": "http://h", "key_header": "a: b"}, r"backends\.b\.key_header: 'a: b' is not the name of a header"),
        ({"url": "http://h", "key_header": ""}, r"backends\.b\.key_header: '' is not"),
    ],
)
def test_settings_that_cannot_be(fields: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        check(Config(store="memory", backends={"b": BackendConfig(**fields)}))


def test_keys_inside_of_urls_are_masked() -> None:
    url = "https://h/v1?api-version=2024-10-21&api-key=hush-hush&code=a%2Fbcdefgh#x"
    assert mask(url) == "https://h/v1?api-version=2024-10-21&api-key=***&code=***#x"
    proxy = "http://user:pass-word@p:1"
    config = Config(store="memory", backends={"b": BackendConfig(url=url, proxy=proxy)})
    assert {"hush-hush", "a%2Fbcdefgh", "a/bcdefgh", "pass-word"} <= set(secrets_of(config))
