"""Applications that are programs: they are run in a folder of their own, with a home of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Program:
    """One program of the application's environment."""

    def __init__(self, name: str, environment: dict[str, str] | None = None) -> None:
        self.home = Path(os.environ["HOME"])
        self.work = self.home / "work"
        self.work.mkdir(exist_ok=True)
        folder = Path(os.environ["FOLDER"])
        places = (folder / "node_modules/.bin" / name, folder / "bin" / name)
        self._program = str(next(place for place in places if place.exists()))
        self._environment = {**os.environ, **(environment or {})}

    def run(self, *arguments: str, within: float = 180, endings: Sequence[int] = (0,)) -> str:
        """Run it; return what it says. Raises AssertionError with the end of what it said if its status is none of `endings`."""
        done = subprocess.run(
            [self._program, *arguments],
            cwd=self.work, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within,
        )  # fmt: skip
        assert done.returncode in endings, f"exit {done.returncode}: {(done.stdout + done.stderr)[-800:]}"
        return done.stdout
