"""Chunks and calls for the tests of the decoder."""

from __future__ import annotations

from typing import Any

from tests.backends.chat.chats import PATCH, TIME, WEATHER, ask, heard, summary

TURN = ask(tools=[WEATHER, TIME, PATCH])
PARIS = '{"city":"Paris"}'


def made(*payloads: bytes, **fields: Any) -> list[tuple[str, ...]]:
    return summary(heard(TURN, *payloads, **fields))


def call(name: str, id: str, arguments: str, kind: str = "function") -> tuple[str, ...]:
    return ("call", kind, name, id, arguments)
