"""Packed bodies, large ones, broken ones."""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
import tracemalloc
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import APIError
from antiphon.server.body import encodings, unpack, unpack_now
from tests.server.handlers import call, make_app

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=1)),
    "zstd": ("zstd", zstd.compress),
}
each = pytest.mark.parametrize("packer", PACKERS)


@each
@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_unpacks(plain, mode, packer, size):
    name, pack = PACKERS[packer]
    answer = call(plain(mode).url, "POST", "/count", pack(b"x" * size), {"content-encoding": name.upper()})
    assert answer.json() == {"size": size}


@each
@given(data=st.binary(max_size=5000))
def test_gives_back_what_was_packed(packer, data):
    name, pack = PACKERS[packer]
    assert unpack_now(pack(data), [name], 5000) == data


@each
def test_the_limit_counts_the_unpacked_bytes(packer):
    name, pack = PACKERS[packer]
    assert len(unpack_now(pack(b"x" * 1000), [name], 1000)) == 1000
    with pytest.raises(APIError) as caught:
        unpack_now(pack(b"x" * 1001), [name], 1000)
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")


@each
def test_a_bomb_costs_little(packer):
    name, pack = PACKERS[packer]
    bomb = pack(b"\0" * 50_000_000)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(APIError):
        unpack_now(bomb, [name], 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000 and time.process_time() - began < 0.5


@each
@pytest.mark.parametrize("harm", [lambda data: data[:-5], lambda data: b"\xff" + data[:-1], lambda data: b"{}"])
def test_broken_data_is_a_400(plain, packer, harm):
    name, pack = PACKERS[packer]
    answer = call(plain().url, "POST", "/count", harm(pack(bytes(range(256)) * 40)), {"content-encoding": name})
    assert answer.status == 400 and answer.error()["code"] == "invalid_encoding"


@pytest.mark.parametrize("name", ["gzip", "zstd", "br"])
def test_an_empty_body_is_no_packed_body(plain, name):
    assert call(plain().url, "POST", "/count", b"", {"content-encoding": name}).error()["code"] == "invalid_encoding"


def test_several_members_in_a_row_are_one_body():
    assert unpack_now(gzip.compress(b"ab") + gzip.compress(b"cd"), ["gzip"], 9) == b"abcd"
    assert unpack_now(zstd.compress(b"ab") + zstd.compress(b"cd"), ["zstd"], 9) == b"abcd"
    with pytest.raises(APIError):
        unpack_now(gzip.compress(b"abcde") * 2, ["gzip"], 9)


def test_packed_twice(plain):
    body = brotli.compress(gzip.compress(b"x" * 500))
    assert call(plain().url, "POST", "/count", body, {"content-encoding": "gzip, br"}).json() == {"size": 500}
    assert encodings([(b"content-encoding", b"identity, GZIP"), (b"content-encoding", b"br")]) == ["gzip", "br"]


@pytest.mark.parametrize("name", ["compress", "aws-chunked", "gzip, lzma", "gzip, gzip, gzip, gzip"])
def test_unknown_encodings_are_a_415(plain, mode, name):
    answer = call(plain(mode).url, "POST", "/count", b"{}", {"content-encoding": name})
    assert answer.status == 415 and answer.error()["code"] == "unsupported_content_encoding"
    assert answer.headers["accept-encoding"] == "gzip, deflate, br, zstd"


async def test_unpacking_does_not_hold_up_others():
    noise = zstd.compress(bytes(range(256)) * 400_000) + b"\0" * 70_000
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(APIError):
        await unpack(noise, ["zstd"], 200_000_000)
    ticking.cancel()
    assert ticks > 2


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"],
)
def test_everything_is_read_as_json(plain, kind):
    """`curl -d '{…}'` says that it sends a form."""
    headers = {"content-type": kind} if kind else {}
    assert call(plain().url, "POST", "/echo", b'{"a":1}', headers).json()["body"] == '{"a":1}'


def test_multipart_is_a_415(plain, mode):
    answer = call(plain(mode).url, "POST", "/count", b"--x--", {"content-type": "Multipart/form-data; boundary=x"})
    assert answer.status == 415 and answer.error()["code"] == "unsupported_content_type"


def test_a_byte_order_mark_is_dropped(plain):
    assert call(plain().url, "POST", "/echo", b"\xef\xbb\xbf{}").json()["body"] == "{}"


def test_a_length_above_the_limit_is_refused_unread(serve):
    served = serve(make_app(max_body=1000))
    raw = served.exchange(b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413")
