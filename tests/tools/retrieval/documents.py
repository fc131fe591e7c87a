"""Documents made by hand, as small as they can be."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_T = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_B = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"


def pdf(*pages: str) -> bytes:
    """Return a PDF file, one line of text or several a page."""
    objects = ["<</Type/Catalog/Pages 2 0 R>>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects += [f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    for number, page in enumerate(pages):
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in page.splitlines())
        content = f"BT /F1 11 Tf 40 800 Td {lines}ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>/Contents {5 + 2 * number} 0 R>>"
        )
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    file = b"%PDF-1.4\n"
    places = []
    for number, text in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj{text}endobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return file + f"{end}trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(file)}\n%%EOF".encode()


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """Return a zip file."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def docx(*paragraphs: str, rows: Sequence[Sequence[str]] = ()) -> bytes:
    """Return a DOCX file with paragraphs and a table."""
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    for row in rows:
        body += f"<w:tr>{''.join(f'<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>' for cell in row)}</w:tr>"
    return zipped({"word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'})


def xlsx(*rows: Sequence[str]) -> bytes:
    """Return an XLSX file: texts are shared, numbers are not."""
    shared: list[str] = []
    written = ""
    for row in rows:
        cells = ""
        for cell in row:
            if cell.isdigit():
                cells += f"<c><v>{cell}</v></c>"
            else:
                shared.append(cell)
                cells += f'<c t="s"><v>{len(shared) - 1}</v></c>'
        written += f"<row>{cells}</row>"
    texts = "".join(f"<si><t>{text}</t></si>" for text in shared)
    return zipped(
        {
            "xl/workbook.xml": f'<workbook xmlns="{_S}"/>',
            "xl/sharedStrings.xml": f'<sst xmlns="{_S}">{texts}</sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_S}"><sheetData>{written}</sheetData></worksheet>',
        }
    )


def pptx(*slides: str) -> bytes:
    """Return a PPTX file, a text a slide."""
    parts = {"ppt/presentation.xml": "<p/>"}
    for number, text in enumerate(slides, 1):
        parts[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld xmlns:p="p" xmlns:a="{_A}"><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sld>'
        )
    return zipped(parts)


def odf(*paragraphs: str, kind: str = "text", rows: Sequence[Sequence[str]] = ()) -> bytes:
    """Return an OpenDocument file."""
    body = "".join(f"<t:p>{text}</t:p>" for text in paragraphs)
    for row in rows:
        body += f"<b:table-row>{''.join(f'<b:table-cell><t:p>{one}</t:p></b:table-cell>' for one in row)}</b:table-row>"
    content = f'<o xmlns:t="{_T}" xmlns:b="{_B}">{body}</o>'
    return zipped({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content})


def epub(*pages: str) -> bytes:
    """Return an EPUB book."""
    items = "".join(f'<item id="i{number}" href="text/p{number}.xhtml"/>' for number in range(len(pages)))
    spine = "".join(f'<itemref idref="i{number}"/>' for number in range(len(pages)))
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<c><rootfile full-path="OEBPS/book.opf"/></c>',
        "OEBPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for number, page in enumerate(pages):
        parts[f"OEBPS/text/p{number}.xhtml"] = f"<!DOCTYPE html><html><body>{page}</body></html>"
    return zipped(parts)
