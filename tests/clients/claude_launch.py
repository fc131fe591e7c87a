"""`antiphon launch claude`: the demo model with Claude Code's shortest prompt, on a server of its own; sessions that are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.claudes import BINARY
from tests.clients.lib import API_KEY, BASE_URL, has, play, same, scenario


def launch(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would who has Claude Code installed."""
    (home / "bin").mkdir(exist_ok=True)
    if not (home / "bin/claude").exists():
        (home / "bin/claude").symlink_to(BINARY)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTIPHON_", "XDG_"))}
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "antiphon", "launch", "claude", *arguments]
    return subprocess.run(
        command,
        cwd=home,
        env={**kept, "HOME": str(home), "PATH": path, "IS_SANDBOX": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        demo = launch(home, "--", "--bare", "-p", "Say hello.")
        same(demo.returncode, 0)
        assert demo.stdout.strip(), demo.stderr  # whatever so small a model says
        refused = launch(home, "--", "-p", "Say hello.")
        same((refused.returncode, refused.stdout), (1, ""))
        has(refused.stderr, "antiphon-demo is too small for claude")
        server = ("--url", BASE_URL, "--key", API_KEY, "--")
        told = launch(home, *server, "-p", play("NOTE colour=blue", {"say": "noted"}))
        same((told.returncode, told.stdout.strip()), (0, "noted"))
        told = launch(home, *server, "--continue", "-p", play("Which?", {"say": "{{note.colour}}"}))
        same((told.returncode, told.stdout.strip()), (0, "blue"))
        same(sorted(path.name for path in home.glob(".claude*")), [])  # the person's own


scenario(main)
