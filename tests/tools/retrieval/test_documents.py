"""Documents → text: every kind that is read, and hostile ones, which end as errors within bounds."""

from __future__ import annotations

import asyncio
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO

import pytest

from antiphon.tools.retrieval.formats import base
from antiphon.tools.retrieval.formats.base import InvalidDocument, UnsupportedDocument
from antiphon.tools.retrieval.formats.documents import document_text
from antiphon.tools.retrieval.protocol import DocumentChunks, ReadTask
from antiphon.tools.retrieval.reader import DocumentReader, ReaderDied, ReaderUnusable
from tests.tools.retrieval.documents import docx, epub, odf, pdf, pptx, xlsx, zipped

KINDS: dict[str, tuple[bytes, list[str]]] = {
    "a.pdf": (pdf("One page.", "Another\npage."), ["One page.", "Another", "page."]),
    "a.docx": (docx("First", "Second", rows=[["a", "b"], ["c", "d"]]), ["First\nSecond\n", "a \tb \t\nc \td"]),
    "a.xlsx": (xlsx(["name", "year"], ["Ann", "1999"]), ["name\tyear\nAnn\t1999"]),
    "a.pptx": (pptx("Slide one", "Slide two"), ["Slide one\n", "Slide two"]),
    "a.odt": (odf("First", "Sec<t:s t:c='2'/>ond"), ["First\nSec  ond"]),
    "a.ods": (odf(kind="spreadsheet", rows=[["a", "b"]]), ["a \tb"]),
    "a.epub": (epub("<h1>One</h1><p>first&nbsp;page</p>", "<p>second</p>"), ["# One", "first page", "second"]),
    "a.html": (
        b"<html><head><title>T</title><style>no</style></head><body><nav>no</nav><h2>Head</h2><ul><li>x</ul>"
        b"<table><tr><td>1<td>2</table><p>a <b>bold</b> word</p><script>no()</script></body></html>",
        ["T", "## Head", "- x", "1", "2", "a bold word"],
    ),
    "page": (b" <!DOCTYPE html><p>by its content</p>", ["by its content"]),
    "a.md": ("# Ünïcode\n\ntext".encode(), ["# Ünïcode\n\ntext"]),
    "a.txt": ("\ufeffwith a mark".encode(), ["with a mark"]),
    "b.txt": ("sixteen bits".encode("utf-16"), ["sixteen bits"]),
    "c.txt": ("caf\xe9 of old".encode("cp1252"), ["café of old"]),
    "a.py": (b"def f():\n\treturn 1", ["def f():\n\treturn 1"]),
    "a.json": (b'{"a": [1, 2]}', ['{"a": [1, 2]}']),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(name: str) -> None:
    content, expected = KINDS[name]
    text = document_text(content, name)
    for piece in expected:
        assert piece in text
    assert "no" not in text.split()


def bomb() -> bytes:
    """A DOCX file of 200 kB that unpacks to 200 MB."""
    return zipped({"word/document.xml": b"<a>" + b" " * (200 << 20) + b"</a>"})


def quine() -> bytes:
    """A zip file whose entry says that it is small, and is not."""
    packed = bytearray(zipped({"word/document.xml": b" " * (base.MOST_PART + 10)}))
    size = (base.MOST_PART + 10).to_bytes(4, "little")
    return bytes(packed.replace(size, (10).to_bytes(4, "little")))


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
HOSTILE: dict[str, Callable[[], bytes]] = {
    "zip bomb": bomb,
    "a zip that lies about sizes": quine,
    "many entries": lambda: zipped({str(number): "" for number in range(base.MOST_PARTS + 1)}),
    "billion laughs": lambda: zipped({"word/document.xml": f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]><a>&a11;</a>'}),
    "an entity of a file": lambda: zipped(
        {"word/document.xml": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'}
    ),
    "a document type in UTF-16": lambda: zipped(
        {"word/document.xml": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16")}
    ),
    "broken XML": lambda: zipped({"word/document.xml": "<a><b></a>"}),
    "an unknown encoding": lambda: zipped({"word/document.xml": b'<?xml version="1.0" encoding="x-no"?><a/>'}),
    "deep XML": lambda: zipped({"word/document.xml": "<a>" * 200_000}),
    "a book that leads out": lambda: epub("<p>x</p>").replace(b"text/p0.xhtml", b"../../../pas"),
    "a broken zip": lambda: docx("text")[:-30],
    "a zip cut in two": lambda: docx("text" * 1000)[:200],
    "damaged data": lambda: docx("text" * 1000).replace(zlib.compress(b"x")[:1], b"\0"),
    "no PDF": lambda: b"%PDF-1.7\n" + bytes(range(256)) * 100,
    "PDF without pages": pdf,
    "nothing": lambda: b"",
    "spaces": lambda: b" \n\t" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_an_error(name: str) -> None:
    content = HOSTILE[name]()
    with pytest.raises((InvalidDocument, UnsupportedDocument)):
        document_text(content, "file")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b"\0" * 100, b"MZ\x90\0\x03", zipped({"a": "b"})])
def test_an_unknown_kind_is_unsupported(content: bytes) -> None:
    with pytest.raises(UnsupportedDocument):
        document_text(content, "file")


def test_an_encrypted_archive_says_so() -> None:
    packed = bytearray(docx("text"))
    with zipfile.ZipFile(BytesIO(packed)) as read:
        start = read.start_dir
    packed[6] |= 1
    packed[start + 8] |= 1
    with pytest.raises(InvalidDocument, match="encrypted"):
        document_text(bytes(packed), "file")


def test_a_text_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST_TEXT", 100)
    with pytest.raises(InvalidDocument, match="more than 100 characters"):
        document_text(docx("text" * 50), "file")


# The process


@pytest.fixture
async def reader() -> AsyncIterator[DocumentReader]:
    reader = DocumentReader()
    yield reader
    reader.close()


async def read(reader: DocumentReader, content: bytes, name: str = "file", seconds: int = 30) -> DocumentChunks:
    async def piece(start: int) -> bytes:
        return content[start : start + 10_000]

    task = ReadTask(filename=name, tokens=100, overlap=10, seconds=seconds)
    return await reader.read(task, len(content), piece)


@pytest.mark.slow
async def test_the_process_reads_one_document_after_another(reader: DocumentReader) -> None:
    for name, (content, expected) in KINDS.items():
        found = await read(reader, content, name)
        assert found.outcome == "read", (name, found.reason)
        text = "\n".join(chunk for chunk, _ in found.chunks)
        assert expected[0].strip() in text
    first = reader.pid
    assert (await read(reader, HOSTILE["billion laughs"]())).outcome == "invalid"
    assert (await read(reader, b"\0")).outcome == "unsupported"
    assert reader.pid == first


@pytest.mark.slow
async def test_a_pdf_that_is_cut_is_read_or_refused(reader: DocumentReader) -> None:
    whole = pdf(*("A page with some words." for _ in range(60)))
    for size in range(0, len(whole), 1000):
        found = await read(reader, whole[:size])
        assert found.outcome in ("read", "invalid") and (found.reason or found.chunks)


@pytest.mark.slow
@pytest.mark.needs("linux")
async def test_a_document_that_takes_too_long_ends_its_process_alone(reader: DocumentReader) -> None:
    await read(reader, b"text")
    first = reader.pid
    slow = b"<html>" + b"<a " * 3_000_000
    with pytest.raises(ReaderDied):
        await read(reader, slow + b"x" * 50_000_000, "a.txt", seconds=0)
    assert (await read(reader, b"text")).outcome == "read"
    assert reader.pid != first


@pytest.mark.slow
@pytest.mark.needs("linux")
async def test_memory_is_limited() -> None:
    reader = DocumentReader(memory=200 << 20)
    try:
        found = await read(reader, b"word " * 16_000_000)
        assert found.outcome == "invalid" and found.reason.endswith(".")
    except ReaderDied:
        pass
    finally:
        reader.close()


@pytest.mark.slow
@pytest.mark.needs("linux")
async def test_a_fork_opens_nothing(reader: DocumentReader, monkeypatch: pytest.MonkeyPatch) -> None:
    from antiphon.tools.retrieval import reader as module

    program = """
import os, socket, sys
parent, memory, *sys.path[:] = sys.argv[1:]
from antiphon.tools.retrieval import child
def probe(content, name):
    found = []
    for what in (lambda: open("/etc/passwd"), lambda: socket.create_connection(("127.0.0.1", 9), 1),
                 lambda: socket.socket(socket.AF_UNIX), lambda: os.pipe(), lambda: os.environ["PATH"],
                 lambda: open("/tmp/antiphon-probe", "w")):
        try:
            what()
            found.append("open")
        except OSError as error:
            found.append(str(error.errno))
        except KeyError:
            found.append("absent")
    return " ".join(found)
real = child.document_text
child.document_text = lambda content, name: probe(content, name) if content == b"probe" else real(content, name)
child.main(int(parent), int(memory))
"""
    monkeypatch.setenv("ANTIPHON_SECRET", "x")
    monkeypatch.setattr(module, "_PROGRAM", program)
    found = await read(reader, b"probe")
    assert found.chunks[0][0] == "24 24 24 24 absent 24"  # EMFILE: no file descriptor is left


@pytest.mark.slow
async def test_a_process_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch, reader: DocumentReader) -> None:
    from antiphon.tools.retrieval import reader as module

    monkeypatch.setattr(module, "_PROGRAM", "raise SystemExit(3)")
    with pytest.raises(ReaderUnusable, match="status 3"):
        await read(reader, b"text")


@pytest.mark.slow
async def test_an_idle_process_is_ended(monkeypatch: pytest.MonkeyPatch, reader: DocumentReader) -> None:
    from antiphon.tools.retrieval import reader as module

    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    await read(reader, b"text")
    while reader.pid is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
