"""Codex's app server, as editors use it: turns, a compaction that the person asks for, and a turn after it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.clients.codexes import BINARY, Codex
from tests.clients.lib import has, play, same, scenario


class AppServer:
    """JSON-RPC over the standard streams."""

    def __init__(self, codex: Codex) -> None:
        self._process = subprocess.Popen(
            [str(BINARY), "app-server"],
            cwd=codex.work,
            env=codex.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._next = 0
        self.ask("initialize", clientInfo={"name": "tests", "version": "1"})
        self._send({"method": "initialized"})

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _until(self, wanted: str, value: object) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            seen.append(json.loads(line))
            if seen[-1].get(wanted) == value:
                return seen
        raise AssertionError(seen[-3:])

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method and return its result."""
        self._next += 1
        self._send({"id": self._next, "method": method, "params": params})
        answer = self._until("id", self._next)[-1]
        assert "result" in answer, answer
        return dict(answer["result"])

    def wait(self, notification: str) -> list[dict[str, Any]]:
        """Return all that is told until the notification comes."""
        return self._until("method", notification)

    def turn(self, thread: str, prompt: str) -> str:
        """Say something and return the last message."""
        self.ask("turn/start", threadId=thread, input=[{"type": "text", "text": prompt}])
        told = self.wait("turn/completed")
        same(told[-1]["params"]["turn"]["status"], "completed")
        items = [message["params"]["item"] for message in told if message.get("method") == "item/completed"]
        return str([item for item in items if item["type"] == "agentMessage"][-1]["text"])


def compacts(name: str, provider: str) -> None:
    with Codex(model={}, name=name, provider=provider) as codex:
        server = AppServer(codex)
        thread = server.ask("thread/start")["thread"]["id"]
        same(server.turn(thread, play("NOTE colour=blue", {"think": "T1", "say": "noted"})), "noted")
        server.ask("thread/compact/start", threadId=thread)
        same(server.wait("turn/completed")[-1]["params"]["turn"]["status"], "completed")
        has(server.turn(thread, play("Which?", {"say": "{{note.colour}} A{{assistants}}"})), "blue A0")
        server.close()


def main() -> None:
    for name in ("antiphon", "OpenAI"):
        for provider in ("", "supports_websockets = true"):
            compacts(name, provider)


scenario(main)
