"""An application for the tests of the HTTP edge, and a client that shows what is on the wire."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Mapping

import msgspec

from antiphon.errors import APIError
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import authenticator, callers
from antiphon.server.auth.hosts import Hosts
from antiphon.server.http.messages import ClientGone, Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.server.ws.asgi_socket import ASGIWebSocket

HOSTS = ["a", "anything.example"]
"""Names that the tests' requests have as Host."""


class Probe:
    """Handlers that note what happens to them."""

    def __init__(self) -> None:
        self.calls = 0
        self.written = 0
        self.cancelled = 0
        self.gone = 0
        self.forced = asyncio.Event()

    async def echo(self, request: Request) -> Reply:
        self.calls += 1
        body = await request.body()
        seen = {"method": request.method, "path": request.path, "params": request.params, "query": request.query}
        return json_reply({**seen, "owner": request.owner, "id": request.request_id, "body": body.decode("latin-1")})

    async def count(self, request: Request) -> Reply:
        return json_reply({"size": len(await request.body())})

    async def parts(self, request: Request) -> Reply:
        """Read the body part by part, the first one late."""
        sizes = []
        try:
            while part := await request.part(20_000_000):
                self.written += len(part)
                sizes.append(len(part))
                while not self.forced.is_set():  # noqa: ASYNC110  # it is set by another thread
                    await asyncio.sleep(0.01)
        except ClientGone:
            self.gone += 1
            raise
        return json_reply({"size": sum(sizes), "largest": max(sizes, default=0)})

    async def sized(self, request: Request) -> None:
        sink = await request.stream("text/plain", length=200_000)
        for _ in range(2):
            await sink.write(b"x" * 100_000)
        await sink.close()

    async def stream(self, request: Request) -> None:
        await request.body()
        sink = await request.stream(headers=[(b"x-extra", b"yes")])
        sink.write_nowait(b"data: 0\n\n")
        sink.write_nowait(b"")
        await sink.drain()
        for number in range(1, 4):
            await asyncio.sleep(0)
            await sink.write(b"data: %d\n\n" % number)
        sink.write_nowait(b"data: [DONE]\n\n")
        await sink.close()

    async def slow(self, request: Request) -> Reply:
        await request.body()
        request.cancel_on_disconnect()
        self.calls += 1
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return json_reply({})

    async def flood(self, request: Request) -> None:
        """Write as fast as the client reads, until it leaves."""
        sink = await request.stream()
        try:
            while True:
                await sink.write(b"x" * 10_000)
                self.written += 10_000
                await asyncio.sleep(0)
        except ClientGone:
            self.gone += 1
            raise

    async def drip(self, request: Request) -> None:
        """Write every 10 ms until the client leaves or the end is forced."""
        sink = await request.stream()
        self.calls += 1
        try:
            while not self.forced.is_set():
                await sink.write(b"data: drip\n\n")
                await asyncio.sleep(0.01)
            sink.write_nowait(b"data: failed\n\ndata: [DONE]\n\n")
            await sink.close()
        except ClientGone:
            self.gone += 1

    async def timer(self, request: Request) -> None:
        """Write without ever draining, as a keepalive timer does."""
        sink = await request.stream()
        sink.write_nowait(b"data: tick\n\n")
        await asyncio.sleep(2)
        await sink.close()

    async def wait(self, request: Request) -> Reply:
        """Answer after a while."""
        await asyncio.sleep(1.2)
        return json_reply({"waited": True})

    async def boom(self, request: Request) -> Reply:
        raise RuntimeError("upstream http://10.0.0.1/v1 said sk-secret")

    async def break_off(self, request: Request) -> None:
        sink = await request.stream()
        await sink.write(b"data: 0\n\n")
        raise RuntimeError("in the middle")

    async def refuse(self, request: Request) -> Reply:
        raise APIError(429, "Slow down.", code="rate_limit_exceeded", headers={"Retry-After": "3"})

    async def evil_header(self, request: Request) -> Reply:
        return Reply(b"{}", headers=[(b"x-evil", b"a\r\nset-cookie: b")])

    async def socket(self, socket: ASGIWebSocket) -> None:
        while True:
            message = await socket.receive()
            if message == b"boom":
                raise RuntimeError("boom")
            await socket.send(socket.owner.encode() + b":" + message)


def make_app(probe: Probe | None = None, keys: tuple[str, ...] = (), **options) -> AntiphonApp:
    """Return the application."""
    probe = probe or Probe()
    router = RouteTable()
    for method, path, handler in (
        ("POST", "/echo", probe.echo),
        ("GET", "/echo", probe.echo),
        ("POST", "/count", probe.count),
        ("POST", "/parts", probe.parts),
        ("GET", "/sized", probe.sized),
        ("POST", "/stream", probe.stream),
        ("GET", "/stream", probe.stream),
        ("POST", "/slow", probe.slow),
        ("GET", "/flood", probe.flood),
        ("GET", "/drip", probe.drip),
        ("GET", "/timer", probe.timer),
        ("GET", "/wait", probe.wait),
        ("GET", "/boom", probe.boom),
        ("GET", "/break", probe.break_off),
        ("GET", "/refuse", probe.refuse),
        ("GET", "/evil", probe.evil_header),
        ("GET", "/things/{id}", probe.echo),
        ("GET", "/things/{id}/parts/{part}", probe.echo),
        ("GET", "/models/{id:path}", probe.echo),
    ):
        router.add(method, path, handler)
    router.add("GET", "/open", probe.echo, public=True)
    router.websocket("/ws", probe.socket)
    router.websocket("/off", None)
    return AntiphonApp(router, authenticator(callers(keys), hosts=Hosts(HOSTS)), **options)


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return msgspec.json.decode(self.body)

    def error(self) -> dict[str, object]:
        """Return the error, having made sure that it is of the one shape (contract, "Errors")."""
        body = self.json()
        assert set(body) == {"error", "detail"}
        error = body["error"]
        assert set(error) == {"message", "type", "param", "code", "status"}
        assert error["status"] == self.status and error["message"] == body["detail"] != ""
        assert all(isinstance(error[name], str) for name in ("message", "type", "param", "code"))
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-request-id"] and self.headers["openai-processing-ms"].isdigit()
        return error


def call(url: str, method: str, path: str, body: bytes | str | None = None, headers=None) -> Answer:
    """Send one request with the standard library's client."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()
