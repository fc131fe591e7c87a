"""`antiphon chat` against a real server, and with one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli.client import Client
from antiphon.cli.talk import DIM, Talk
from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config
from antiphon.errors import APIError
from tests.cli.command import antiphon, environment
from tests.server.serving import Served, serving

pytestmark = pytest.mark.slow

SCRIPTED = ("--backend", "http://127.0.0.1:9/v1", "--backend-api", "scripted")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    config = Config(
        store="memory",
        shutdown_grace=0,
        api_keys=["key"],
        backends={"demo": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
    )
    with serving(build(config), config) as running:
        yield running


def talk(served: Served, *, tty: bool = True) -> tuple[Talk, io.StringIO]:
    out = io.StringIO()
    return Talk(Client(served.url, "key"), "scripted", tty=tty, out=out), out


def test_an_answer_is_printed_with_its_thoughts_dimmed(served: Served) -> None:
    chat, out = talk(served)
    assert chat.ask("/think Let me see.\nHello there.")
    assert out.getvalue() == f"{DIM}Let me see.\x1b[0m\n\nHello there.\n"


def test_thoughts_are_left_out_of_what_is_piped_on(served: Served) -> None:
    chat, out = talk(served, tty=False)
    assert chat.ask("/think Let me see.\nHello there.")
    assert out.getvalue() == "Hello there.\n"


def test_each_question_follows_the_answer_before(served: Served) -> None:
    chat, _ = talk(served)
    chat.ask("One.")
    first = chat.previous
    chat.ask("Two.")
    assert first
    assert chat.previous not in (None, first)
    chat.forget()
    assert chat.previous is None


def test_a_failure_is_told_and_the_conversation_stays(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    chat, _ = talk(served)
    chat.ask("One.")
    before = chat.previous
    assert not chat.ask("/error 400 No way.")
    assert not chat.ask("Half an\n/error 502 Broken.")
    assert chat.previous == before
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [
        "antiphon: error: No way.",
        "antiphon: error: Broken.",
    ]


def test_a_wrong_key_and_an_absent_server_are_told_apart(served: Served) -> None:
    with pytest.raises(APIError, match="key"):
        Client(served.url, "wrong").models()
    with pytest.raises(APIError, match="no server answers") as caught:
        Client("http://127.0.0.1:9").models()
    assert caught.value.code == "unreachable"


async def test_one_question_in_one_answer_out(tmp_path: Path, served: Served) -> None:
    outcome = await antiphon(tmp_path, "chat", "--url", served.url, stdin="Hello there.\n", ANTIPHON_API_KEY="key")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Hello there.\n", "")
    failed = await antiphon(tmp_path, "chat", "--url", served.url, stdin="/error 400 No.", ANTIPHON_API_KEY="key")
    assert (failed.code, failed.out, failed.err) == (1, "", "antiphon: error: No.\n")


async def test_the_models_of_a_running_server(tmp_path: Path, served: Served) -> None:
    outcome = await antiphon(tmp_path, "models", "--url", f"{served.url}/v1", "--key", "key")
    assert (outcome.code, outcome.out) == (0, "scripted\n")


async def test_without_a_server_it_starts_its_own_and_ends_it(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "chat", *SCRIPTED, stdin="Hello there.")
    assert (outcome.code, outcome.out) == (0, "Hello there.\n")
    assert not _files(tmp_path)
    assert str(tmp_path).encode() not in _environments(), "its server still runs"


def _files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.db"))


def _environments() -> bytes:
    """Return the environments of all processes of ours (Linux)."""
    found = b""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += entry.read_bytes()
    return found


class Terminal:
    """A chat on a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.seen = ""
        self._folder = folder
        self._arguments = arguments

    async def start(self) -> None:
        self._fd, other = pty.openpty()
        os.set_blocking(self._fd, False)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "antiphon",
            "chat",
            *self._arguments,
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment(self._folder, TERM="dumb"),
            start_new_session=True,
        )
        os.close(other)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def until(self, text: str) -> None:
        """Wait until a text has appeared since the last time."""
        async with asyncio.timeout(15):
            while text not in self.seen:
                try:
                    self.seen += os.read(self._fd, 65536).decode()
                except OSError:
                    await asyncio.sleep(0.02)
        self.seen = self.seen.partition(text)[2]

    async def end(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 10)
        os.close(self._fd)
        return code


async def test_a_conversation_in_a_terminal(tmp_path: Path, served: Served) -> None:
    terminal = Terminal(tmp_path, "--url", served.url, "--key", "key")
    await terminal.start()
    await terminal.until("> ")
    terminal.type("/model\n")
    await terminal.until("* scripted")
    terminal.type("//repeat 100000 word\n")
    await terminal.until("word word")
    terminal.process.send_signal(signal.SIGINT)
    await terminal.until("(stopped)")
    await terminal.until("> ")
    terminal.type("/new\n")
    await terminal.until("A new conversation.")
    terminal.type("Still here.\n")
    await terminal.until("Still here.\r\nStill here.")
    await terminal.until("> ")
    terminal.type("\x04")
    assert await terminal.end() == 0
