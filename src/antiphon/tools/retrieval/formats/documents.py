"""A file's bytes → its text, whatever kind of document it is: the kind is told by the content, not by a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from antiphon.tools.retrieval.formats.archive import Archive
from antiphon.tools.retrieval.formats.base import MOST_TEXT, InvalidDocument, UnsupportedDocument
from antiphon.tools.retrieval.formats.office import docx_text, odf_text, pptx_text, xlsx_text
from antiphon.tools.retrieval.formats.pdf import pdf_text
from antiphon.tools.retrieval.formats.web import epub_text, html_text

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
LOOKED_AT = 1024  # bytes in which a PDF or HTML file says what it is
_HTML = ("<!doctype html", "<html", "<head", "<body")
_BY_PART: Mapping[str, Callable[[Archive], str]] = {
    "word/document.xml": docx_text,
    "xl/workbook.xml": xlsx_text,
    "ppt/presentation.xml": pptx_text,
}
"""A part that only one kind of archive has."""


def document_text(content: bytes, filename: str) -> str:
    """Return a document's text. Raises InvalidDocument or UnsupportedDocument."""
    text = _CONTROLS.sub("", _text(content, filename)).encode("utf-8", "replace").decode()
    if not text.strip():
        raise InvalidDocument("There is no text in the file.")
    return text


def _text(content: bytes, filename: str) -> str:
    if b"%PDF-" in content[:LOOKED_AT]:
        return pdf_text(content)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archived(Archive(content))
    page = _decoded(content)
    extension = filename.rpartition(".")[2].lower()
    if extension in ("html", "htm", "xhtml") or page[:LOOKED_AT].lstrip().lower().startswith(_HTML):
        return html_text(page)
    return page


def _archived(archive: Archive) -> str:
    for part, read in _BY_PART.items():
        if part in archive.names:
            return read(archive)
    kind = archive.read("mimetype").strip()
    if kind == b"application/epub+zip":
        return epub_text(archive)
    if kind.startswith(b"application/vnd.oasis.opendocument."):
        return odf_text(archive)
    raise UnsupportedDocument("Archives are not supported, except DOCX, XLSX, PPTX, OpenDocument and EPUB files.")


def _decoded(content: bytes) -> str:
    """Return a plain text. Raises InvalidDocument or UnsupportedDocument."""
    if len(content) > 4 * MOST_TEXT:
        raise InvalidDocument(f"The file has more than {MOST_TEXT} characters of text.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _bounded(content.decode("utf-16", "replace"))
    if b"\0" in content:
        raise UnsupportedDocument("The file is neither text nor a document of a kind that is supported.")
    try:
        return _bounded(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
        if len(_CONTROLS.findall(text[:LOOKED_AT])) + text.count("\N{REPLACEMENT CHARACTER}", 0, LOOKED_AT) > 2:
            raise UnsupportedDocument("The file is neither text nor a document of a kind that is supported.") from None
        return _bounded(text)


def _bounded(text: str) -> str:
    if len(text) > MOST_TEXT:
        raise InvalidDocument(f"The file has more than {MOST_TEXT} characters of text.")
    return text
