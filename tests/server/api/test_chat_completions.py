"""`/v1/chat/completions`: a relay between a real client and a real upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from json import dumps, loads

import httpx2
import msgspec
import openai
import pytest

from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.net.fetching import Fetcher
from antiphon.net.url_guard import UrlGuard
from antiphon.responses.intake.media import Media
from antiphon.server.api.chat.completions import ChatCompletions
from antiphon.server.api.chat.required_fields import with_required
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import authenticator, callers
from antiphon.server.http.router import RouteTable
from antiphon.stores.open import open_memory
from tests.net.upstream import Call
from tests.net.upstream import running as upstream
from tests.server.serving import serving

pytestmark = pytest.mark.slow

Handler = Callable[[Call], Awaitable[None]]

MODELS = {
    "nova": ModelConfig(backends=["one"], name="acme/nova-60b", temperature=0.3, aliases=["gpt-nova"]),
    "embedder": ModelConfig(backends=["one"], chat_completions=False),
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "acme/nova-60b",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi!", "odd": [1]}}],
}


@asynccontextmanager
async def relay(
    handler: Handler, allow: list[str] | None = None, **settings: object
) -> AsyncIterator[tuple[httpx2.AsyncClient, list[Call]]]:
    """Put a client, the relay and an upstream in a row."""
    async with upstream(handler) as backend:
        config = BackendConfig(url=backend.url, key="sk-upstream", discover=False, **settings)
        chat = ChatBackend("one", config, MODELS)
        registry = Registry(MODELS, {"one": chat}, discover=set(), settings={"one": config})
        guard = UrlGuard(allow or [])
        media = Media(open_memory().files, guard, Fetcher(guard, limit=10_000), lambda: 1.0, limit=10_000)
        router = RouteTable()
        router.add("POST", "/chat/completions", ChatCompletions(registry, media).create)

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            yield
            await registry.close()

        app = AntiphonApp(router, authenticator(callers(["k"])), lifespan=lifespan)
        with serving(app) as served:
            async with httpx2.AsyncClient(
                base_url=f"{served.url}/v1", headers={"x-api-key": "k"}, timeout=10
            ) as client:
                yield client, backend.calls


def body(**fields) -> dict[str, object]:
    return {"model": "nova", "messages": [{"role": "user", "content": "hi"}], **fields}


async def answer(call: Call) -> None:
    await call.answer(ANSWER)


async def test_relays_the_answer_whole_and_the_request_nearly_so():
    async with relay(answer) as (client, calls):
        got = await client.post("/chat/completions", json=body(seed=7, odd={"x": [None]}))
        assert got.status_code == 200 and got.json() == loads(with_required(dumps(ANSWER).encode()))
        assert got.headers["x-request-id"].startswith("req_")
    assert calls[0].json == body(model="acme/nova-60b", temperature=0.3, seed=7, odd={"x": [None]})


async def test_the_clients_fields_win_over_defaults_and_aliases_resolve():
    async with relay(answer) as (client, calls):
        await client.post("/chat/completions", json=body(model="gpt-nova", temperature=1))
    assert (calls[0].json["model"], calls[0].json["temperature"]) == ("acme/nova-60b", 1)


PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\r\n\r\n: odd comment\n'


async def stream(call: Call) -> None:
    await call.start()
    for number in range(3):
        await call.chunk(PIECE % number)
        await asyncio.sleep(0.01)
    await call.chunk(b"data: [DONE]\n\n")
    await call.end()


async def test_relays_a_stream_byte_for_byte():
    async with relay(stream) as (client, _):
        got = await client.post("/chat/completions", json=body(stream=True))
    assert got.headers["content-type"] == "text/event-stream"
    pieces = [PIECE % number for number in range(3)]
    assert got.content == b"".join(pieces) + b"data: [DONE]\n\n"


async def test_the_official_client_streams():
    async with relay(stream) as (client, _):
        official = openai.AsyncOpenAI(base_url=str(client.base_url), api_key="k", max_retries=0)
        chunks = await official.chat.completions.create(
            model="nova", messages=[{"role": "user", "content": "x"}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in chunks]) == "012"
        await official.close()


BARE = (
    b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x","own":[1.50]},"more":1}],"own":0.10}'
)
ANSWERS = [
    (BARE, b'"refusal":null'),
    (b'{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[]}}]}', b'"content":null'),
    (
        b'{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"logprobs":{"content":[]}}]}',
        b'"logprobs":{"content":[]}',
    ),
    (b'{"choices":[]}', b'{"choices":[]}'),
    (b'{"choices":[{"index":0}]}', b'{"choices":[{"index":0}]}'),
    (b'{"choices":[{"message":7}]}', b'{"choices":[{"message":7}]}'),
    (b'{"object":"error"}', b'{"object":"error"}'),
    (b"no JSON", b"no JSON"),
    (b'{"choices":[{"message":{"refusal":"No."}}]}', b'{"choices":[{"message":{"refusal":"No."}}]}'),
]


@pytest.mark.parametrize(("theirs", "ours"), ANSWERS)
def test_a_whole_answer_has_the_fields_that_are_required(theirs, ours):
    told = with_required(theirs)
    assert ours in told
    if told != theirs:
        assert all(word in told for word in (b'"refusal":null', b'"logprobs":', b'"content":'))
    if theirs is BARE:
        assert b'"own":[1.50]' in told and b'"own":0.10' in told and b'"more":1' in told


REFUSED = [
    (body(model="nobody"), "model", "model_not_found"),
    (body(model="embedder"), "model", "unsupported_model"),
    (body(model=7), "model", "invalid_type"),
    ({"model": "nova"}, "messages", "missing_required_parameter"),
    (body(messages="hi"), "messages", "invalid_type"),
    (body(stream="yes"), "stream", "invalid_type"),
    ([], "", "invalid_type"),
]


@pytest.mark.parametrize(("request_body", "param", "code"), REFUSED)
async def test_what_every_backend_would_refuse_is_a_400(request_body, param, code):
    async with relay(answer) as (client, calls):
        got = await client.post("/chat/completions", json=request_body)
    error = got.json()["error"]
    assert (got.status_code, error["param"], error["code"]) == (400, param, code) and not calls


async def test_malformed_json_is_a_400():
    async with relay(answer) as (client, _):
        got = await client.post("/chat/completions", content=b"{")
    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_backends_refusal_comes_in_our_shape(streamed):
    async def refuse(call: Call) -> None:
        await call.answer({"error": {"message": "seed is too large", "type": "invalid_request_error"}}, 400)

    async with relay(refuse) as (client, _):
        got = await client.post("/chat/completions", json=body(stream=streamed))
    assert got.status_code == 400 and got.json()["error"]["message"] == got.json()["detail"]
    assert "seed is too large" in got.json()["detail"] and "sk-upstream" not in got.text


async def test_a_backend_that_breaks_off_before_the_end_is_told():
    async def break_off(call: Call) -> None:
        await call.start()
        await call.event({"choices": []})
        call.hang_up()

    async with relay(break_off) as (client, _):
        got = await client.post("/chat/completions", json=body(stream=True))
    last, done = got.text.strip().split("\n\n")[-2:]
    assert '"error"' in last and "backend_error" in last and done == "data: [DONE]"
    assert "127.0.0.1" not in got.text


@pytest.mark.parametrize("streamed", [True, False])
async def test_the_backend_is_let_go_when_the_client_leaves(streamed):
    arrived, calls = asyncio.Event(), []

    async def hang(call: Call) -> None:
        calls.append(call)
        if streamed:
            await call.start()
            await call.event({"choices": []})
        arrived.set()
        await asyncio.sleep(30)

    async with relay(hang) as (client, _):
        request = asyncio.create_task(client.post("/chat/completions", json=body(stream=streamed)))
        await arrived.wait()
        request.cancel()
        await asyncio.wait_for(calls[0].gone.wait(), 5)


# Media

LOOPBACK = ["127.0.0.0/8"]
PNG = b"\x89PNG\r\n\x1a\n"
PNG_URL = "data:image/png;base64,iVBORw0KGgo="
FORMS = {
    "image_url": lambda url: {"type": "image_url", "image_url": {"url": url}},
    "image_url as a string": lambda url: {"type": "image_url", "image_url": url},
    "escaped name": lambda url: {"type": "image_url", "image_url": {"url": url}},
    "video_url": lambda url: {"type": "video_url", "video_url": {"url": url}},
    "audio_url": lambda url: {"type": "audio_url", "audio_url": {"url": url}},
    "file": lambda url: {"type": "file", "file": {"file_url": url}},
    "source": lambda url: {"type": "image", "source": {"type": "url", "url": url}},
}
REFUSED = [
    "http://169.254.169.254/latest/meta-data",
    "http://10.0.0.1/a.png",
    "http://localhost./a.png",
    "http://internal-service.default.svc.cluster.local/a.png",
    "file:///etc/passwd",
    "http://%31%32%37.0.0.1/a.png",
    "gopher://8.8.8.8/",
]


def seeing(part: dict[str, object]) -> dict[str, object]:
    return body(messages=[{"role": "user", "content": [{"type": "text", "text": "see"}, part]}])


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("form", FORMS)
async def test_urls_of_media_are_guarded(form: str, inline: bool) -> None:
    async with relay(answer, inline_images=inline) as (client, calls):
        for url in REFUSED:
            content = msgspec.json.encode(seeing(FORMS[form](url)))
            if form == "escaped name":
                content = content.replace(b"image_url", b"image\\u005furl")
            got = await client.post("/chat/completions", content=content)
            error = got.json()["error"]
            assert (got.status_code, error["code"]) in {(400, "url_not_allowed"), (400, "invalid_url")}, url
            assert error["param"].startswith("messages[0].content[1].")
        assert not calls


async def test_images_are_fetched_here_unless_the_backend_is_to_do_it() -> None:
    async def picture(call: Call) -> None:
        await call.answer(PNG, type="image/png")

    async with upstream(picture) as site:
        part = FORMS["image_url"](f"{site.url}/a.png")
        async with relay(answer, LOOPBACK) as (client, calls):
            assert (await client.post("/chat/completions", json=seeing(part))).status_code == 200
            sent = calls[0].json["messages"][0]["content"]
            assert sent == [{"type": "text", "text": "see"}, FORMS["image_url"](PNG_URL)]
        async with relay(answer, LOOPBACK, inline_images=False) as (client, calls):
            assert (await client.post("/chat/completions", json=seeing(part))).status_code == 200
            assert calls[0].json["messages"][0]["content"][1] == part
        assert len(site.calls) == 1


async def test_links_in_texts_are_nobodys_business() -> None:
    async with relay(answer) as (client, calls):
        request = body(messages=[{"role": "user", "content": "see http://10.0.0.1/ \\u0075rl"}])
        assert (await client.post("/chat/completions", json=request)).status_code == 200
        assert calls[0].json["messages"] == request["messages"]


async def test_an_mcp_server_for_the_backend_is_guarded() -> None:
    async with relay(answer) as (client, calls):
        tools = [{"type": "mcp", "server_label": "x", "server_url": "http://10.0.0.1/mcp"}]
        got = await client.post("/chat/completions", json=body(tools=tools))
        assert (got.status_code, got.json()["error"]["param"]) == (400, "tools[0].server_url")
        assert not calls


BARE = [
    {"type": "image", "image": "http://169.254.169.254/a"},
    {"type": "video", "video": ["http://169.254.169.254/1", "http://169.254.169.254/2"]},
    {"type": "audio", "audio": "HTTP://localhost/a"},
    {"type": "file", "file": {"file_id": "http://10.0.0.1/a.pdf"}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": "http://10.0.0.1/a.pdf"}},
    {"type": "image_url", "image_url": ["http://10.0.0.1/a"]},
]


@pytest.mark.parametrize("part", BARE, ids=lambda part: part["type"])
async def test_addresses_in_the_place_of_data_are_guarded(part: dict) -> None:
    async with relay(answer) as (client, calls):
        got = await client.post("/chat/completions", json=seeing(part))
        assert (got.status_code, got.json()["error"]["code"]) == (400, "url_not_allowed")
        assert not calls


async def test_data_and_ids_pass_as_they_are() -> None:
    parts = [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "image", "image": "iVBORw0KGgo="},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]
    async with relay(answer) as (client, calls):
        for part in parts:
            assert (await client.post("/chat/completions", json=seeing(part))).status_code == 200
            assert calls[-1].json["messages"][0]["content"][1] == part
