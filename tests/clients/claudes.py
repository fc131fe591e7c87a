"""Claude Code without a person before it, started as `antiphon launch claude` starts it, with a folder of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

from antiphon.cli.agents.claude import OTHERS, claude
from antiphon.cli.agents.target import AgentTarget
from tests.clients.lib import API_KEY, BASE_URL, HERE, MODEL, same

BINARY = (
    HERE / "node_modules/@anthropic-ai/claude-code-linux-x64/claude"
)  # the wrapper in `.bin` wants its install script
TURN = 120  # seconds


class Claude:
    """One folder, one person."""

    def __init__(self, *, model: str = MODEL, context: int = 131_072, **variables: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.home, self.work = Path(self._folder.name, "home"), Path(self._folder.name, "work")
        self.home.mkdir()
        self.work.mkdir()
        self._outside = socket.create_server(("127.0.0.1", 0))
        self._variables = variables
        self.start = claude(AgentTarget(url=BASE_URL, key=API_KEY, model=model, context=context))
        for name, text in self.start.files.items():
            (self.home / name).write_text(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._outside.setblocking(False)
        try:
            self._outside.accept()
            raise AssertionError("Claude Code has called another server")
        except BlockingIOError:
            pass
        finally:
            self._outside.close()
            self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of `antiphon launch claude`; other servers would have to be called by way of a proxy."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
        told = {name: value.replace("{folder}", str(self.home)) for name, value in self.start.variables.items()}
        proxy = f"http://127.0.0.1:{self._outside.getsockname()[1]}"
        return {
            **inherited,
            **told,
            "HOME": str(self.home),
            "HTTPS_PROXY": proxy,
            "HTTP_PROXY": proxy,
            "NO_PROXY": "127.0.0.1",
            "IS_SANDBOX": "1",  # lets root skip permissions
            **self._variables,
        }

    def run(self, prompt: str, *arguments: str, code: int = 0) -> Told:
        """Say something and wait until all is over."""
        shape = ["--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]
        done = subprocess.run(
            [str(BINARY), "-p", *shape, *arguments],
            cwd=self.work,
            env=self.environment,
            input=prompt,
            capture_output=True,
            text=True,
            timeout=TURN,
        )
        assert done.returncode == code, (done.returncode, done.stdout[-3000:], done.stderr[-2000:])
        return Told(done.stdout)


class Told:
    """What Claude Code told of a run."""

    def __init__(self, out: str) -> None:
        self.events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        self.result = [event for event in self.events if event["type"] == "result"][-1]

    @property
    def text(self) -> str:
        """The last thing that was said; asserts that all went well."""
        same((self.result["subtype"], self.result["is_error"]), ("success", False))
        return str(self.result["result"])

    def blocks(self, type: str) -> list[dict[str, Any]]:
        """Return the blocks of one type, of all messages."""
        contents = [event["message"]["content"] for event in self.events if event["type"] in ("assistant", "user")]
        return [
            block for content in contents if isinstance(content, list) for block in content if block["type"] == type
        ]

    def system(self, subtype: str) -> list[dict[str, Any]]:
        """Return what it told of itself."""
        return [event for event in self.events if event["type"] == "system" and event["subtype"] == subtype]
