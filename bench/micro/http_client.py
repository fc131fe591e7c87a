"""CPU of the HTTP client alone: per request with a small answer, and per chunk of a stream. Not a test.

python bench/micro/http_client.py [--asyncio] [--quick]
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from typing import cast

from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient

QUICK = "--quick" in sys.argv
REQUESTS = 200 if QUICK else 20_000
CHUNKS = 200 if QUICK else 2_000
STREAMS = 5 if QUICK else 50
PACED_CHUNKS = 50 if QUICK else 500
CHUNK = b'data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
SMALL = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n" + b"x" * 400
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PACED = 0.002


class Server(asyncio.Protocol):
    """Answers at once, or with a stream: all at once, or a chunk every two milliseconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        framed = b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK)
        if data.startswith(b"POST /small"):
            self.transport.write(SMALL)
        elif data.startswith(b"POST /flat"):
            self.transport.write(HEAD + framed * CHUNKS + b"0\r\n\r\n")
        else:
            self.transport.write(HEAD)
            self.loop = asyncio.get_running_loop()
            self.pace(framed, PACED_CHUNKS)

    def pace(self, framed: bytes, left: int) -> None:
        self.transport.write(framed if left else b"0\r\n\r\n")
        if left:
            self.loop.call_later(PACED, self.pace, framed, left - 1)


def serve(port: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def small(client: HttpClient) -> int:
    for _ in range(REQUESTS):
        response = await client.send("POST", "/small", b"{}" * 200)
        await response.read_all()
    return REQUESTS


async def stream(client: HttpClient, path: str) -> int:
    response = await client.send("POST", path, b"{}")
    size = 0
    while data := await response.read():
        size += len(data)
    return size // len(CHUNK)


async def flat(client: HttpClient) -> int:
    return sum([await stream(client, "/flat") for _ in range(STREAMS)])


async def paced(client: HttpClient) -> int:
    return sum(await asyncio.gather(*(stream(client, "/paced") for _ in range(20))))


async def main(port: int) -> None:
    client = HttpClient(parse_url(f"http://127.0.0.1:{port}"))
    for work, unit in ((small, "request"), (flat, "chunk, flat out"), (paced, "chunk, each read alone")):
        await stream(client, "/flat")
        started = time.process_time()
        count = await work(client)
        print(f"{(time.process_time() - started) / count * 1e6:7.2f} µs of CPU per {unit} ({count})")
    await client.close()


if __name__ == "__main__":
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    if "--asyncio" in sys.argv:
        asyncio.run(main(port))
    else:
        import uvloop

        uvloop.run(main(port))
    server.terminate()
