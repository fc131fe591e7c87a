"""What a file is."""

from __future__ import annotations

import pytest

from antiphon.core.media import file_types
from antiphon.core.media.file_types import BINARY, media_type


@pytest.mark.parametrize(
    ("name", "declared", "content", "kind"),
    [
        ("a.md", "", b"", "text/markdown"),
        ("a.py", "application/octet-stream", b"", "text/plain"),
        ("a.ts", "video/mp2t", b"", "text/plain"),
        ("A.PDF", "", b"", "application/pdf"),
        ("a", "Image/PNG; x=y", b"", "image/png"),
        ("a.json", "text/plain", b"", "application/json"),
        ("a", "", b"%PDF-1.7", "application/pdf"),
        ("a", "", b"RIFF\0\0\0\0WEBPVP8", "image/webp"),
        ("Makefile", "", b"all:\n\techo", "text/plain"),
        ("a", "", "ä".encode() * 4095, "text/plain"),
        ("a", "", b"x\0y", BINARY),
        ("a", "", b"\xff\xfe\xfd" * 10, BINARY),
        ("a", "", b"", BINARY),
    ],
)
def test_media_types(name: str, declared: str, content: bytes, kind: str) -> None:
    assert media_type(name, declared, content) == kind


def test_what_is_text() -> None:
    for kind in ("text/x-python", "application/json", "application/ld+json", "application/yaml"):
        assert file_types.is_text(kind)
    for kind in ("application/pdf", "image/svg+xml", "image/png", BINARY):
        assert not file_types.is_text(kind)


def test_text() -> None:
    assert file_types.as_text(b"\xef\xbb\xbfhi \xc3\xa4") == "hi ä"
    assert file_types.as_text("hi ä".encode("utf-16")) == "hi ä"
    assert file_types.as_text(b"\xff\xff") is None


def test_data_urls() -> None:
    url = file_types.data_url("text/plain", b"hi")
    assert url == "data:text/plain;base64,aGk="
    assert file_types.parse_data_url(url, "x") == ("text/plain", "aGk=")
    assert file_types.parse_data_url("data:text/plain;charset=utf-8;base64,aGk=", "x") == ("text/plain", "aGk=")
    assert file_types.decode_base64("aG\nk=\r\n", "x") == b"hi"
