"""The small benchmarks run. What they measure is nobody's business here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MICRO = Path(__file__).parents[1] / "bench" / "micro"
QUICK = {"core.py": ["--count", "200"], "store.py": ["--count", "200"], "http_client.py": ["--quick"]}


def test_there_is_no_other() -> None:
    assert {path.name for path in MICRO.glob("*.py")} == set(QUICK)


@pytest.mark.parametrize("name", QUICK)
def test_it_runs_and_tells_figures(name: str) -> None:
    command = [sys.executable, str(MICRO / name), *QUICK[name]]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed.count("µs") >= 3
