"""Forms with files, as clients of all kinds write them."""

from __future__ import annotations

import pytest

from antiphon.errors import InvalidRequest
from antiphon.server.multipart import Field, parse_form

TYPE = b"multipart/form-data; boundary=XX"


def form(*parts: bytes, end: bytes = b"--XX--\r\n") -> bytes:
    return b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + end


PURPOSE = b'Content-Disposition: form-data; name="purpose"\r\n\r\nuser_data'


def file(disposition: bytes = b'filename="a.txt"', content: bytes = b"hello") -> bytes:
    return b'Content-Disposition: form-data; name="file"; %b\r\nContent-Type: text/plain\r\n\r\n%b' % (
        disposition,
        content,
    )


def test_fields_and_files() -> None:
    fields = parse_form(form(PURPOSE, file()), TYPE)
    assert fields == {
        "purpose": Field(name="purpose", content=b"user_data"),
        "file": Field(name="file", content=b"hello", filename="a.txt", content_type="text/plain"),
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"a\r\n",
        b"\r\n\r\n--X",
        b"- --XX",
        b"\n--XX--\n",
        bytes(range(256)) * 3,
        b"x" * 1_000_000,
        b"\r\n--X\r\n",
    ],
)
def test_contents_are_taken_as_they_are(content: bytes) -> None:
    assert parse_form(form(file(content=content), PURPOSE), TYPE)["file"].content == content


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'filename="a b;c.txt"', "a b;c.txt"),
        (b"filename=plain.txt", "plain.txt"),
        ('filename="ärger.txt"'.encode(), "ärger.txt"),
        (b'filename="say %22hi%22.txt"', 'say "hi".txt'),
        (b'filename="say \\"hi\\".txt"', 'say "hi".txt'),
        (b'filename="C:\\dir\\a.txt"', "a.txt"),
        (b'filename="../../etc/passwd"', "passwd"),
        (b"filename=\"a.txt\"; filename*=UTF-8''%C3%A4.txt", "ä.txt"),
        (b'filename=""', ""),
    ],
)
def test_names_of_files(disposition: bytes, name: str) -> None:
    assert parse_form(form(file(disposition)), TYPE)["file"].filename == name


def test_what_stands_around_the_form_is_passed_over() -> None:
    body = b"preamble\r\n" + form(PURPOSE, end=b"--XX--\r\nepilogue --XX\r\n")
    assert parse_form(body, b'multipart/form-data; charset=utf-8; boundary="XX"').keys() == {"purpose"}
    assert parse_form(b"--XX--", TYPE) == {}
    assert parse_form(b"--XX  \r\n" + PURPOSE + b"\r\n--XX--", TYPE)["purpose"].text == "user_data"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(PURPOSE), b"multipart/form-data"),
        (form(PURPOSE), b"multipart/form-data; boundary=YY"),
        (b"", TYPE),
        (form(PURPOSE, end=b""), TYPE),
        (b"--XX", TYPE),
        (b"--XX\r\n", TYPE),
        (form(b"no headers"), TYPE),
        (form(b"Content-Disposition: form-data\r\n\r\nx"), TYPE),
        (form(b"X: " + b"y" * 20_000 + b"\r\n\r\nx"), TYPE),
        (form(*[PURPOSE] * 33), TYPE),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, content_type: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_form(body, content_type)
    assert refused.value.code == "invalid_form"
