"""`/docs/guide`: the pages of docs/ as the package carries them, for people and as Markdown; `/llms.txt`, `/llms-full.txt`.

A page is sent with its Markdown inside; a script of ours makes it HTML in the browser, by markdown-it. Without scripts it can be
read as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from antiphon.errors import NotFound
from antiphon.server.http.messages import Reply, Request
from antiphon.server.pages.files import POLICY, escape, html_page, made, reply

INDEX = "index.md"
POLICY_OF_GUIDE = f"{POLICY}; require-trusted-types-for 'script'; trusted-types guide"
ROW = re.compile(r"^- \[([^\]\n]{1,100})\]\(([^)\n]{1,100})\): (.+)$")
TEST = re.compile(r"^<!-- [^\n]* -->\n", re.MULTILINE)
"""What tests read of a page's code blocks."""


class GuideRow(NamedTuple):
    """A page in the list of pages. `section` is the heading above it."""

    section: str
    title: str
    path: str
    note: str


async def guide(request: Request) -> Reply:
    """GET /docs/guide."""
    return _page(INDEX, request)


async def guide_page(request: Request) -> Reply:
    """GET /docs/guide/{path}: a page; with `.md` behind it, its Markdown."""
    path = request.params["path"]
    if path.endswith(".md") and path in guide_pages():
        return reply(made(guide_pages()[path].encode(), "text/markdown; charset=utf-8"), request)
    return _page(f"{path}.md", request)


async def llms(request: Request) -> Reply:
    """GET /llms.txt: the list of pages, for language models."""
    text = _index().replace("](", "](docs/guide/")
    return reply(made(text.encode(), "text/plain; charset=utf-8"), request)


async def llms_full(request: Request) -> Reply:
    """GET /llms-full.txt: all pages, for language models and for the search of the guide."""
    return reply(made(_all().encode(), "text/plain; charset=utf-8"), request)


@functools.cache
def guide_pages() -> Mapping[str, str]:
    """Read the pages of the list, once, by path: from the package, or from docs/ where it is used as it stands in a clone."""
    installed = resources.files("antiphon.server.pages") / "guide"
    folder: Traversable = installed if installed.is_dir() else Path(__file__).parents[4] / "docs"
    if not (folder / INDEX).is_file():
        return {}
    index = (folder / INDEX).read_text("utf-8")
    paths = [INDEX, *(row.path for row in rows(index))]
    return {path: TEST.sub("", folder.joinpath(*path.split("/")).read_text("utf-8")) for path in paths}


def rows(index: str) -> Iterator[GuideRow]:
    """Yield the rows of the list of pages."""
    section = ""
    for line in index.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif found := ROW.match(line):
            yield GuideRow(section, *found.groups())


def _page(path: str, request: Request) -> Reply:
    text = guide_pages().get(path)
    if text is None:
        raise NotFound(f"The guide has no page '{path.removesuffix('.md')[:100]}'. GET /docs/guide lists all.")
    title = text.partition("\n")[0].removeprefix("# ")
    page = html_page(
        "docs/guide.html",
        request,
        title=escape(title),
        path=escape(path),
        contents=_contents(path),
        text=escape(text),
    )
    return reply(page, request, POLICY_OF_GUIDE)


def _contents(shown: str) -> str:
    """Return the list of pages as HTML."""
    parts: list[str] = []
    section = ""
    for row in rows(_index()):
        if row.section != section:
            section = row.section
            parts.append(f"{'</ul>' if parts else ''}<h2>{escape(section)}</h2><ul>")
        current = ' aria-current="page"' if row.path == shown else ""
        href = escape(f"docs/guide/{row.path.removesuffix('.md')}")
        parts.append(f'<li><a href="{href}"{current}>{escape(row.title)}</a></li>')
    return "".join([*parts, "</ul>"])


def _index() -> str:
    return guide_pages().get(INDEX, "")


@functools.cache
def _all() -> str:
    return "\n\n".join(f"Source: docs/guide/{path}\n\n{text}" for path, text in guide_pages().items())
