"""Packed bodies, large ones, broken ones."""

from __future__ import annotations

import contextlib
import gzip
import random
import sys
import time
import tracemalloc
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import APIError
from antiphon.server.http.body import encoding, unpack, unpack_now
from antiphon.server.http.inflate import MOST_MEMBERS, STEP_OUT
from tests.bounds import bound
from tests.growth import assert_linear, cpu_time, loop_delay
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
    assert unpack_now(pack(data), name, 5000) == data


@each
def test_the_limit_counts_the_unpacked_bytes(packer):
    name, pack = PACKERS[packer]
    assert len(unpack_now(pack(b"x" * 1000), name, 1000)) == 1000
    with pytest.raises(APIError) as caught:
        unpack_now(pack(b"x" * 1001), name, 1000)
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")


@each
def test_a_bomb_costs_little(packer):
    name, pack = PACKERS[packer]
    bomb = pack(b"\0" * 50_000_000)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(APIError):
        unpack_now(bomb, name, 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000 and time.process_time() - began < bound(0.5)


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
    assert unpack_now(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", 9) == b"abcd"
    assert unpack_now(zstd.compress(b"ab") + zstd.compress(b"cd"), "zstd", 9) == b"abcd"
    with pytest.raises(APIError):
        unpack_now(gzip.compress(b"abcde") * 2, "gzip", 9)


def test_one_layer_is_undone(plain, mode):
    body = brotli.compress(gzip.compress(b"x" * 500))
    answer = call(plain(mode).url, "POST", "/count", body, {"content-encoding": "gzip, br"})
    assert answer.status == 415 and answer.error()["code"] == "unsupported_content_encoding"
    assert encoding([(b"content-encoding", b"identity, GZIP"), (b"content-encoding", b"identity")]) == "gzip"


@pytest.mark.parametrize("name", ["compress", "aws-chunked", "gzip, lzma", "gzip, gzip, gzip, gzip"])
def test_unknown_encodings_are_a_415(plain, mode, name):
    answer = call(plain(mode).url, "POST", "/count", b"{}", {"content-encoding": name})
    assert answer.status == 415 and answer.error()["code"] == "unsupported_content_encoding"
    assert answer.headers["accept-encoding"] == "gzip, deflate, br, zstd"


# What an attacker may send: a name and a size → packed bytes.
EMPTY_STORED = b"\0\0\0\xff\xff"  # a block of deflate's without a byte in it
HOSTILE = {
    "gzip members of nothing": ("gzip", lambda n: gzip.compress(b"") * (n // 20)),
    "gzip members of a byte": ("gzip", lambda n: gzip.compress(b"x") * (n // 21)),
    "gzip padding": ("gzip", lambda n: gzip.compress(b"x") + b"\0" * n),
    "gzip padding and garbage": ("gzip", lambda n: gzip.compress(b"x") + b"\0" * n + b"\1"),
    "gzip name": ("gzip", lambda n: b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"a" * n),
    "zstd frames of nothing": ("zstd", lambda n: zstd.compress(b"") * (n // 13)),
    "zstd frames of a byte": ("zstd", lambda n: zstd.compress(b"x") * (n // 14)),
    "zstd frames to skip": ("zstd", lambda n: b"\x50\x2a\x4d\x18\0\0\0\0" * (n // 8)),
    "zstd garbage": ("zstd", lambda n: zstd.compress(b"x") + b"\0" * n),
    "blocks of nothing": ("deflate", lambda n: EMPTY_STORED * (n // 5)),
    "brotli metadata": ("br", lambda n: b"\x0c" + b"\x06" * n),
    "layers": ("zstd", lambda n: zstd.compress(gzip.compress(b"") * (n // 20))),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_cost_of_unpacking_grows_as_the_size(kind):
    name, pack = HOSTILE[kind]

    def cost(size: int) -> float:
        body = pack(size)

        def work() -> None:
            with contextlib.suppress(APIError):
                unpack_now(body, name, 64_000_000)

        return cpu_time(work)

    assert_linear(cost, 500_000)


def test_members_are_counted_and_none_is_empty():
    for name, pack in (("gzip", gzip.compress), ("zstd", zstd.compress)):
        assert unpack_now(pack(b"x") * MOST_MEMBERS, name, 1000) == b"x" * MOST_MEMBERS
        assert unpack_now(pack(b""), name, 1000) == b""
        for body in (pack(b"x") * (MOST_MEMBERS + 1), pack(b"x") + pack(b"")):
            with pytest.raises(APIError) as caught:
                unpack_now(body, name, 1000)
            assert caught.value.code == "invalid_encoding"
    assert unpack_now(gzip.compress(b"x") + b"\0" * 200_000, "gzip", 9) == b"x"


@pytest.mark.parametrize("step", [0, 1, -1])
def test_a_text_may_end_where_a_step_does(packer_step, step):
    name, pack = packer_step
    data = random.Random(1).randbytes(STEP_OUT + step)
    assert unpack_now(pack(data), name, 2 * STEP_OUT) == data
    assert unpack_now(pack(b"x" * len(data)), name, len(data)) == b"x" * len(data)


@pytest.fixture(params=PACKERS)
def packer_step(request):
    return PACKERS[request.param]


# A small body that is a large text, and a large body
@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000_000, 64_000_000])
@pytest.mark.parametrize("noise", [False, True])
async def test_unpacking_does_not_hold_up_others(packer_step, size, noise):
    name, pack = packer_step
    data = random.Random(1).randbytes(size // 4) * 4 if noise else b"\0" * size
    packed = pack(data)
    async with loop_delay() as delay:
        assert len(await unpack(packed, name, size)) == size
        with pytest.raises(APIError):
            await unpack(packed, name, size - 1)
    assert delay.bearable, delay.worst


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
