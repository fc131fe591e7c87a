"""What readers of documents share: their errors, and the bounds of what they give."""

from __future__ import annotations

from antiphon.errors import AntiphonError

MOST_TEXT = 20_000_000  # characters of a document, about 5 million tokens
MOST_PART = 64 << 20  # bytes of one part of an archive, unpacked
MOST_UNPACKED = 100 << 20  # bytes of all parts that are read
MOST_PARTS = 10_000  # entries of an archive


class InvalidDocument(AntiphonError):
    """A document is broken, encrypted, empty or too large; the message is for the client."""


class UnsupportedDocument(AntiphonError):
    """Nothing here reads such a file; the message is for the client."""


class TextBuilder:
    """Gathers a document's text, within bounds."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Append. Raises InvalidDocument where the text is too long."""
        self._size += len(text)
        if self._size > MOST_TEXT:
            raise InvalidDocument(f"The file has more than {MOST_TEXT} characters of text.")
        self._pieces.append(text)

    def text(self) -> str:
        """Return all of it."""
        return "".join(self._pieces)
