"""Other settings while the server runs, with the real command: streams go on, models and keys change, a bad file doesn't."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import Command, free_port

pytestmark = pytest.mark.slow

BACKENDS = """
[backends.one]
url = "http://127.0.0.1:9"
api = "scripted"
discover = false
"""
BEFORE = f"""
store = "memory"
api_keys = ["old-key"]
{BACKENDS}
[models.removed]
backends = ["one"]
name = "scripted"
[models.kept]
backends = ["one"]
name = "scripted"
"""
AFTER = """
store = "memory"
shutdown_grace = 3.0
[keys.alice]
key = "new-key"
limits = ["2 requests/day on kept"]
[backends.two]
url = "http://127.0.0.1:9"
api = "scripted"
discover = false
[models.kept]
backends = ["two"]
name = "scripted"
[models.added]
backends = ["two"]
name = "scripted"
[prompts.greeting]
instructions = "Greet."
"""
SLOW = "/delay 0.05\n/repeat 80 word"


class Server(Command):
    """A server with a file of settings, and its log."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path) -> None:
        super().__init__(process, port)
        self.file = folder / "antiphon.toml"
        self._log = folder / "log"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ask(self, key: str, model: str, text: str = "Hi.", **fields: object) -> tuple[int, str]:
        """Return a response's status and body."""
        body = json.dumps({"model": model, "input": text, **fields}).encode()
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{self.url}/v1/responses", body, headers), timeout=20
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def hang_up(self) -> None:
        """Ask it to load its settings again."""
        self.process.send_signal(signal.SIGHUP)

    def until_logged(self, text: str, times: int = 1) -> None:
        until(lambda: self.log.count(text) >= times)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def serving(folder: Path, settings: str, *arguments: str) -> Iterator[Server]:
    port = free_port()
    (folder / "antiphon.toml").write_text(settings)
    command = [sys.executable, "-m", "antiphon", "serve", "--quiet", "--port", str(port), *arguments]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    server = Server(process, port, folder)
    try:
        server.wait_until_healthy()
        yield server
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_models_and_keys_change_while_a_stream_goes_on(tmp_path: Path) -> None:
    streamed: list[tuple[int, str]] = []
    with serving(tmp_path, BEFORE) as server:
        assert server.ask("old-key", "removed")[0] == 200
        stream = threading.Thread(target=lambda: streamed.append(server.ask("old-key", "removed", SLOW, stream=True)))
        stream.start()
        time.sleep(0.5)
        server.file.write_text(AFTER)
        server.hang_up()
        server.until_logged("configuration reloaded")
        assert not streamed

        assert server.ask("old-key", "kept")[0] == 401
        status, body = server.ask("new-key", "removed")
        assert (status, json.loads(body)["error"]["code"]) == (400, "model_not_found")
        assert server.ask("new-key", "added", prompt={"id": "greeting"})[0] == 200
        assert [server.ask("new-key", "kept")[0] for _ in range(3)] == [200, 200, 429]
        assert "these settings change only on restart: shutdown_grace" in server.log

        stream.join()
        status, text = streamed[0]
        assert status == 200 and "response.completed" in text and "response.failed" not in text
        assert text.count("response.output_text.delta") >= 80
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("api_keys = [", "is not valid TOML"),
        (AFTER + '[models.lost]\nbackends = ["nowhere"]\n', "nowhere"),
        (AFTER + 'input = [{type = "nonsense"}]\n', "prompts.greeting"),
        (AFTER + '[keys.bob]\nkey = "b"\nlimits = ["many"]\n', "keys.bob.limits"),
    ],
)
def test_a_broken_file_changes_nothing_and_the_log_says_why(tmp_path: Path, broken: str, reason: str) -> None:
    with serving(tmp_path, BEFORE) as server:
        server.file.write_text(broken)
        server.hang_up()
        server.until_logged("configuration not reloaded")
        line = next(line for line in server.log.splitlines() if "configuration not reloaded" in line)
        assert " error " in line and reason in line and "new-key" not in line
        assert (server.ask("old-key", "removed")[0], server.ask("new-key", "kept")[0]) == (200, 401)
        server.file.write_text(AFTER)
        server.hang_up()
        server.until_logged("configuration reloaded")
        assert server.ask("new-key", "added")[0] == 200


def test_a_server_that_others_reach_cannot_be_opened(tmp_path: Path) -> None:
    with serving(tmp_path, 'host = "0.0.0.0"\n' + BEFORE) as server:
        server.file.write_text(BEFORE.replace('api_keys = ["old-key"]', 'host = "127.0.0.1"'))
        server.hang_up()
        server.until_logged("configuration not reloaded: host")
        assert server.ask("", "kept")[0] == 401


def test_the_file_is_watched_where_that_is_wanted(tmp_path: Path) -> None:
    with serving(tmp_path, BEFORE, "--reload") as server:
        server.file.unlink()
        time.sleep(1.1)
        server.file.write_text(AFTER)
        server.until_logged("configuration reloaded")
        assert server.ask("new-key", "added")[0] == 200
        assert "configuration not reloaded" not in server.log


def test_several_workers_take_the_settings_over_and_their_successors_have_them(tmp_path: Path) -> None:
    store = f'store = "{tmp_path / "a.db"}"'
    streamed: list[tuple[int, str]] = []
    with serving(tmp_path, BEFORE.replace('store = "memory"', store), "--workers", "2") as server:
        stream = threading.Thread(target=lambda: streamed.append(server.ask("old-key", "removed", SLOW, stream=True)))
        stream.start()
        time.sleep(0.5)
        server.file.write_text(AFTER.replace('store = "memory"', store))
        server.hang_up()
        server.until_logged("configuration reloaded", times=2)
        assert {server.ask("new-key", "added")[0] for _ in range(8)} == {200}
        assert {server.ask("old-key", "added")[0] for _ in range(8)} == {401}
        stream.join()
        assert streamed[0][0] == 200 and "response.completed" in streamed[0][1]

        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        server.until_logged("starting another", times=2)
        server.wait_until_healthy()
        assert {server.ask("new-key", "added")[0] for _ in range(8)} == {200}

        server.file.write_text("nonsense = 1")
        server.hang_up()
        server.until_logged("configuration not reloaded")
        assert {server.ask("new-key", "added")[0] for _ in range(8)} == {200}
        assert server.stop() == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_terminal_that_goes_away_ends_the_server(tmp_path: Path) -> None:
    """There SIGHUP is no wish to have the settings loaded again: nobody would know of the server any more."""
    (tmp_path / "antiphon.toml").write_text(BEFORE)
    port = free_port()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-m", "antiphon", "serve", "--port", str(port)])
    try:
        until(lambda: b"old-key" not in os.read(terminal, 1000) and answers(port))
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
    except OSError:
        return False
    return True


def test_settings_of_decisions_change(tmp_path: Path) -> None:
    def decide() -> tuple[int, str]:
        question = {"type": "predicate", "instructions": "Is it so?"}
        body = {"model": "scripted", "input": "Yes.", "questions": [question]}
        request = urllib.request.Request(
            f"{server.url}/v1/decisions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    models = '[models.scripted]\nbackends = ["one"]\n'
    settings = f'store = "memory"\n{BACKENDS}\n{models}\n[decisions]\nfallback = "{{}}"\n'
    with serving(tmp_path, settings.format("off"), "--config", "antiphon.toml") as server:
        status, answer = decide()
        assert "decisions.fallback" in answer, (status, answer)
        server.file.write_text(settings.format("votes"))
        server.hang_up()
        server.until_logged("configuration reloaded")
        assert "decisions.fallback" not in decide()[1]
        assert "only on restart" not in server.log
