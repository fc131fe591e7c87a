"""docs/index.md, from which the site, the server's guide and llms.txt have their navigation, lists every page once."""

from __future__ import annotations

import re

from tests.guide.blocks import DOCS

INDEX = (DOCS / "index.md").read_text()
ROWS = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): \S", INDEX, re.MULTILINE)


def test_every_page_is_listed_once() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"index.md"}
    assert sorted(ROWS) == sorted(pages)


def test_it_has_the_form_of_llms_txt() -> None:
    """A title, a summary as a quotation, sections with lists of links and notes, and nothing else (llmstxt.org)."""
    lines = [line for line in INDEX.splitlines() if line]
    assert lines[0].startswith("# ") and lines[1].startswith("> ")
    assert all(re.match(r"> |## |- \[[^\]]+\]\([^)]+\): ", line) for line in lines[1:])
