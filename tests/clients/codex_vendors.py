"""Codex through each vendor's shapes: three turns, each with calls, nothing lost on the way there and back.

Every vendor of tests/backends/vendors that speaks chat completions is played with calls of Codex's own tool, behind
`antiphon serve`. VENDORS="gemini groq" plays these alone and prints what a failed one was sent last. Prints a table.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from antiphon.backends.chat.profiles import PROFILES
from tests.acceptance.command import serving
from tests.backends.vendors.corpus import Answer, Vendor, vendors
from tests.clients.codexes import Codex
from tests.clients.lib import same, scenario
from tests.clients.vendor_plays import FIELDS, OURS, Step, printed, turns

PROMPTS = ("First.", "Second.", "Third.")
AT_ONCE = 2
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,40}")
MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "deepseek": "deepseek-reasoner",
    "gemini": "gemini-3-pro-preview",
    "mistral": "magistral-medium-latest",
    "moonshot": "kimi-k2-thinking",
    "vertex": "google/gemini-3-pro-preview",
}
"""Models whose family counts: by its name the server knows what else the model takes. Others are named as their vendor."""
FILLER = {"role": "assistant", "content": "OK."}  # what `roles = "alternate"` puts behind a result


class Played:
    """One vendor's conversation: its answers, and the requests that came."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor, self.turns = vendor, turns(vendor)
        self.steps = [step for turn in self.turns for step in turn]
        self.model = MODELS.get(vendor.name, vendor.name)
        self.seen: list[dict[str, Any]] = []

    @property
    def told(self) -> list[dict[str, Any]]:
        """The messages of the last request."""
        return list(self.seen[-1]["messages"]) if self.seen else []


class Backend(BaseHTTPRequestHandler):
    """All vendors, each below its name."""

    protocol_version = "HTTP/1.1"
    played: dict[str, Played]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List the one model."""
        model = {"id": self._one.model, "object": "model"}
        self._send(_json(200, {"object": "list", "data": [model]}))

    def do_POST(self) -> None:
        """Give the next answer."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.path.endswith("/chat/completions"):
            return self._send(_json(404, {"error": {"message": "no such path"}}))
        one = self._one
        one.seen.append(request)
        if len(one.seen) > len(one.steps):
            return self._send(_json(400, {"error": {"message": "one request too many"}}))
        return self._send(one.steps[len(one.seen) - 1].body)

    @property
    def _one(self) -> Played:
        return self.played[self.path.split("/")[1]]

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


def _json(status: int, value: object) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(value).encode())


@contextmanager
def served(played: dict[str, Played]) -> Iterator[str]:
    """Run the backend and `antiphon serve` before it; return the server's URL."""
    backend = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Backend,), {"played": played}))
    Thread(target=backend.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        tables = [
            f'[backends.{name}]\nurl = "http://127.0.0.1:{backend.server_port}/{name}/v1"\n'
            f'profile = "{one.vendor.fields["profile"]}"\n'
            for name, one in played.items()
        ]
        Path(folder, "vendors.toml").write_text("".join(tables))
        with serving(Path(folder), "--config", "vendors.toml", "--store", "store.db") as server:
            yield f"{server.url}/v1"
    backend.shutdown()


def talk(one: Played, url: str) -> None:
    """Three turns: every command runs and succeeds, every text is shown, every token is counted."""
    with Codex(model={"slug": one.model}, url=url) as codex:
        for number, (prompt, steps) in enumerate(zip(PROMPTS, one.turns, strict=True)):
            turn = codex.run(prompt, resume=number > 0)
            same(turn.text, steps[-1].text)
            commands = [command for step in steps for _, command in step.calls]
            ran = turn.of("command_execution")
            same([item["exit_code"] for item in ran], [0] * len(commands))
            same(sorted(item["aggregated_output"] for item in ran), [printed(command) for command in commands])
            used = [step.usage for steps in one.turns[: number + 1] for step in steps if step.usage]
            told = turn.usage["input_tokens"], turn.usage["output_tokens"]
            same(told, (sum(given[0] for given in used), sum(given[1] for given in used)))  # of the whole thread
    same(len(one.seen), len(one.steps))


def heard(one: Played) -> None:
    """The backend's last request holds each earlier answer as it gave it, and each result behind its call, in order."""
    said = [at for at, message in enumerate(one.told) if message["role"] == "assistant" and message != FILLER]
    goes_back = PROFILES[one.vendor.fields["profile"]].reasoning_out != ""
    taken: set[str] = set()
    for step, at in zip(one.steps[:-1], said, strict=True):
        message = one.told[at]
        _calls(step, message, one.told[at + 1 :], taken)
        same([_at(message, path) for path in step.returns], list(step.returns.values()))
        if step.text:
            assert step.text in json.dumps(message["content"], ensure_ascii=False), message
        back = {name: text for name in FIELDS if (text := (message.get(name) or "").strip())}
        if not step.thoughts:
            same(back, {})  # no other's thoughts
        elif goes_back and not step.returns:
            assert list(back) == [step.field or "reasoning_content"], (step.field, message)
            assert next(iter(back.values())).startswith(step.thoughts.strip()), (step.thoughts, back)


def _calls(step: Step, message: dict[str, Any], behind: list[dict[str, Any]], taken: set[str]) -> None:
    """The calls of a message are those of the step, and so are the results behind it."""
    calls = message.get("tool_calls") or []
    results = [result for result in behind[: len(calls) + 1] if result["role"] == "tool"]
    same((len(calls), len(results)), (len(step.calls), len(step.calls)))
    for (id, command), call, result in zip(step.calls, calls, results, strict=True):
        same(call["function"]["name"], OURS)
        same(json.loads(call["function"]["arguments"])["cmd"], command)
        assert call["id"] not in taken, call["id"]
        if PLAIN.fullmatch(id) and id not in taken:  # others become a hash
            same(call["id"], id)
        taken |= {id, call["id"]}
        same(result["tool_call_id"], call["id"])
        assert printed(command) in _text(result), result


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else (value or {}).get(step)
    return value


def row(one: Played, fault: str) -> str:
    """Return what became of a vendor, as a row of a table."""
    told = [message for message in one.told if message["role"] == "assistant"]
    ids = [call["id"] for message in told for call in message.get("tool_calls") or ()]
    back = sorted({name for message in told for name in message} - {"role", "content", "tool_calls"})
    back += ["content"] if any(isinstance(message["content"], list) for message in told) else []
    came = sorted({step.field or "(text or parts)" for step in one.steps if step.thoughts})
    calls = sum(len(step.calls) for step in one.steps)
    usage = f"{sum(bool(step.usage) for step in one.steps)} of {len(one.steps)}"
    cells = (one.vendor.name, calls, usage, " ".join(came), " ".join(back), " ".join(ids), fault or "ok")
    return "| " + " | ".join(str(cell) or "-" for cell in cells) + " |"


def play(one: Played, url: str) -> str:
    """Play one vendor, print its row; return its fault."""
    fault, trace = "", ""
    try:
        talk(one, url)
        heard(one)
    except Exception as error:
        fault, trace = f"{type(error).__name__}: {error}".replace("\n", " ")[:600], traceback.format_exc()
    print(row(one, fault), flush=True)
    if trace and os.environ.get("VENDORS"):
        print(trace, json.dumps(one.told, ensure_ascii=False), flush=True)
    return fault and f"{one.vendor.name}: {fault}"


def main() -> None:
    wanted = os.environ.get("VENDORS", "").split()
    known = {name: vendor for name, vendor in vendors().items() if vendor.api == "chat"}
    played = {name: Played(vendor) for name, vendor in known.items() if not wanted or name in wanted}
    assert played, sorted(known)
    print("| vendor | calls | usage | thoughts came in | went back | ids at the backend | verdict |\n|" + "---|" * 7)
    with served(played) as url, ThreadPoolExecutor(AT_ONCE) as pool:
        faults = list(filter(None, pool.map(lambda one: play(one, url), played.values())))
    same(faults, [])


scenario(main)
