"""Hubs, caches and files that mean harm: bounded, nothing written or deleted elsewhere, no token given away."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError
from urllib.request import Request

import pytest

from antiphon.backends.llama.gguf import read_gguf
from antiphon.backends.llama.hub import client as client_module
from antiphon.backends.llama.hub.client import HubClient, HubFile, is_tame
from antiphon.backends.llama.hub.local_model import HUGGING_FACE
from antiphon.backends.llama.hub.models import own_models, remove_unfinished
from antiphon.backends.llama.hub.shared_caches import hugging_face_models, remove_shared
from antiphon.errors import ConfigError
from tests.server.whole import upstream

REPO = "acme/Tiny-GGUF"
FILE = HubFile(path="m.gguf", size=5)
ENTRY = {"type": "file", "path": "m.gguf", "size": 5}
Answer = Callable[[str], tuple[int, dict[str, str], bytes]]


class HostileHub(BaseHTTPRequestHandler):
    """Answers as a test says."""

    answer: ClassVar[Answer]
    tokens: ClassVar[list[str | None]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.tokens.append(self.headers["authorization"])
        status, headers, body = type(self).answer(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def listed(*entries: Any, link: str = "") -> Answer:
    headers = {"Link": f'<{link}>; rel="next"'} if link else {}
    return lambda path: (200, headers, json.dumps(entries).encode())


def redirects(where: str) -> Answer:
    return lambda path: (302, {"Location": where}, b"")


@pytest.mark.parametrize(
    "answer",
    [
        listed(ENTRY, link="/api/models/x?again"),
        listed(ENTRY, link="http://localhost:1/stolen"),
        listed(ENTRY, link="file:///etc/passwd"),
        listed(ENTRY, link="http://[bad"),
        listed({**ENTRY, "size": -5}),
        listed({**ENTRY, "lfs": {"size": -1}}),
        listed({**ENTRY, "more": "x" * 70_000}, link="/api/models/x?again"),
        lambda path: (200, {}, b"[" * 100_000),
        lambda path: (200, {}, b'[{"path":"a","more":' + b"[" * 100_000),
        lambda path: (200, {}, b"\xff\xfe"),
        redirects("file:///etc/passwd"),
        redirects("http://[bad/"),
        redirects("http://host:99999999/"),
        redirects("/loop"),
    ],
)
def test_a_list_that_means_harm_is_an_error(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_LISTED", 60_000)
    monkeypatch.setattr(client_module, "MOST_PAGES", 20)
    HostileHub.answer = staticmethod(answer)
    HostileHub.tokens.clear()
    with upstream(HostileHub) as url, pytest.raises(ConfigError) as failed:
        HubClient(url.removesuffix("/v1"), "secret").files(REPO)
    assert str(failed.value).isprintable()
    assert len(HostileHub.tokens) <= 20


@pytest.mark.parametrize(
    "path",
    ["../m.gguf", "/m.gguf", "a/../../m.gguf", "a\\m.gguf", "a\0.gguf", "\x1b[2Jm.gguf", "m\u202e.gguf", "", "m\n"],
)
def test_paths_that_are_left_out(path: str) -> None:
    assert not is_tame(path)


@pytest.mark.parametrize("size", [0, 4, 6, 3_000_000])
def test_a_file_of_another_size_is_not_kept(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CHUNK", 1000)
    HostileHub.answer = staticmethod(lambda path: (200, {}, b"x" * size))
    seen: list[int] = []
    with upstream(HostileHub) as url:
        hub = HubClient(url.removesuffix("/v1"), pause=0)
        with pytest.raises(ConfigError):
            hub.fetch(REPO, FILE, tmp_path / "m.gguf", lambda name, here, whole: seen.append(here))
    assert not (tmp_path / "m.gguf").exists() and max(seen, default=0) <= 1005


def test_a_status_line_does_not_reach_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostileHub, "send_response", lambda self, status: self.wfile.write(b"\x1b[2Jharm\r\n"))
    HostileHub.answer = staticmethod(listed(ENTRY))
    with upstream(HostileHub) as url, pytest.raises(ConfigError) as failed:
        HubClient(url.removesuffix("/v1")).files(REPO)
    assert str(failed.value).isprintable()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("https://hub.example/x", "http://hub.example/x", None),
        ("https://hub.example/x", "https://127.0.0.1/x", None),
        ("https://hub.example/x", "https://localhost./x", None),
        ("http://hub.example/x", "http://2130706433/x", None),
        ("http://hub.example/x", "http://127.1/x", None),
        ("http://hub.example/x", "http://[::ffff:127.0.0.1]/x", None),
        ("http://hub.example/x", "http://169.254.169.254/x", None),
        ("http://hub.example/x", "http://0/x", None),
        ("https://hub.example/x", "https://files.example/x", False),
        ("https://hub.example/x", "https://hub.example:444/x", False),
        ("http://hub.example/x", "https://hub.example/x", False),
        ("https://hub.example/x", "https://hub.example/y", True),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/x", False),
    ],
)
def test_where_redirects_may_lead(before: str, after: str, told: bool | None) -> None:
    request = Request(before, headers={"Authorization": "Bearer secret"})
    handler = client_module._Redirects()
    if told is None:
        with pytest.raises(URLError):
            handler.redirect_request(request, BytesIO(), 302, "", Message(), after)
        return
    followed = handler.redirect_request(request, BytesIO(), 302, "", Message(), after)
    assert followed is not None and followed.has_header("Authorization") == told


# Deleting


def test_nothing_outside_of_the_own_cache_is_deleted(tmp_path: Path) -> None:
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    folder = cache / "acme--Tiny-GGUF"
    folder.mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "m.gguf").write_bytes(b"keep!")
    (elsewhere / "n.gguf.part").write_bytes(b"keep!")
    (folder / "linked").symlink_to(elsewhere)
    for index, path in enumerate(("../../elsewhere/m.gguf", str(elsewhere / "m.gguf"), "linked/m.gguf")):
        (folder / f"Q{index}.json").write_text(json.dumps({"shards": [{"path": path, "size": 5}]}))
    (folder / "deep.json").write_bytes(b"[" * 100_000)
    (folder / "bytes.json").write_bytes(b'{"shards":"\xff"}')
    (folder / "d.part").mkdir()
    (folder / "d.part" / "m.gguf.part").write_bytes(b"half")
    assert own_models(cache) == []
    assert remove_unfinished(REPO, cache) == 4
    assert sorted(path.name for path in elsewhere.iterdir()) == ["m.gguf", "n.gguf.part"]


@pytest.mark.parametrize("how", ["file", "blobs of another", "folder"])
def test_what_links_of_a_shared_cache_point_to_elsewhere_is_not_deleted(how: str, tmp_path: Path) -> None:
    other = tmp_path / "other" / "blobs"
    other.mkdir(parents=True)
    kept = other / "m-Q8_0.gguf" if how != "file" else tmp_path / "m-Q8_0.gguf"
    kept.write_bytes(b"keep!")
    snapshots = tmp_path / "cache" / "models--acme--Tiny" / "snapshots"
    if how == "folder":
        snapshots.mkdir(parents=True)
        (snapshots / "abc").symlink_to(other)
    else:
        (snapshots / "abc").mkdir(parents=True)
        (snapshots / "abc" / "m-Q8_0.gguf").symlink_to(kept)
        (snapshots / "abc" / "\x1b[2J-Q4_0.gguf").write_bytes(b"x")
    (model,) = hugging_face_models(tmp_path / "cache")
    assert model.cache == HUGGING_FACE
    if how == "folder":
        with pytest.raises(ConfigError, match="elsewhere"):
            remove_shared(model)
    else:
        assert remove_shared(model) == 0
    assert kept.read_bytes() == b"keep!"


# Headers


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


@pytest.mark.parametrize(
    "rest",
    [
        struct.pack("<QQ", 2**63, 0),
        struct.pack("<QQ", 0, 2**63),
        struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**63),
        struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 8, 2**63),
        struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 4, 2**63),
        struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 9, 1),
        struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<I", 99),
        struct.pack("<QQ", 1, 0) + text(b"t") + struct.pack("<I", 2**32 - 1),
    ],
)
def test_counts_that_are_lies(rest: bytes, tmp_path: Path) -> None:
    """Each is told at once, however large the file is: the zeros behind are not read."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", 3) + rest)
    with path.open("r+b") as file:
        file.truncate(2**36)  # sparse
    with pytest.raises(ConfigError, match="damaged"):
        read_gguf(path)
