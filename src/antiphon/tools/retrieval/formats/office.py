"""Documents of word processors, spreadsheets and slides: Office Open XML and OpenDocument."""

from __future__ import annotations

import re

from antiphon.tools.retrieval.formats.archive import Archive, XmlTarget, read_xml
from antiphon.tools.retrieval.formats.base import TextBuilder

_SLIDE = re.compile(r"ppt/(?:slides|notesSlides)/(?:slide|notesSlide)([0-9]{1,6})\.xml")
_SHEET = re.compile(r"xl/worksheets/sheet([0-9]{1,6})\.xml")
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DRAW = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_WORD_PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
MOST_SPACES = 100  # that one element of OpenDocument may stand for


class TextTags(XmlTarget):
    """Gathers the text inside of some elements; the ends of others are line breaks and tabs. Cells of a table stay in a line."""

    def __init__(
        self, builder: TextBuilder, *, texts: set[str], paragraphs: set[str], marks: dict[str, str], cell: str, row: str
    ) -> None:
        self._builder = builder
        self._texts = texts
        self._paragraphs = paragraphs
        self._marks = marks
        self._cell, self._row = cell, row
        self._inside = self._cells = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Enter an element."""
        self._inside += tag in self._texts
        self._cells += tag == self._cell
        if tag in self._marks:
            count = attributes.get(f"{_TEXT}c", "1")
            many = int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 1
            self._builder.add(self._marks[tag] * min(many, MOST_SPACES))

    def data(self, text: str) -> None:
        """Take text."""
        if self._inside:
            self._builder.add(text)

    def end(self, tag: str) -> None:
        """Leave an element."""
        self._inside -= tag in self._texts
        if tag in self._paragraphs:
            self._builder.add(" " if self._cells else "\n")
        if tag == self._cell:
            self._cells -= 1
            self._builder.add("\t")
        elif tag == self._row:
            self._builder.add("\n")


def docx_text(archive: Archive) -> str:
    """Return the text of a DOCX file, tables row by row. Raises InvalidDocument."""
    builder = TextBuilder()
    for name in _WORD_PARTS:
        content = archive.read(name)
        if content:
            marks = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n"}
            read_xml(
                content,
                TextTags(
                    builder,
                    texts={f"{_WORD}t"},
                    paragraphs={f"{_WORD}p"},
                    marks=marks,
                    cell=f"{_WORD}tc",
                    row=f"{_WORD}tr",
                ),
            )
    return builder.text()


def pptx_text(archive: Archive) -> str:
    """Return the text of a PPTX file, slide by slide, each with its notes. Raises InvalidDocument."""
    builder = TextBuilder()
    found = [(int(match[1]), "notes" in match[0], match[0]) for match in map(_SLIDE.fullmatch, archive.names) if match]
    for _, _, name in sorted(found):
        read_xml(
            archive.read(name),
            TextTags(
                builder,
                texts={f"{_DRAW}t"},
                paragraphs={f"{_DRAW}p"},
                marks={f"{_DRAW}br": "\n"},
                cell=f"{_DRAW}tc",
                row=f"{_DRAW}tr",
            ),
        )
        builder.add("\n\n")
    return builder.text()


def odf_text(archive: Archive) -> str:
    """Return the text of an OpenDocument file: text, spreadsheet or slides. Raises InvalidDocument."""
    builder = TextBuilder()
    blocks = {f"{_TEXT}p", f"{_TEXT}h"}
    marks = {f"{_TEXT}s": " ", f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}
    read_xml(
        archive.read("content.xml"),
        TextTags(
            builder,
            texts=blocks,
            paragraphs=blocks,
            marks=marks,
            cell=f"{_TABLE}table-cell",
            row=f"{_TABLE}table-row",
        ),
    )
    return builder.text()


# Spreadsheets of Office Open XML: texts are in a part of their own, cells name them by number.


class _SharedTexts(XmlTarget):
    """Gathers the texts that cells share."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._bounds = TextBuilder()
        self._pieces: list[str] = []
        self._inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._inside = _local(tag) == "t"

    def data(self, text: str) -> None:
        if self._inside:
            self._bounds.add(text)
            self._pieces.append(text)

    def end(self, tag: str) -> None:
        self._inside = False
        if _local(tag) == "si":
            self.texts.append("".join(self._pieces))
            self._pieces = []


class _Sheet(XmlTarget):
    """Writes the rows of a sheet, cells divided by tabs."""

    def __init__(self, builder: TextBuilder, shared: list[str]) -> None:
        self._builder = builder
        self._shared = shared
        self._kind = ""
        self._value: list[str] = []
        self._row: list[str] = []
        self._inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "c":
            self._kind, self._value = attributes.get("t", ""), []
        self._inside = name in ("v", "t")

    def data(self, text: str) -> None:
        if self._inside:
            self._value.append(text)

    def end(self, tag: str) -> None:
        name = _local(tag)
        self._inside = False
        if name == "c" and self._value:
            self._row.append(self._shown("".join(self._value)))
        elif name == "row" and self._row:
            self._builder.add("\t".join(self._row) + "\n")
            self._row = []

    def _shown(self, value: str) -> str:
        if self._kind != "s" or not (value.isascii() and value.isdecimal() and len(value) < 10):
            return value
        offset = int(value)
        return self._shared[offset] if offset < len(self._shared) else ""


def xlsx_text(archive: Archive) -> str:
    """Return the cells of an XLSX file, sheet by sheet and row by row. Raises InvalidDocument."""
    shared = _SharedTexts()
    content = archive.read("xl/sharedStrings.xml")
    if content:
        read_xml(content, shared)
    builder = TextBuilder()
    for _, name in sorted((int(match[1]), match[0]) for match in map(_SHEET.fullmatch, archive.names) if match):
        read_xml(archive.read(name), _Sheet(builder, shared.texts))
        builder.add("\n")
    return builder.text()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
