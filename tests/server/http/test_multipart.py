"""Forms with files, as clients of all kinds write them."""

from __future__ import annotations

import contextlib

import pytest

from antiphon.errors import InvalidRequest
from antiphon.server.http.multipart import STEP, Field, parse_form, read_form
from tests.growth import assert_linear, cpu_time, loop_delay

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
        "file": Field(name="file", content=b"hello", filename="a.txt", path="a.txt", content_type="text/plain"),
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
        (b"filename=\"a.txt\"; filename*=UTF-8''%C3%A4.txt", "a.txt"),  # RFC 7578, 4.2 forbids the second one
        (b'filename="a\\\\b.txt"', "b.txt"),
        (b'filename="a;b=c.txt"; x=y', "a;b=c.txt"),
        (b'filename=""', ""),
    ],
)
def test_names_of_files(disposition: bytes, name: str) -> None:
    assert parse_form(form(file(disposition)), TYPE)["file"].filename == name


def test_what_stands_around_the_form_is_passed_over() -> None:
    body = b"preamble\r\n" + form(PURPOSE, end=b"--XX--\r\nepilogue --XX\r\n")
    assert parse_form(body, b'multipart/form-data; charset=utf-8; boundary="XX"').keys() == {"purpose"}
    assert parse_form(b"--XX--", TYPE) == {}
    padded = b"--XX\r\n" + PURPOSE + b"\r\n--XX \t \r\n" + file() + b"\r\n--XX--"
    assert parse_form(padded, TYPE)["file"].content == b"hello"


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
        (form(b"X: y\r\n" * 20 + PURPOSE), TYPE),
        (form(b"X y\r\n\r\nx"), TYPE),
        (form(b": y\r\n\r\nx"), TYPE),
        (form(b"X: y\rz\r\n\r\nx"), TYPE),
        (form(PURPOSE), TYPE + b"; x=" + b"y" * 1024),
        (form(PURPOSE), b"multipart/form-data; boundary=" + b"X" * 300),
        (form(PURPOSE), b'multipart/form-data; boundary=""'),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, content_type: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_form(body, content_type)
    assert refused.value.code == "invalid_form"


@pytest.mark.parametrize("shift", range(-8, 9))
def test_a_delimiter_may_lie_across_two_steps(shift: int) -> None:
    content = b"x" * (STEP - len(file(content=b"")) - len(b"--XX\r\n") + shift)
    fields = parse_form(form(file(content=content), PURPOSE), TYPE)
    assert fields["file"].content == content and fields["purpose"].text == "user_data"


# What an attacker may send: a size → a form.
HOSTILE = {
    "backslashes in a name": lambda n: form(b'Content-Disposition: form-data; name="' + b"\\" * n + b"\r\n\r\na"),
    "quotes in a name": lambda n: form(b'Content-Disposition: form-data; name="' + b'\\"' * n + b"\r\n\r\na"),
    "parameters": lambda n: form(b"Content-Disposition: form-data" + b";" * n + b"\r\n\r\na"),
    "open quotes": lambda n: form(b"Content-Disposition: form-data" + b';x="' * n + b"\r\n\r\na"),
    "headers": lambda n: form(b"X: y\r\n" * n + PURPOSE),
    "a header that does not end": lambda n: b"--XX\r\n" + b"X" * n,
    "a value that does not end": lambda n: b"--XX\r\nX: " + b"y" * n,
    "fields": lambda n: form(*[PURPOSE] * n),
    "beginnings of delimiters": lambda n: form(file(content=b"\r\n--X" * n)),
    "delimiters that are none": lambda n: form(file(content=b"\r\n--XXX" * n)),
    "delimiters that nearly end": lambda n: form(file(content=b"\r\n--XX-" * n)),
    "padding": lambda n: b"--XX\r\n" + PURPOSE + b"\r\n--XX" + b" " * n,
    "carriage returns": lambda n: form(file(content=b"\r" * n)),
    "preamble": lambda n: b"\r\n--X" * n + b"\r\n" + form(PURPOSE),
    "epilogue": lambda n: form(PURPOSE) + b"\r\n--XX" * n,
    "line breaks first": lambda n: b"\r\n" * n + b"-" * n,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("length", [2, 70])
def test_the_cost_of_a_form_grows_as_its_size(kind: str, length: int) -> None:
    boundary = b"X" * length

    def cost(size: int) -> float:
        body = HOSTILE[kind](size).replace(b"XX", boundary)

        def parse() -> None:
            with contextlib.suppress(InvalidRequest):
                parse_form(body, b"multipart/form-data; boundary=" + boundary)

        return cpu_time(parse)

    assert_linear(cost, 60_000)


async def test_a_large_form_does_not_hold_up_others() -> None:
    body = form(file(content=b"\r\n--XY" * 5_000_000))
    async with loop_delay() as delay:
        fields = await read_form(body, TYPE)
    assert len(fields["file"].content) == 30_000_000
    assert delay.bearable, delay.worst
