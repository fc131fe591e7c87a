"""Messages of docs/troubleshooting.md are messages that the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.guide.blocks import DOCS
from tests.package_source import modules, nodes

GAP = "…"
ROW = re.compile(r"^\| `((?:[^`|]|`[^`]*`(?=`))+)`", re.MULTILINE)
MESSAGES = ROW.findall((DOCS / "troubleshooting.md").read_text())


def _text(node: ast.expr) -> str | None:
    """Return a string of the code; what it fills in is a gap."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in values)
        case _:
            return None


def strings() -> Iterator[str]:
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.Constant | ast.JoinedStr) and (text := _text(node)):
                yield re.sub(rf"{GAP}+", GAP, text)


@cache
def said() -> str:
    """Return all that the code says, a line each."""
    return "\n".join(sorted(set(strings())))


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 25


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_said(message: str) -> None:
    pieces = [piece for piece in message.split(GAP) if piece.strip(" .'")]
    assert pieces
    pattern = rf"[^\n{GAP}]*{GAP}[^\n{GAP}]*".join(re.escape(piece.strip()) for piece in pieces)
    assert re.search(pattern, said()) or all(piece.strip() in said() and len(piece) > 12 for piece in pieces), message
