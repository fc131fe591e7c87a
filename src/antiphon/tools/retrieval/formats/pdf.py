"""PDF → text, by PDFium."""

from __future__ import annotations

import pypdfium2
from pypdfium2 import PdfDocument, PdfiumError

from antiphon.tools.retrieval.formats.base import InvalidDocument, TextBuilder


def pdf_text(content: bytes) -> str:
    """Return the text of a PDF file, page by page. Raises InvalidDocument."""
    try:
        document = PdfDocument(content)
    except PdfiumError as error:
        if "assword" in str(error):
            raise InvalidDocument("The file is encrypted.") from None
        raise InvalidDocument("The PDF file is broken.") from None
    builder = TextBuilder()
    for number in range(len(document)):
        try:
            page = document[number]
            text = page.get_textpage()
            builder.add(text.get_text_range().replace("\r\n", "\n"))
            text.close()
            page.close()
        except PdfiumError:
            raise InvalidDocument(f"Page {number + 1} of the PDF file is broken.") from None
        builder.add("\n\n")
    document.close()
    return builder.text()


def version() -> str:
    """Return the version of PDFium, which loads it."""
    return str(pypdfium2.PYPDFIUM_INFO)
