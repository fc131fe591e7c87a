"""How the real command reaches what is outside: through proxies of the environment, private authorities, URLs with queries."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import PATIENCE, free_port
from tests.acceptance.test_listening import Started
from tests.net.certificates import Authority
from tests.net.proxy import proxying
from tests.net.upstream import Call, Upstream

pytestmark = pytest.mark.slow

FAR = "far.example"
PASSWORD = "pass-word-of-the-proxy"


async def backend(call: Call) -> None:
    """Answer in either way; it has one model."""
    if call.method == "GET":
        await call.answer({"object": "list", "data": [{"id": "m", "object": "model"}]})
        return
    said = {"content": f"{call.path} {call.headers.get('api-key', '')}"}
    if call.json.get("stream"):
        await call.start()
        await call.event({"choices": [{"index": 0, "delta": said, "finish_reason": "stop"}]})
        await call.event("[DONE]")
        await call.end()
    else:
        message = {"role": "assistant", **said}
        await call.answer({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@contextlib.asynccontextmanager
async def far_backend(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    upstream = Upstream(backend)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await upstream.stop()


@contextlib.contextmanager
def serving(folder: Path, config: str, **variables: str) -> Iterator[tuple[Started, int]]:
    """Run `antiphon serve` with a file of settings, with variables of proxies in no other way than these."""
    port = free_port()
    (folder / "antiphon.toml").write_text(f'store = "memory"\nport = {port}\nshutdown_grace = 1.0\n{config}')
    process = subprocess.Popen(
        [sys.executable, "-m", "antiphon", "serve", "--quiet"],
        cwd=folder,
        env={**clean_environment(), **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    started = Started(process)
    try:
        yield started, port
    finally:
        process.kill()
        process.wait()
        started._reader.join()
        assert process.stderr is not None
        process.stderr.close()


def clean_environment() -> dict[str, str]:
    """Return the environment without proxies."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


async def said(port: int, **fields: Any) -> str:
    """Make a response; return what the backend said."""

    def ask() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        deadline = time.monotonic() + PATIENCE
        while connection.sock is None:
            with contextlib.suppress(ConnectionRefusedError):
                connection.connect()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        body = json.dumps({"model": "m", "input": "x", **fields})
        connection.request("POST", "/v1/responses", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        last = json.loads(text.split("data: ")[-2]) if fields.get("stream") else {"response": json.loads(text)}
        return str(last["response"]["output"][-1]["content"][0]["text"])

    return await asyncio.to_thread(ask)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_backend_that_only_the_proxy_finds(stream: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign(FAR))
    async with far_backend(context) as port, proxying({FAR: "127.0.0.1"}, PASSWORD) as proxy:
        config = f'[backends.b]\nurl = "https://{FAR}:{port}/v1?api-version=1"\nkey = "k"\nkey_header = "api-key"\n'
        variables = {
            "HTTPS_PROXY": f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(authority.file),
        }
        with serving(tmp_path, config, **variables) as (started, own):
            assert await said(own, stream=stream) == "/v1/chat/completions?api-version=1 k"
            assert PASSWORD not in "".join(started.said)
        assert proxy.asked and set(proxy.asked) == {f"CONNECT {FAR}:{port}"}


async def test_no_proxy_and_the_setting_of_a_backend(tmp_path: Path) -> None:
    async with far_backend() as port, proxying({FAR: "127.0.0.1"}) as proxy, proxying({FAR: "127.0.0.1"}) as other:
        config = (
            f'[backends.near]\nurl = "http://127.0.0.1:{port}/near"\n[models.near]\nbackends = ["near"]\nname = "m"\n'
            f'[backends.own]\nurl = "http://{FAR}:{port}/own"\nproxy = "http://127.0.0.1:{other.port}"\n'
            '[models.own]\nbackends = ["own"]\nname = "m"\n'
        )
        with serving(tmp_path, config, http_proxy=f"http://127.0.0.1:{proxy.port}") as (_, own):
            assert await said(own, model="near") == "/near/chat/completions "
            assert await said(own, model="own") == "/own/chat/completions "
        assert proxy.asked == []
        assert other.asked and all(f" http://{FAR}:{port}/own/" in one for one in other.asked)


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "antiphon", *arguments],
        cwd=folder, env={**clean_environment(), **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_environments_proxies_are_shown_without_passwords(tmp_path: Path) -> None:
    variables = {"HTTPS_PROXY": f"http://user:{PASSWORD}@proxy:3128", "no_proxy": "gpu1,10.0.0.0/8"}
    shown = command(tmp_path, "config", "show", **variables).stdout
    assert "# HTTPS_PROXY: http://***@proxy:3128\n# NO_PROXY: gpu1,10.0.0.0/8\n" in shown
    assert PASSWORD not in shown
    checked = command(tmp_path, "check", "--backend", "https://far.invalid/v1", **variables)
    assert "https://far.invalid/v1 (chat) through the proxy http://***@proxy:3128" in checked.stdout
    assert PASSWORD not in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "arguments", [("serve",), ("config", "show"), ("check", "--backend", "https://far.invalid/v1")]
)
def test_a_proxy_that_is_none_stops_the_start(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = command(tmp_path, *arguments, HTTPS_PROXY=f"gopher://user:{PASSWORD}@x")
    assert ended.returncode == 2
    assert "HTTPS_PROXY: expected a proxy such as" in ended.stderr
    assert PASSWORD not in ended.stderr + ended.stdout
