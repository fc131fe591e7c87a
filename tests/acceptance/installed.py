"""The built wheel in bare environments: `python -m tests.acceptance.installed WHEEL [--python PYTHON …]`.

For each Python from 3.11 to 3.14 that is found: an environment of its own, far from the checkout, the wheel and what it
needs from PyPI; then what README promises: the command, the page, a first answer, streamed and stored, the docs that the server
has, and with the extras a PostgreSQL address that is refused for its server, not for a package that is missing. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.acceptance.command import free_port

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
START = 60.0
"""Seconds from the start of the installation to the first answer, as users should see it at most."""
PATIENCE = 300.0


class Failed(Exception):
    """Something that README promises does not hold."""


def pythons(wanted: list[str]) -> list[str]:
    """Return the interpreters to try: those that are named, else one per version that is found and runs."""
    if wanted:
        return wanted
    found = [shutil.which(f"python{version}") for version in VERSIONS]
    return [path for path in found if path and _runs(path)]


def _runs(path: str) -> bool:
    return subprocess.run([path, "-c", "import ssl, venv"], capture_output=True, check=False).returncode == 0


def install(python: str, folder: Path, wheel: Path, extras: str = "") -> Path:
    """Make an environment with the wheel in it; return its `antiphon`. Raises CalledProcessError."""
    home = folder / f"environment{extras}"
    subprocess.run([python, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{wheel}{extras}"], check=True)
    return home / "bin/antiphon"


def answers(command: Path, folder: Path) -> None:
    """Start the server as README says and use it. Raises Failed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [str(command), "serve", "--port", str(port)], cwd=folder, env=variables, stderr=log
        ) as process,
    ):
        try:
            _wait(url, process)
            _use(url)
        except (OSError, KeyError, ValueError) as error:
            raise Failed(f"{error!r}\n{(folder / 'log').read_text()[-2000:]}") from None
        finally:
            process.terminate()
        if process.wait(30):
            raise Failed(f"the server ended with {process.returncode}")


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _get(f"{url}/ready")
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _use(url: str) -> None:
    for path in ("/", "/docs", "/openapi.json", "/v1/models"):
        _get(url + path)
    first = json.loads(_post(f"{url}/v1/responses", {"model": "antiphon-demo", "input": "Say hello."}))
    if first["status"] != "completed" or not first["output"]:
        raise ValueError(first)
    streamed = _post(
        f"{url}/v1/responses",
        {"model": "antiphon-demo", "input": "And now?", "previous_response_id": first["id"], "stream": True},
    )
    if b"response.completed" not in streamed:
        raise ValueError(streamed[-500:])
    kept = json.loads(urllib.request.urlopen(f"{url}/v1/responses/{first['id']}", timeout=30).read())
    if kept["output"] != first["output"]:
        raise ValueError(kept)


def _get(url: str) -> None:
    urllib.request.urlopen(url, timeout=30).close()


def _post(url: str, body: dict[str, object]) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    answer: bytes = urllib.request.urlopen(request, timeout=120).read()
    return answer


def has_extras(command: Path, folder: Path) -> None:
    """Try what the extras are for: PostgreSQL's address is told to be unreachable, not a package to be missing. Raises Failed."""
    done = subprocess.run(
        [str(command), "serve", "--port", str(free_port()), "--store", "postgresql://127.0.0.1:9/none"],
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode == 0 or "pip install" in done.stderr:
        raise Failed(done.stderr[-1000:])
    python = command.with_name("python")
    subprocess.run([str(python), "-c", "import antiphon.tools.mcp, httpx2, tokenizers"], check=True, cwd=folder)


def trial(python: str, wheel: Path) -> str:
    """Install the wheel for one interpreter and use it; return a line for the table. Raises Failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.monotonic()
        command = install(python, folder, wheel)
        installed = time.monotonic() - begin
        answers(command, folder)
        whole = time.monotonic() - begin
        size = sum(path.stat().st_size for path in command.parents[1].rglob("*") if path.is_file()) / 1e6
        has_extras(install(python, folder, wheel, "[all]"), folder)
        late = "" if whole <= START else f"  slower than {START:.0f} s"
        return f"installed in {installed:5.1f} s, used after {whole:5.1f} s, {size:4.0f} MB{late}"


def main() -> int:
    """Try the wheel with each interpreter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument(
        "--python", action="append", default=[], help="Interpreter; default: each of 3.11 to 3.14 that is found."
    )
    given = parser.parse_args()
    failures = 0
    for python in pythons(given.python):
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        try:
            told = trial(python, given.wheel.resolve())
        except (Failed, subprocess.SubprocessError) as error:
            failures += 1
            told = f"FAILED: {error}"
        print(f"{version:16}{told}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
