"""What a file is: its media type by declaration, name and content; data URLs; text out of bytes. Pure."""

from __future__ import annotations

from antiphon.core.text.pieces import from_base64, to_base64, to_text
from antiphon.errors import InvalidRequest

BINARY = "application/octet-stream"
LOOKED_AT = 4096  # bytes from which the kind of an unknown file is told
LONGEST_HEAD = 1024  # characters of a data URL before its comma

_SOURCE = frozenset(
    """
    c cc cfg conf cpp cs css csv diff env go gradle h hpp html ini java js json jsx kt lock log lua m md mk patch php pl
    properties proto ps1 py r rb rs rst scala scss sh sql svelte swift tex toml ts tsx txt vue xml yaml yml zig
    """.split()
)
_OFFICE = "application/vnd.openxmlformats-officedocument"
# A table of its own, so that a name means the same on every machine.
_TYPES = {
    **dict.fromkeys(_SOURCE, "text/plain"),
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "epub": "application/epub+zip",
    "gif": "image/gif",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "md": "text/markdown",
    "mp3": "audio/mpeg",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": f"{_OFFICE}.presentationml.presentation",
    "rtf": "application/rtf",
    "svg": "image/svg+xml",
    "wav": "audio/wav",
    "webp": "image/webp",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    "xml": "text/xml",
    "zip": "application/zip",
}
_TEXT_TYPES = frozenset(
    f"application/{kind}" for kind in "json xml yaml x-yaml toml javascript x-javascript sql x-sh x-python".split()
)
_MAGIC = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"PK\x03\x04": "application/zip",
}


def media_type(filename: str, declared: str = "", content: bytes = b"") -> str:
    """Return a file's media type: by its name where that is source code, as declared, by its name, by its first bytes."""
    extension = filename.rpartition(".")[2].lower()
    if extension in _SOURCE:  # `ts` is no video here
        return _TYPES[extension]
    declared = declared.partition(";")[0].strip().lower()
    if "/" in declared and declared not in (BINARY, "binary/octet-stream"):
        return declared
    return _TYPES.get(extension) or kind_by_content(content)


def kind_by_content(content: bytes) -> str:
    """Return the media type that a file's first bytes tell."""
    for magic, kind in _MAGIC.items():
        if content.startswith(magic):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    begin = content[:LOOKED_AT]
    text = begin.decode("utf-8", "ignore")
    is_text = content and len(begin) - len(text.encode()) < 4 and "\0" not in text
    return "text/plain" if is_text else BINARY


def is_text(kind: str) -> bool:
    """Tell whether files of a media type are text."""
    structured = kind.endswith(("+json", "+xml")) and kind != "image/svg+xml"
    return kind.startswith("text/") or kind in _TEXT_TYPES or structured


def data_url(kind: str, content: bytes) -> str:
    """Return a file as a data URL."""
    return f"data:{kind};base64,{to_base64(content)}"


def is_data_url(text: str) -> bool:
    return text[:5].lower() == "data:"


def kind_of(url: str) -> str:
    """Return the media type that a data URL names, in lower case."""
    return url[5:LONGEST_HEAD].partition(",")[0].partition(";")[0].lower()


def parse_data_url(url: str, param: str) -> tuple[str, str]:
    """Split a data URL into its media type and its base64. Raises InvalidRequest where it is not of that shape."""
    end = url.find(",", 0, LONGEST_HEAD)
    kind, *parameters = url[5 : max(end, 5)].lower().split(";")
    data = url[end + 1 :]
    if end < 0 or "base64" not in parameters or kind.count("/") != 1 or not data[:LOOKED_AT].strip():
        raise InvalidRequest(
            "Invalid data URL: expected data:<type>/<subtype>;base64,<data>.", param=param, code="invalid_data_url"
        )
    return kind, data


def decode_base64(data: str, param: str, code: str = "invalid_base64") -> bytes:
    """Return the bytes. Raises InvalidRequest with this code."""
    try:
        return from_base64(data)
    except ValueError:
        raise InvalidRequest("The data is not valid base64.", param=param, code=code) from None


def as_text(content: bytes) -> str | None:
    """Return a text file's text, None where it is not UTF-8 (or UTF-16 that says so)."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return to_text(content, encoding)
    except UnicodeDecodeError:
        return None
