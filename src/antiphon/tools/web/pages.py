"""Pages: web pages that a model opens, fetched within bounds and read off the event loop."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from antiphon.errors import APIError
from antiphon.net.fetching import Fetched, Fetcher
from antiphon.tools.base import ToolServerError
from antiphon.tools.retrieval.protocol import ReadTask
from antiphon.tools.retrieval.reader import DocumentReader, ReaderDied, ReaderUnusable
from antiphon.tools.web.declaration import is_within
from antiphon.tools.web.page_text import MOST_MARKUP, PageText, page_text

log = logging.getLogger("antiphon.tools.web")

MOST_READ = 2
"""Pages that are read at the same time, each in a thread: all share one interpreter."""

MOST_KEPT = 10
"""Pages of a response that are kept, to be searched in."""

CHUNK_TOKENS = 4096  # of the pieces in which a document's text comes; they are joined
DOCUMENT_SECONDS = 20
"""Seconds of the processor that a document may take."""

_DOCUMENTS = (b"%PDF-", b"PK\x03\x04")
"""How documents begin: PDF; Office, OpenDocument and EPUB, which are zip files."""

AROUND = 200  # characters shown on each side of what was found
MOST_MATCHES = 10

_CHARSET = re.compile(rb"charset\s{0,4}=\s{0,4}[\"']?([A-Za-z0-9_-]{1,32})", re.IGNORECASE)
_CHARSETS = frozenset(
    """
    utf-8 utf8 us-ascii iso-8859-1 iso-8859-2 iso-8859-9 iso-8859-15 windows-1250 windows-1251 windows-1252 windows-1254 koi8-r
    shift_jis euc-jp gb2312 gbk gb18030 big5 euc-kr utf-16
    """.split()
)
"""Encodings of pages; other codecs are never looked up."""


_TEXTS = frozenset(("", "application/xhtml+xml", "application/json", "application/ld+json", "application/xml"))
"""Media types of texts beside `text/…`."""


class Domains:
    """Where pages may come from: the operator's lists, and a request's."""

    def __init__(self, allowed: Sequence[str], blocked: Sequence[str], wanted: Sequence[str] = ()) -> None:
        self._allowed = allowed
        self._blocked = blocked
        self.wanted = wanted

    def allow(self, url: str) -> bool:
        """Tell whether a page may come from there."""
        try:
            host = (urlsplit(url).hostname or "").lower().rstrip(".")
        except ValueError:
            return False
        if not host or is_within(host, self._blocked):
            return False
        return all(not domains or is_within(host, domains) for domains in (self._allowed, self.wanted))


class Pages:
    """Opens pages for all responses of a server."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._reading = asyncio.Semaphore(MOST_READ)
        self._reader = DocumentReader()
        self._one_document = asyncio.Lock()

    async def open(self, url: str, allow: Callable[[str], bool]) -> PageText:
        """Return the text of a page; `allow` is asked for each address that it redirects to. Raises ToolServerError."""
        try:
            fetched = await self._fetcher.fetch(url, "url", allow=allow)
        except APIError as error:
            raise ToolServerError(error.message.replace("The file", "The page")) from None
        kind = fetched.declared.partition(";")[0].strip().lower()
        if fetched.content.startswith(_DOCUMENTS):
            return await self._document(fetched)
        if kind not in _TEXTS and not kind.startswith("text/"):
            raise ToolServerError(f"The page is no text: its type is {kind[:60]}.")
        async with self._reading:
            return await asyncio.to_thread(_read, fetched, "html" in kind or not kind)

    async def _document(self, fetched: Fetched) -> PageText:
        """Return the text of a PDF file or another document: a process of its own reads it. Raises ToolServerError."""
        name = urlsplit(fetched.url).path.rpartition("/")[2]
        task = ReadTask(filename=name[:200], tokens=CHUNK_TOKENS, overlap=0, seconds=DOCUMENT_SECONDS)

        async def content(start: int) -> bytes:
            return fetched.content[start:]

        try:
            async with self._one_document:
                found = await self._reader.read(task, len(fetched.content), content)
        except ReaderUnusable as error:
            log.error("web_search: document reader process cannot be used: %s", error)
            raise ToolServerError("Documents cannot be read at present.") from None
        except ReaderDied as error:
            log.warning("web_search: reading a document failed: document reader process: %s", error)
            raise ToolServerError("Reading the document takes more time or memory than is allowed.") from None
        if found.outcome != "read":
            raise ToolServerError(f"The document cannot be read: {found.reason}")
        return PageText(name, "\n".join(text for text, _ in found.chunks)[:MOST_MARKUP])

    def close(self) -> None:
        """End the process that reads documents."""
        self._reader.close()


def _read(fetched: Fetched, is_html: bool) -> PageText:
    text = _decoded(fetched.content, fetched.declared)
    if is_html:
        return page_text(text, fetched.url)
    return PageText("", text)


def _decoded(content: bytes, declared: str) -> str:
    found = _CHARSET.search(declared.encode("latin-1", "replace")[:256]) or _CHARSET.search(content[:2048])
    name = found[1].decode("ascii").lower() if found else "utf-8"
    try:
        return content.decode(name if name in _CHARSETS else "utf-8", "replace")
    except (LookupError, UnicodeError):
        return content.decode("utf-8", "replace")


def matches(text: str, pattern: str) -> list[str]:
    """Return the offsets of a text at which a pattern stands, upper and lower case alike, with what is around them."""
    folded, wanted = text.lower(), pattern.lower().strip()
    if len(folded) != len(text):  # letters whose small form is longer
        folded, wanted = text, pattern.strip()
    found: list[str] = []
    offset = 0
    while wanted and len(found) < MOST_MATCHES and (offset := folded.find(wanted, offset)) >= 0:
        end = offset + len(wanted)
        found.append(f"… {text[max(offset - AROUND, 0) : end + AROUND].strip()} …")
        offset = end + AROUND
    return found
