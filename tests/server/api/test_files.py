"""`/v1/files` over a real socket, with the official client and without."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import openai
import pytest

from antiphon.backends.routing.registry import Registry
from antiphon.config import Config
from antiphon.net.url_guard import UrlGuard
from antiphon.responses.sealing import Sealer
from antiphon.responses.services import Services
from antiphon.server.api.files import Files
from antiphon.server.api.incoming import FileBounds, Incoming
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import authenticator, callers
from antiphon.server.http.router import RouteTable
from antiphon.server.process.run import make_server
from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite
from antiphon.tools.mcp.servers import McpServers

MAX_BODY = 300_000
BOUNDS = FileBounds(file=5_000_000, owner_bytes=8_000_000, owner_files=40)


class Server:
    """A server that has files and nothing else; `now` is its clock."""

    def __init__(self, store: Store, port: int) -> None:
        self.now = 1_700_000_000.0
        self.url = f"http://127.0.0.1:{port}/v1"
        services = Services(
            config=Config(max_body=MAX_BODY),
            router=Registry({}, {}),
            store=store,
            sealer=Sealer(["x"]),
            tool_servers=McpServers(UrlGuard(), {}, 1.0),
            clock=lambda: self.now,
        )
        router = RouteTable()
        incoming = Incoming(store.files, services.clock, BOUNDS)
        files = Files(incoming, services.new_id_base)
        router.add("POST", "/files", files.create)
        router.add("GET", "/files", files.list)
        router.add("GET", "/files/{id}", files.read)
        router.add("DELETE", "/files/{id}", files.delete)
        router.add("GET", "/files/{id}/content", files.content)
        self.app = AntiphonApp(router, authenticator(callers(["ann", "bob"])), max_body=MAX_BODY)

    def client(self, key: str = "ann") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key=key, max_retries=0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    store = open_sqlite(tmp_path / "store.db")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(store, listening.getsockname()[1])
        running = make_server(server.app, Config(shutdown_grace=0.0))
        task = asyncio.create_task(running.serve([listening]))
        while not running.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        yield server
        running.should_exit = True
        await task
    await store.close()


async def test_the_official_client_uploads_lists_reads_and_deletes(server: Server) -> None:
    content = bytes(range(256)) * 1000 + b"\r\n"
    async with server.client() as client:
        made = await client.files.create(file=("ä %22 b.bin", content, "application/x-thing"), purpose="user_data")
        assert (made.object, made.bytes, made.purpose, made.status) == ("file", len(content), "user_data", "processed")
        assert (made.filename, made.created_at, made.expires_at) == ('ä " b.bin', 1_700_000_000, None)
        assert made.id.startswith("file-")
        assert await client.files.retrieve(made.id) == made
        assert (await client.files.list()).data == [made]
        assert (await client.files.content(made.id)).content == content
        deleted = await client.files.delete(made.id)
        assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "file", True)
        assert (await client.files.list()).data == []
        for call in (client.files.retrieve, client.files.delete, client.files.content):
            with pytest.raises(openai.NotFoundError) as missing:
                await call(made.id)
            assert missing.value.code == "file_not_found"


async def test_a_path_as_upload(server: Server, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes")
    async with server.client() as client:
        made = await client.files.create(file=tmp_path / "notes.md", purpose="assistants")
        assert (made.filename, made.bytes) == ("notes.md", 7)


async def test_files_belong_to_their_owner(server: Server) -> None:
    async with server.client() as ann, server.client("bob") as bob:
        made = await ann.files.create(file=b"x", purpose="user_data")
        assert (await bob.files.list()).data == []
        for call in (bob.files.retrieve, bob.files.delete, bob.files.content):
            with pytest.raises(openai.NotFoundError):
                await call(made.id)
        assert await ann.files.retrieve(made.id) == made


async def test_pages(server: Server) -> None:
    async with server.client() as client:
        made = [
            await client.files.create(file=(f"{n}.txt", b"x"), purpose="vision" if n % 2 else "batch") for n in range(7)
        ]
        ids = [file.id for file in made]
        assert [file.id async for file in client.files.list(limit=3)] == ids[::-1]
        assert [file.id async for file in client.files.list(limit=2, order="asc")] == ids
        assert [file.id async for file in client.files.list(purpose="vision", order="asc")] == ids[1::2]
        first = await client.files.list(limit=3)
        assert first.has_more and first.data[-1].id == ids[4]
        assert not (await client.files.list(limit=4, after=ids[4])).has_more
        for wrong in ({"after": "file_none"}, {"limit": 0}, {"limit": 10_001}, {"order": "up"}):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.files.list(**wrong)  # type: ignore[arg-type]
            assert refused.value.param == next(iter(wrong))


async def test_a_file_expires(server: Server) -> None:
    async with server.client() as client:
        expiry = {"anchor": "created_at", "seconds": 3600}
        made = await client.files.create(file=b"x", purpose="user_data", expires_after=expiry)  # type: ignore[arg-type]
        assert made.expires_at == made.created_at + 3600
        server.now += 3599
        assert await client.files.retrieve(made.id) == made
        server.now += 1
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(made.id)
        for seconds, anchor in ((3599, "created_at"), (2_592_001, "created_at"), (3600, "now")):
            with pytest.raises(openai.BadRequestError, match="expires_after"):
                await client.files.create(
                    file=b"x",
                    purpose="user_data",
                    expires_after={"anchor": anchor, "seconds": seconds},  # type: ignore[typeddict-item]
                )


async def test_what_is_refused(server: Server) -> None:
    headers = {"authorization": "Bearer ann"}

    async def post(**arguments: object) -> tuple[int, str, str]:
        async with httpx2.AsyncClient(headers=headers, trust_env=False) as client:
            answer = await client.post(f"{server.url}/files", **arguments)  # type: ignore[arg-type]
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["param"]

    upload = {"file": ("a.txt", b"x")}
    assert await post(files=upload) == (400, "missing_required_parameter", "purpose")
    assert await post(files=upload, data={"purpose": "fun"}) == (400, "invalid_value", "purpose")
    assert await post(files={"other": b"x"}, data={"purpose": "vision"}) == (400, "missing_required_parameter", "file")
    assert await post(files={"file": ("a.txt", b"")}, data={"purpose": "vision"}) == (400, "empty_file", "file")
    assert await post(json={}) == (415, "unsupported_content_type", "")
    large = {"file": ("a.txt", b"x" * (BOUNDS.file + 1))}
    assert await post(files=large, data={"purpose": "vision"}) == (413, "request_too_large", "")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert await post(content=b"nothing", headers=broken) == (400, "invalid_form", "")


async def test_a_browser_is_given_a_download_and_nothing_to_run(server: Server) -> None:
    async with server.client() as client:
        made = await client.files.create(file=("evil ä.html", b"<script>", "text/html"), purpose="user_data")
        answer = await client.files.content(made.id)
    assert answer.response.headers["content-type"] == "application/octet-stream"
    assert answer.response.headers["content-disposition"] == "attachment; filename*=UTF-8''evil%20%C3%A4.html"
    assert answer.response.headers["x-content-type-options"] == "nosniff"
