"""Archive: a document that is a zip file, read within bounds. Nothing is written to disk, so no path in it leads anywhere."""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from xml.etree.ElementTree import ParseError, XMLParser

from antiphon.tools.retrieval.formats.base import MOST_PART, MOST_PARTS, MOST_UNPACKED, InvalidDocument

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


class Archive:
    """The parts of a zip file by name."""

    def __init__(self, content: bytes) -> None:
        """Raises InvalidDocument."""
        try:
            self._zip = zipfile.ZipFile(BytesIO(content))
            entries = self._zip.infolist()
        except _BROKEN as error:
            raise InvalidDocument(f"The archive is broken: {str(error)[:100]}.") from None
        if len(entries) > MOST_PARTS:
            raise InvalidDocument(f"The archive has more than {MOST_PARTS} entries.")
        self._entries = {entry.filename: entry for entry in entries}
        self._left = MOST_UNPACKED

    @property
    def names(self) -> list[str]:
        """The names of all parts."""
        return [*self._entries]

    def read(self, name: str) -> bytes:
        """Return a part, b"" where there is none. Raises InvalidDocument."""
        entry = self._entries.get(name)
        if entry is None:
            return b""
        if entry.flag_bits & 1:
            raise InvalidDocument("The file is encrypted.")
        most = min(MOST_PART, self._left)
        try:
            with self._zip.open(entry) as part:
                content = part.read(most + 1)
        except _BROKEN as error:
            raise InvalidDocument(f"The archive is broken: {str(error)[:100]}.") from None
        if len(content) > most:
            raise InvalidDocument(f"The archive unpacks to more than {MOST_UNPACKED} bytes.")
        self._left -= len(content)
        return content


class XmlTarget:
    """What is told of an XML document: names are `{namespace}name`."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the start of an element."""

    def data(self, text: str) -> None:
        """Take text."""

    def end(self, tag: str) -> None:
        """Take the end of an element."""

    def close(self) -> None:
        """Take the end of the document."""


def read_xml(content: bytes, target: XmlTarget) -> None:
    """Tell a target of a document. Raises InvalidDocument, also for a document type: formats here have none, attacks do."""
    if b"<!DOCTYPE" in content.replace(b"\0", b"") or b"<!ENTITY" in content.replace(b"\0", b""):
        raise InvalidDocument("The file holds XML with a document type, which is not allowed there.")
    parser = XMLParser(target=target)  # noqa: S314 - no entities without a document type
    try:
        parser.feed(content)
        parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidDocument(f"The file holds broken XML: {str(error)[:100]}.") from None
