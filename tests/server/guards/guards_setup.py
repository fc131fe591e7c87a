"""Servers with guards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from antiphon.config import BackendConfig, GuardConfig
from tests.server.guards.models import PATTERN
from tests.server.whole import Client, whole_server

CODES = GuardConfig(patterns=[PATTERN], window=32)


@contextmanager
def guarded(url: str, guard: GuardConfig = CODES, name: str = "codes", **settings: Any) -> Iterator[Client]:
    with whole_server(backends={"upstream": BackendConfig(url=url)}, guards={name: guard}, **settings) as client:
        yield client


def judge(**fields: Any) -> GuardConfig:
    return GuardConfig(kind="moderation", model="mod-1", window=32, **fields)
