"""Counts what takes the fast path."""

from __future__ import annotations

import pytest

from tests.server.fast_path.reads import Counting


@pytest.fixture(autouse=True)
def _count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.backends.chat.answer_streams.FastChunks", Counting)
