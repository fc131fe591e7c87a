"""Text of a server that is not trusted, as it may be shown in a terminal and on a page."""

from __future__ import annotations


def readable(text: str, most: int) -> str:
    """Return text on one line, without what moves a cursor or changes the direction of writing."""
    text = " ".join(text[: 4 * most].split())
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= most else f"{text[:most]} …"
