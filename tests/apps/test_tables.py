"""The table of applications names what is there."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps import cases
from tests.apps.apps import APPS
from tests.apps.cases import LIMIT, RIGHT, WRONG
from tests.apps.run import Played, end_processes, table

HERE = Path(__file__).parent


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")
def test_what_an_application_leaves_running_is_ended(tmp_path: Path) -> None:
    line = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(line, env={"HOME": str(tmp_path / "home-a")}, start_new_session=True) as left,
        subprocess.Popen(line, env={"HOME": str(tmp_path / "home-ab")}) as other,
    ):
        end_processes(tmp_path / "home-a")
        assert left.wait(timeout=10) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


def test_each_script_is_played_by_a_row() -> None:
    scripts = {path.name if path.suffix == ".mjs" else path.stem for path in HERE.glob("play_*")}
    assert scripts == {app.script for app in APPS.values()}


@pytest.mark.parametrize("name", APPS)
def test_each_application_is_pinned(name: str) -> None:
    app = APPS[name]
    assert bool(app.pip) != bool(app.npm)
    assert re.fullmatch(r"\d+\.\d+\.\d+", app.version)


@pytest.mark.parametrize(
    ("body", "limit", "verdict"),
    [
        (lambda: None, "", f"{RIGHT} x"),
        (lambda: 1 / 0, "", f"{WRONG} x: ZeroDivisionError"),
        (lambda: 1 / 0, "by zero", f"{LIMIT} x: by zero"),
        (lambda: 1 / 0, "other words", f"{WRONG} x: ZeroDivisionError"),
        (lambda: None, "by zero", f"{WRONG} x: the limit is not met"),
    ],
)
def test_a_case_is_right_wrong_or_a_limit_that_is_told(body: object, limit: str, verdict: str) -> None:
    assert cases._verdict("x", body, limit).startswith(verdict)


def test_the_table_counts_and_tells_what_is_not_right() -> None:
    app = APPS["haystack"]
    lines = table([Played("haystack", app, [f"{RIGHT} a", f"{WRONG} b: words"], 2.0)]).splitlines()
    assert lines[1].split() == ["Haystack", app.version, "1", "0", "1", "2.0"]
    assert lines[2:] == [f"  {WRONG} b: words"]
