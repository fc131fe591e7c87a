"""Every command and program of the guide's pages, run as it stands there: with the real command, in an empty home."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bounds import bound
from tests.guide.blocks import DOCS, MARKS, RUN, Block, blocks, pages
from tests.guide.stand_in import stand_in
from tests.stores.postgres_server import running

POSTGRES = "postgresql://antiphon:${DB_PASSWORD}@127.0.0.1:5432/antiphon"
NEEDS = {"tutorials/mcp.md": "mcp", "tutorials/team.md": "postgresql"}
PATIENCE = 60.0
ALL = [path.relative_to(DOCS).as_posix() for path in pages()]

backend = pytest.fixture(scope="module")(stand_in)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Shell:
    """Runs the blocks of one page, one after another, in one folder."""

    def __init__(self, folder: Path, words: dict[str, str]) -> None:
        self._folder = folder
        self._words = words
        self.port = free_port()
        self._others = free_port()
        self._started: list[subprocess.Popen[bytes]] = []
        programs = folder / "bin"
        programs.mkdir()
        for name, command in (("antiphon", f"{shlex.quote(sys.executable)} -m antiphon"), ("python", sys.executable)):
            (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (programs / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTIPHON_", "XDG_"))}
        self._variables = {
            **kept,
            "HOME": str(folder),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ANTIPHON_PORT": str(self.port),
            "DB_PASSWORD": "secret",
            "PROVIDER_KEY": "secret",
        }

    def run(self, block: Block) -> None:
        text = self._here(block.text)
        if "file" in block.marks:
            (self._folder / block.marks["file"]).write_text(text)
        elif block.language == "toml":
            (self._folder / "antiphon.toml").write_text(text)
            self._end(["antiphon", "config", "show"], block)
        elif "server" in block.marks or "background" in block.marks:
            self._start(text, block)
        elif block.language == "python":
            (self._folder / "block.py").write_text(text)
            self._end(["python", "block.py"], block)
        else:
            self._end(["/bin/sh", "-euc", text], block)

    def stop(self) -> None:
        for process in self._started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _here(self, text: str) -> str:
        for word, other in self._words.items():
            text = text.replace(word, other)
        return re.sub(r"\b9000\b", str(self._others), re.sub(r"\b8080\b", str(self.port), text))

    def _end(self, command: list[str], block: Block) -> None:
        until = time.monotonic() + (bound(PATIENCE) if "retried" in block.marks else 0)
        out = self._output(command, block)
        while self._here(block.marks.get("says", "")) not in out:
            assert time.monotonic() < until, f"line {block.line}: {out}\n{self._logs()}"
            time.sleep(0.5)
            out = self._output(command, block)
        if "keep" in block.marks:
            name, pattern = block.marks["keep"].split(" ", 1)
            found = re.search(pattern, out)
            assert found, out
            self._variables[name] = found[0]

    def _output(self, command: list[str], block: Block) -> str:
        name, _, value = block.marks.get("env", "").partition("=")
        variables = {**self._variables, **({name: value} if name else {})}
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=bound(PATIENCE),
            check=False,
        )
        out = done.stdout + done.stderr
        assert done.returncode == 0, f"line {block.line}: {out}\n{self._logs()}"
        return out

    def _start(self, text: str, block: Block) -> None:
        log = self._folder / f"log-{len(self._started)}.txt"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["/bin/sh", "-euc", text],
                cwd=self._folder, env=self._variables, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        until = time.monotonic() + bound(PATIENCE)
        while not self._is_up("server" in block.marks):
            assert process.poll() is None, f"line {block.line}: {log.read_text()}"
            assert time.monotonic() < until, f"line {block.line}: {log.read_text()}"
            time.sleep(0.05)

    def _is_up(self, is_server: bool) -> bool:
        if not is_server:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self._others)) == 0
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5):
                return True
        except OSError:
            return False

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self._folder.glob("log-*.txt"))


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    with running() as server:
        yield server.create("guide")


@pytest.fixture
def shell(request: pytest.FixtureRequest, tmp_path: Path, backend: str) -> Iterator[Shell]:
    words = {"http://127.0.0.1:11434/v1": backend}
    if NEEDS.get(request.getfixturevalue("page")) == "postgresql":
        words[POSTGRES] = request.getfixturevalue("database")
    shell = Shell(tmp_path, words)
    yield shell
    shell.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(name, marks=[pytest.mark.needs(NEEDS[name])] if name in NEEDS else []) for name in ALL]
)
def test_what_a_page_says_works(page: str, shell: Shell) -> None:
    for block in blocks((DOCS / page).read_text()):
        if block.language in RUN and "not run" not in block.marks:
            shell.run(block)


@pytest.mark.parametrize("page", ALL)
def test_a_page_marks_its_blocks_with_known_words_and_gives_reasons(page: str) -> None:
    for block in blocks((DOCS / page).read_text()):
        assert block.language, f"{page}:{block.line}: name the block's language"
        assert block.marks.keys() <= MARKS, f"{page}:{block.line}"
        assert block.marks.get("not run") != "", f"{page}:{block.line}: say why it is not run"
