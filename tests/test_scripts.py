"""The scripts of development, as far as they touch the machine: nothing is installed unsaid, or without being root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import program

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout whose .venv is complete, and a PATH with nothing on it but what a script needs, and a false apt-get."""
    for name in ("scripts/install", "scripts/venv", "pyproject.toml", "requirements-dev.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    script = (tmp_path / "scripts/install").read_text()
    (tmp_path / "scripts/install").write_text(script.replace("/usr/sbin/", "/nowhere/").replace("/Applications", "/no"))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dirname").symlink_to(program("dirname") or "")
    command(tmp_path, "apt-get", 'echo "apt-get $*" >&2')
    return tmp_path


def command(folder: Path, name: str, line: str) -> None:
    """Put a command on the PATH."""
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
    (folder / "bin" / name).chmod(0o755)


def said(folder: Path, user: int) -> list[str]:
    """Run scripts/install as a user; return the lines that it says."""
    command(folder, "id", f"echo {user}")
    done = subprocess.run(
        ["/bin/sh", "scripts/install"],
        cwd=folder, env={"PATH": str(folder / "bin")}, capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    return (done.stdout + done.stderr).splitlines()


def test_root_is_told_what_is_installed_before_it_is(bare: Path) -> None:
    first, update, install = said(bare, 0)
    assert first == "Installing with apt-get, for the tests: chromium pgbouncer bubblewrap"
    assert update.startswith("apt-get update")
    assert install.startswith("apt-get install") and install.endswith("chromium pgbouncer bubblewrap")


def test_nobody_else_installs_anything(bare: Path) -> None:
    (line,) = said(bare, 1000)
    assert line.startswith("Not installed, so tests that need them are skipped: chromium pgbouncer bubblewrap")


def test_what_is_there_is_not_installed(bare: Path) -> None:
    command(bare, "google-chrome", "")
    assert said(bare, 0)[0] == "Installing with apt-get, for the tests: pgbouncer bubblewrap"
    command(bare, "pgbouncer", "")
    command(bare, "bwrap", "")
    assert said(bare, 0) == []


def test_every_script_says_what_it_is_for() -> None:
    for script in (ROOT / "scripts").iterdir():
        first, second = script.read_text().splitlines()[:2]
        assert first == "#!/bin/sh" and second.startswith("# "), script.name
