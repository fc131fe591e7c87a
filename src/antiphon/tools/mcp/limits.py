"""Limits: what one MCP server may send."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one server may send: bytes of an answer, tools, pages of a list.

    `timeout`: seconds for a list or a call, and from one sign of progress to the next; `longest`: for a call, with all progress.
    """

    answer: int
    tools: int
    pages: int
    timeout: float
    longest: float
