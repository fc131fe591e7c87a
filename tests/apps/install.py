"""Applications are installed from PyPI and npm, each in an environment of its own, and kept outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.apps.apps import NODE, App

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon-apps"
"""Remove it, and the next run installs anew."""


def install(name: str, app: App) -> Path:
    """Install an application unless it is there; return its folder. Raises CalledProcessError."""
    folder = CACHE / name
    if app.pip:
        _install(folder, app.pip, _pip)
    if app.npm:
        _install(CACHE / "node", [NODE], _npm)
        _install(folder, app.npm, partial(_npm, built=app.built))
    return folder


def node() -> Path:
    """Return the program that runs the applications from npm."""
    return CACHE / "node/node_modules" / NODE.rpartition("@")[0] / "bin/node"


def _install(folder: Path, packages: Sequence[str], way: Callable[[Path, Sequence[str]], None]) -> None:
    wanted, done = "\n".join(packages), folder / ".installed"
    if done.is_file() and done.read_text() == wanted:
        return
    begin = time.monotonic()
    print(f"{folder.name}: installing {', '.join(packages)} in {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    way(folder, packages)
    done.write_text(wanted)
    print(f"{folder.name}: installed in {time.monotonic() - begin:.0f} s", flush=True)


def _pip(folder: Path, packages: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "-q", "--disable-pip-version-check", "install", *packages]
    subprocess.run(pip, check=True)


def _npm(folder: Path, packages: Sequence[str], built: Sequence[str] = ()) -> None:
    (folder / "package.json").write_text('{"private": true}\n')
    path = f"{node().parent}:{os.environ['PATH']}" if node().is_file() else os.environ["PATH"]
    variables = {**os.environ, "PATH": path, "npm_config_nodedir": str(node().parents[1])}  # its headers are there
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-update-notifier", *packages]
    if built:
        command += ["--omit=dev", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, env=variables, check=True)
    if built:
        subprocess.run(["npm", "rebuild", "--silent", *built], cwd=folder, env=variables, check=True)
