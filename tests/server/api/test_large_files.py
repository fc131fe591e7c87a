"""Large files through a server in a process of its own: its memory stays flat, its loop turns, and `kill -9` leaves nothing half.

`LARGE_FILE=536870912` runs the first test with the largest file that is taken.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openai
import pytest

from antiphon.stores.open import open_postgres
from antiphon.stores.records import FILE_ROW
from tests.bounds import bound
from tests.server.process.watched import Watched, watched
from tests.stores.postgres_server import Postgres, running

pytestmark = [pytest.mark.slow, pytest.mark.alone]

SIZE = int(os.environ.get("LARGE_FILE", 64 * FILE_ROW + 12_345))
MOST_MEMORY = 40e6
"""Bytes that the server may grow by, however large the file is."""

HELD = bound(0.1)
"""Seconds of CPU. Half of it is what is asked for; processors and their caches are shared with other tests."""

BACKENDS = {"scripted": {"url": "http://127.0.0.1:9", "api": "scripted"}}
BOUNDARY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    url: str = request.getfixturevalue("postgres").create(f"large{time.monotonic_ns()}")
    open_postgres(url)
    return url


def pieces(size: int) -> Iterator[bytes]:
    """Yield content that is the same each time, and no two rows of it."""
    for place in range(0, size, 65_536):
        piece = hashlib.sha256(b"%d" % place).digest() * 2048
        yield piece[: size - place]


def digest(size: int) -> str:
    whole = hashlib.md5()
    for piece in pieces(size):
        whole.update(piece)
    return whole.hexdigest()


def form(size: int) -> Iterator[bytes]:
    yield b'--%b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n' % BOUNDARY
    yield b'--%b\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' % BOUNDARY
    yield from pieces(size)
    yield b"\r\n--%b--\r\n" % BOUNDARY


def connection(server: Watched) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)


def upload(server: Watched, size: int, on_piece: object = None) -> dict[str, object]:
    length = sum(len(piece) for piece in form(0)) + size
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}", "content-length": str(length)}
    with closing(connection(server)) as client:
        client.request("POST", "/v1/files", body=form(size), headers=headers)
        answer = client.getresponse()
        found: dict[str, object] = json.loads(answer.read())
        assert answer.status == 200, found
    return found


def test_memory_stays_flat_and_the_loop_turns(store: str, tmp_path: Path) -> None:
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, server.memory() - before)

    with watched(tmp_path, store=store, backends=BACKENDS) as server:
        upload(server, 3 * FILE_ROW)
        before = server.memory()
        server.held(by_threads=True)
        began = time.monotonic()
        file = upload(server, SIZE)
        look()
        print(f"up {time.monotonic() - began:.1f} s, {most / 1e6:.1f} MB, held {server.held():.4f} s")
        assert (file["bytes"], file["status"]) == (SIZE, "processed")
        whole, began = hashlib.md5(), time.monotonic()
        with closing(connection(server)) as client:
            client.request("GET", f"/v1/files/{file['id']}/content")
            answer = client.getresponse()
            assert answer.headers["content-length"] == str(SIZE)
            while piece := answer.read(1 << 20):
                whole.update(piece)
                look()
        assert whole.hexdigest() == digest(SIZE)
        held = server.held()
        print(f"down {time.monotonic() - began:.1f} s, {most / 1e6:.1f} MB, held {held:.4f} s")
        with closing(connection(server)) as client:
            client.request("GET", f"/v1/files/{file['id']}/content", headers={"range": f"bytes={SIZE - 5}-"})
            answer = client.getresponse()
            assert (answer.status, answer.headers["content-range"]) == (206, f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}")
            assert answer.read() == b"".join(pieces(SIZE))[-5:] if SIZE < 1e8 else True
        began = time.monotonic()
        with closing(connection(server)) as client:
            client.request("DELETE", f"/v1/files/{file['id']}")
            assert client.getresponse().status == 200
        look()
        held = max(held, server.held())
        print(f"deleted {time.monotonic() - began:.1f} s, held {held:.4f} s")
        assert most < MOST_MEMORY, f"it grew by {most / 1e6:.1f} MB"
        assert held < HELD


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with watched(tmp_path, store=str(path), backends=BACKENDS) as server:
        head = b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n"
        head += b"content-type: multipart/form-data; boundary=%b\r\n\r\n" % BOUNDARY
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(head)
            for number, piece in enumerate(form(9_000_000)):
                if number < 100:
                    sock.sendall(piece)
            wait(lambda: count(path, "content_rows") > 2)
        wait(lambda: (count(path, "content_rows"), count(path, "contents")) == (0, 0))
        assert count(path, "files") == 0


def test_kill_9_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    """Parts that were told of are there; what was on its way is no file, and goes when it has expired."""
    path = tmp_path / "store.db"
    data = b"".join(pieces(3 * FILE_ROW))
    with watched(tmp_path, store=str(path), backends=BACKENDS) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        made = client.uploads.create(bytes=len(data), filename="a.bin", mime_type="text/plain", purpose="assistants")
        first = client.uploads.parts.create(made.id, data=data[:FILE_ROW])
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as sock:
            head = (
                b"POST /v1/uploads/%b/parts HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999\r\n"
                % made.id.encode()
            )
            head += b"content-type: multipart/form-data; boundary=%b\r\n\r\n" % BOUNDARY
            head += b'--%b\r\ncontent-disposition: form-data; name="data"; filename="a"\r\n\r\n' % BOUNDARY
            sock.sendall(head + data)
            wait(lambda: count(path, "content_rows") > 2)
            server.process.kill()
            server.process.wait()
    (tmp_path / "port").unlink()
    assert count(path, "content_rows") > 2
    with closing(sqlite3.connect(path)) as connection, connection:  # an hour later
        connection.execute("UPDATE contents SET expires_at = 1 WHERE number NOT IN (SELECT content FROM upload_parts)")
    with watched(tmp_path, store=str(path), backends=BACKENDS) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        wait(lambda: count(path, "content_rows") == 1)
        assert client.files.list().data == []
        second = client.uploads.parts.create(made.id, data=data[FILE_ROW:])
        checksum = hashlib.md5(data).hexdigest()
        done = client.uploads.complete(made.id, part_ids=[first.id, second.id], md5=checksum)
        assert done.file is not None and done.file.bytes == len(data)
        server.process.kill()
        server.process.wait()
    (tmp_path / "port").unlink()
    with watched(tmp_path, store=str(path), backends=BACKENDS) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        again = client.uploads.complete(made.id, part_ids=[first.id, second.id], md5=checksum)
        assert again.file is not None and again.file.id == done.file.id
        assert [file.id for file in client.files.list()] == [done.file.id]
        assert client.files.content(done.file.id).content == data


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def wait(until: object) -> None:
    deadline = time.monotonic() + bound(20)
    while not until():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
