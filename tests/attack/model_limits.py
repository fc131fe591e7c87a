# ruff: noqa: E501 (a table reads best with one case per line)
"""Keys that may call some models only, and requests that try to have another one called: all front ends, HTTP and WebSocket."""

from __future__ import annotations

import json
from typing import Any

from tests.attack.report import Report
from tests.attack.target import LIMITED, Target
from tests.attack.upstream import INVALID
from tests.attack.verdict import TERMINAL, fault_of
from tests.attack.wire import Closed, WebSocket, frame

OTHER_MODEL = "gpt-forbidden"
SENDING = ("/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact")
MESSAGES = ("/v1/messages", "/v1/messages/count_tokens")

SETTINGS = f"""
[messages_models]
"claude-opus*" = "{OTHER_MODEL}"
"forbidden-p*" = "{OTHER_MODEL}"
"""
"""Patterns under which Messages clients would reach the other model."""

NAMES = (
    OTHER_MODEL, "forbidden", "forbidden-alias", OTHER_MODEL.upper(), f" {OTHER_MODEL}", f"{OTHER_MODEL}\x00", f"echo\x00{OTHER_MODEL}",
    f"echo/{OTHER_MODEL}", f"echo,{OTHER_MODEL}", f"echo\n{OTHER_MODEL}", f"{OTHER_MODEL}:latest", f"../{OTHER_MODEL}", "*", "gpt-*", "",
    "secret", "claude-forbidden",
)  # fmt: skip
THEIR_NAMES = (
    f"anthropic/{OTHER_MODEL}", f"{OTHER_MODEL}[1m]", f"anthropic/{OTHER_MODEL}[1m]", "claude-opus-4-5", "CLAUDE-OPUS", "claude-opus[1m]",
    "forbidden-pattern", "anthropic/anthropic/gpt-forbidden", "anthropic/claude-forbidden", "claude-forbidden[1m]", "Claude", "CLAUDE",
    "claude\x00", "claude ", "ｃlaude-forbidden", "anthropic/", "[1m]",
)  # fmt: skip
"""Names as clients of the Messages API make them."""

_INJECTED: dict[str, Any] = {
    'z":0,"model":"forbidden","y': 1, 'z":0,"messages":[],"model":"forbidden': "x", "Model": "forbidden", "MODEL": "forbidden",
    "model\x00": "forbidden", "extra_body": {"model": "forbidden"}, "models": ["forbidden"], "model ": "forbidden",
    "\\u006dodel": "forbidden", "route": "forbidden", "lora": "forbidden", "fallbacks": [OTHER_MODEL], "container": {"model": "forbidden"},
    "fallback_credit_token": "forbidden", "metadata": {"user_id": '","model":"forbidden'},
}  # fmt: skip


def limited_bodies() -> list[bytes]:
    """Return requests of a key that may call `echo` only, which try to call another model."""
    good = {"model": "echo", "input": "hi"}
    found = [json.dumps({**good, name: value}).encode() for name, value in _INJECTED.items() if name != "metadata"]
    found += [json.dumps({**good, "model": name}).encode() for name in NAMES]
    found.append(b'{"model":"echo","input": "hi","model":"%b"}' % OTHER_MODEL.encode())
    found.append(b'{"model":"%b","input": "hi","model":"echo","mod\\u0065l":"forbidden"}' % OTHER_MODEL.encode())
    found.append(json.dumps({"input": "hi", "prompt": {"id": "secret"}}).encode())
    found.append(json.dumps({"model": None, "input": "hi", "prompt": {"id": "secret"}}).encode())
    for tool in ('z","model":"forbidden', 'f"}}],"model":"forbidden'):
        found.append(json.dumps({**good, "tools": [{"type": "function", "name": tool, "parameters": {}}]}).encode())
    found.append(json.dumps({**good, "tools": [{"type": "image_generation", "model": "forbidden"}]}).encode())
    return found


def messages_bodies() -> list[bytes]:
    """Return the same as Messages requests: to `echo`, which is translated, and to `claude`, whose bodies pass as they are."""
    found: list[bytes] = []
    for model in ("echo", "claude"):
        good = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        found += [json.dumps({**good, name: value}).encode() for name, value in _INJECTED.items()]
        found += [json.dumps({**good, "model": name}).encode() for name in (*NAMES, *THEIR_NAMES)]
        plain = json.dumps(good).encode()[1:]
        for other in (b"forbidden", OTHER_MODEL.encode(), b"claude-forbidden", b"claude-opus-4"):
            for name in (b"model", b"mod\\u0065l", b"\\u006d\\u006f\\u0064\\u0065\\u006c", b"Model"):
                found.append(b'{"%b":"%b",%b' % (name, other, plain))
                found.append(b'{%b,"%b":"%b"}' % (plain[:-1], name, other))
                found.append(b'{%b,"%b":"%b","model":"%b"}' % (plain[:-1], name, other, model.encode()))
        found.append(b'{"model":["%b","forbidden"],%b' % (model.encode(), plain))
        found.append(json.dumps({**good, "tools": [{"name": 'z","model":"forbidden', "input_schema": {}}]}).encode())
    return found


async def model_limits(one: Target, report: Report, called: set[str], store: str) -> int:
    """Try to call another model than the key may."""
    called.clear()
    limits = _Limits(one, report, called, store)
    for body in limited_bodies():
        for path in (*SENDING, "/v1/chat/completions"):
            chat = b'"messages":[{"role":"user","content":"hi"}]'
            sent = body.replace(b'"input": "hi"', chat) if "chat" in path else body
            for extra in ("", "background", "stream"):
                await limits.post(path, sent[:-1] + (b',"%b":true}' % extra.encode() if extra else b"}"))
        await limits.message(b'{"type":"response.create",' + body[1:])
    for body in messages_bodies():
        for path in MESSAGES:
            await limits.post(path, body)
        await limits.post(f"{MESSAGES[0]}?beta=true", body[:-1] + b',"stream":true}')
    limits.close()
    if INVALID in called:
        report.found("tenants", "a backend was sent what is no JSON", store)
    await limits.shown()
    return limits.tried


class _Limits:
    """Attempts of the key; a backend's `called` tells which models were called."""

    def __init__(self, one: Target, report: Report, called: set[str], store: str) -> None:
        self.tried = 0
        self._one = one
        self._report = report
        self._called = called
        self._store = store
        self._socket: WebSocket | None = None

    async def post(self, path: str, body: bytes) -> None:
        answer = await self._one.ask("POST", path, body, key=LIMITED)
        fault = fault_of(answer, form="messages" if "/messages" in path else "openai")
        if fault:
            came = answer.body[:600].decode(errors="replace")
            self._report.found("tenants", fault, f"{self._store}: {path}", body, came)
        self._look(path, body)

    async def message(self, body: bytes) -> None:
        try:
            self._socket = self._socket or await WebSocket.open(self._one.port, LIMITED)
            self._socket.send(frame(body))
            while json.loads(await self._socket.receive(20))["type"] not in (*TERMINAL, "error"):
                pass
        except (Closed, TimeoutError) as error:
            self._report.found("tenants", f"{error!r} on a WebSocket", self._store, body)
            self._socket = None
        self._look("ws", body)

    def _look(self, path: str, body: bytes) -> None:
        self.tried += 1
        if "forbidden" in self._called:
            self._report.found(
                "tenants", "a model was called that the key may not call", f"{self._store}: {path}", body
            )
            self._called.discard("forbidden")

    async def shown(self) -> None:
        """Look whether the model is listed, in either form."""
        for headers in ((), (("anthropic-version", "2023-06-01"),)):
            listed = await self._one.ask("GET", "/v1/models?limit=1000", key=LIMITED, headers=headers)
            if b"forbidden" in listed.body:
                self._report.found("tenants", "a model was listed that the key may not call", self._store)
            for name in (OTHER_MODEL, f"anthropic/{OTHER_MODEL}", "forbidden-alias", "claude-forbidden"):
                answer = await self._one.ask("GET", f"/v1/models/{name}", key=LIMITED, headers=headers)
                if answer.status != 404:
                    self._report.found("tenants", "a model was shown that the key may not call", self._store)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
