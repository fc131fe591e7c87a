"""What MkDocs does besides: navigation from docs/index.md, links that leave docs/ as text, nothing of other hosts, llms.txt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.utils import get_relative_url

SHIM = "https://unpkg.com/iframe-worker/shim"
"""Lets search work from the disk. The theme's plugin takes it from another host; ours lies in theme/javascripts."""

FOREIGN = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(?:https?:)?//[^>]*")
ROW = re.compile(r"^- \[([^\]]+)\]\(([^)]+)\)", re.MULTILINE)
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
TEST = re.compile(r"^<!-- .* -->\n", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Read the navigation."""
    _, *parts = SECTION.split((Path(config.docs_dir) / "index.md").read_text())
    sections = zip(parts[::2], parts[1::2], strict=True)
    config.nav = [
        {"Home": "index.md"},
        *({title: [{name: path} for name, path in ROW.findall(text)]} for title, text in sections),
    ]
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Take out what only tests read, and links to files that are no pages of the site."""
    root = Path(config.docs_dir).resolve()
    folder = (root / page.file.src_uri).parent

    def link(found: re.Match[str]) -> str:
        inside = (folder / found[2]).resolve().is_relative_to(root)
        return found[0] if inside else found[1]

    return LINK.sub(link, TEST.sub("", markdown))


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Keep the page from asking other hosts."""
    output = output.replace(SHIM, get_relative_url("javascripts/iframe-worker.js", page.url))
    if found := FOREIGN.search(output):
        raise PluginError(f"{page.file.src_uri} asks another host: {found[0]}")
    return output


def on_post_build(config: Any) -> None:
    """Write llms.txt: the list of pages, with their Markdown beside them."""
    docs, site = Path(config.docs_dir), Path(config.site_dir)
    index = (docs / "index.md").read_text()
    (site / "llms.txt").write_text(index)
    for _, path in ROW.findall(index):
        (site / path).write_text(TEST.sub("", (docs / path).read_text()))
