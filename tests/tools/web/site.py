"""A web for tests: search providers with recorded shapes of answers, and pages, on one real socket."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.tools.retrieval.documents import docx, pdf, zipped

Json = dict[str, Any]

ARTICLE = """<!doctype html><html><head><title>Lapse &amp; relapse</title><style>p{}</style><script>var a="<p>"</script>
</head><body><nav><a href="/menu">Menu entry</a></nav><header>Top</header><main><h1>The fund</h1>
<p>The fund <b>did</b> lapse on  Monday&nbsp;at noon.</p><ul><li>first</li><li>second</li></ul>
<table><tr><th>year</th><td>2025</td></tr></table><pre>a
  b</pre><p>See <a href="more.html#part">more of it</a> and <a href="javascript:alert(1)">this</a>. It was a long story, and there
are enough words in this paragraph that nobody can think it was a menu, whatever else there may be to say about menus.</p></main>
<footer>Imprint</footer></body></html>"""

PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/article": (200, {"content-type": "text/html; charset=utf-8"}, ARTICLE.encode()),
    "/packed": (200, {"content-type": "text/html", "content-encoding": "gzip"}, gzip.compress(ARTICLE.encode())),
    "/bomb": (
        200,
        {"content-type": "text/html", "content-encoding": "gzip"},
        gzip.compress(b"<p>" + b"a" * 50_000_000),
    ),
    "/more.html": (200, {"content-type": "text/html"}, b"<p>More of it: " + b"word " * 60 + b"</p>"),
    "/report.pdf": (200, {"content-type": "application/pdf"}, pdf("The fund is in the report.", "Its second page")),
    "/download": (200, {"content-type": "application/octet-stream"}, docx("A paragraph of a document")),
    "/cut.pdf": (200, {"content-type": "application/pdf"}, pdf("The fund")[:200]),
    "/scan.pdf": (200, {"content-type": "application/pdf"}, pdf("")),
    "/archive.zip": (200, {"content-type": "application/zip"}, zipped({"a.txt": "text"})),
    "/plain.txt": (200, {"content-type": "text/plain"}, b"Plain text."),
    "/picture.png": (200, {"content-type": "image/png"}, b"\x89PNG"),
    "/gone": (404, {"content-type": "text/html"}, b"gone"),
    "/to-article": (302, {"location": "/article"}, b""),
    "/to-metadata": (302, {"location": "http://169.254.169.254/latest"}, b""),
    "/large": (200, {"content-type": "text/html"}, b"<p>" + b"b" * 3_000_000),
    "/latin": (200, {"content-type": "text/html; charset=iso-8859-1"}, "<p>caf\xe9".encode("latin-1") + b" x" * 120),
}


def hits_of(base: str) -> list[tuple[str, str, str]]:
    """Return what all providers find: URL, title and text."""
    return [
        (f"{base}/article", "Lapse & relapse", "The fund lapsed."),
        (f"{base}/more.html", "More", "More of it."),
    ]


def answers(base: str) -> dict[str, Any]:
    """Return each provider's answer, in its shape."""
    first, second = hits_of(base)
    return {
        "searxng": {"query": "q", "results": [{"url": u, "title": t, "content": c} for u, t, c in (first, second)]},
        "brave": {
            "web": {
                "results": [
                    {"url": first[0], "title": first[1], "description": "The <strong>fund</strong> lapsed."},
                    {"url": second[0], "title": second[1], "description": "More", "extra_snippets": ["of it."]},
                ]
            }
        },
        "tavily": {"results": [{"url": u, "title": t, "content": c, "score": 0.9} for u, t, c in (first, second)]},
        "exa": {"results": [{"url": u, "title": t, "text": c, "id": u} for u, t, c in (first, second)]},
        "serper": {"organic": [{"link": u, "title": t, "snippet": c, "position": 1} for u, t, c in (first, second)]},
        "kagi": {
            "data": [
                {"t": 0, "url": first[0], "title": first[1], "snippet": first[2]},
                {"t": 1, "list": ["related"]},
                {"t": 0, "url": second[0], "title": second[1], "snippet": second[2]},
            ]
        },
        "wikipedia": {
            "query": {
                "search": [
                    {
                        "ns": 0,
                        "title": "Fund (finance)",
                        "snippet": 'The <span class="searchmatch">fund</span> lapsed.',
                    },
                    {"ns": 0, "title": "More", "snippet": "More of it."},
                ]
            }
        },
    }


class Web(BaseHTTPRequestHandler):
    """Answers searches by the path that each provider has, and pages. `/search?q=…` may ask for a failure."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []
    opened: ClassVar[list[str]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path in PAGES:
            self.opened.append(self.path)
            status, headers, body = PAGES[parts.path]
            self._send(status, headers, body)
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append({"path": parts.path, "query": query, "headers": dict(self.headers)})
        provider = {
            "/search": "searxng",
            "/res/v1/web/search": "brave",
            "/api/v0/search": "kagi",
            "/w/api.php": "wikipedia",
        }.get(parts.path, "")
        wish = query.get("q", query.get("srsearch", ""))
        if wish.startswith("status "):
            self._send(int(wish.split()[1]), {}, b"no")
        elif wish.startswith("nonsense"):
            self._send(200, {"content-type": "text/html"}, b"<html>")
        elif wish.startswith("slow"):
            time.sleep(2)
            self._send(200, {}, b"{}")
        else:
            self._answer(provider)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = urlsplit(self.path).path
        self.asked.append({"path": path, "query": body, "headers": dict(self.headers)})
        headers = {name.lower() for name in self.headers}
        self._answer("tavily" if "authorization" in headers else "serper" if "num" in body else "exa")

    def _answer(self, provider: str) -> None:
        base = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        self._send(200, {"content-type": "application/json"}, json.dumps(answers(base).get(provider)).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


@contextmanager
def web() -> Iterator[str]:
    """Run the web; yield its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, args=[0.005], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
