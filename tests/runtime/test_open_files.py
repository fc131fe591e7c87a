"""The limit of open files is raised to what the process may have."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from antiphon.runtime import open_files
from antiphon.runtime.open_files import ENOUGH, raise_limit

UNLIMITED = resource.RLIM_INFINITY


class Limits:
    """The system's limits, or what stands for them."""

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.now = (soft, hard)
        self._refuses = refuses

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self._refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.now = limits


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        (1024, 4096, 4096),
        (1024, 524_288, ENOUGH),
        (1024, UNLIMITED, ENOUGH),
        (100_000, 524_288, 100_000),
        (20_000, 20_000, 20_000),
        (UNLIMITED, UNLIMITED, None),
    ],
)
def test_what_a_process_may_open(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, then: int | None) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert raise_limit() == then == open_files.limit()
    assert limits.now[1] == hard


def test_a_system_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(256, UNLIMITED, refuses=True)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert raise_limit() == 256


def test_a_process() -> None:
    code = """if True:
        import resource
        from antiphon.runtime.open_files import raise_limit
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        print(raise_limit(), hard)
    """
    found, hard = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert found == (min(hard, ENOUGH) if hard != UNLIMITED else ENOUGH)
