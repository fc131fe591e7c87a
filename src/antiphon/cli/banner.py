"""Start banner: address, models, keys, and a command to paste."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from json import dumps
from shlex import quote
from typing import TextIO

import msgspec

from antiphon import __version__
from antiphon.cli.client import ListedModels
from antiphon.config import Config, mask
from antiphon.config.rules import is_locked, web_search_choice
from antiphon.tools.sandbox.base import BEING_TRIED

PATIENCE = 1.0
"""Seconds that the banner waits for the models."""

NAMED = 8
FOR_KEYS = "listed to those who have an API key"


class CodeCondition(msgspec.Struct, frozen=True):
    """What of `/ready` the banner shows."""

    code_interpreter: str = ""


class Banner(threading.Thread):
    """Prints the banner once the server answers, or after a second."""

    def __init__(self, config: Config, port: int, out: TextIO | None = None) -> None:
        super().__init__(daemon=True)
        self._config = config
        self._port = port
        self._out = out or sys.stderr

    def run(self) -> None:
        """Ask the server for its models, and print."""
        end = time.monotonic() + PATIENCE
        models, code = self._models(end), self._code(end)
        text = banner(self._config, self._port, models, code=code, color=self._out.isatty())
        print(text, file=self._out, flush=True)

    def _models(self, end: float) -> Sequence[str] | str | None:
        while (left := end - time.monotonic()) > 0:
            try:
                answer = self._ask("/v1/models", left)
                if answer is None:
                    return FOR_KEYS
                found = msgspec.json.decode(answer, type=ListedModels)
                return [model.id for model in found.data]
            except (OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError, RecursionError):
                time.sleep(0.02)
        return None

    def _code(self, end: float) -> str:
        """Return which sandbox runs code, or why none does; "" where that is not known yet."""
        pause = 0.1
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(OSError, http.client.HTTPException, msgspec.MsgspecError):
                found = msgspec.json.decode(self._ask("/ready", left) or b"{}", type=CodeCondition).code_interpreter
                if found != BEING_TRIED:
                    return found
            time.sleep(pause)  # few lines in the access log
            pause *= 2
        return ""

    def _ask(self, path: str, timeout: float) -> bytes | None:
        """Return the body of an answer; None where the server wants an API key, of which the settings hold none."""
        connection = _connection(self._config, self._port, timeout)
        keys = [*self._config.admin_keys, *self._config.api_keys]
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {keys[0]}"} if keys else {})
            answer = connection.getresponse()
            return None if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else answer.read()
        finally:
            connection.close()


def banner(
    config: Config, port: int, models: Sequence[str] | str | None, *, code: str = "", color: bool = False
) -> str:
    """Return the banner.

    `models` is None where they are not known yet, or words instead of them; `code` is what `/ready` says of the sandbox.
    """
    origin = f"{'https' if config.tls_cert else 'http'}://{_bracketed(reachable(config.host))}:{port}{config.root_path}"
    url = f"{origin}/v1"
    lines = [f"{_bold(f'Antiphon {__version__}', color)}  {url}"]
    rows = {
        "page": f"{origin}/",
        "docs": f"{origin}/docs/guide",
        "models": _models(models),
        "keys": _keys(config),
        "store": _store(config),
    }
    if tools := _tools(config):
        rows["tools"] = tools
    if code:
        rows["code"] = f"{code} (see `antiphon doctor sandbox`)" if code.startswith("off: ") else code
    lines += [f"  {name:<8}{text}" for name, text in rows.items()]
    lines += ["", f"  {_curl(config, url, models)}", ""]
    if config.engine and not config.engine.model:
        lines += [f"  {_notice()}", ""]
    return "\n".join(lines)


def _connection(config: Config, port: int, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to the server itself: whether its certificate is for this address does not matter."""
    host = reachable(config.host)
    if not config.tls_cert:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def reachable(host: str) -> str:
    """Return an address at which this machine reaches a server that listens on `host`."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host).strip("[]")  # noqa: S104


def _models(models: Sequence[str] | str | None) -> str:
    if isinstance(models, str):
        return models
    if models is None:
        return "discovering…"
    if not models:
        return "none yet: no backend lists one (try `antiphon check`)"
    more = f" and {len(models) - NAMED} more" if len(models) > NAMED else ""
    return ", ".join(models[:NAMED]) + more


def _keys(config: Config) -> str:
    count = len(config.api_keys) + len(config.admin_keys) + len(config.keys)
    if not count:
        return "required" if is_locked(config) else "open (loopback only)"
    return f"{count} key{'s' if count > 1 else ''}"


def _store(config: Config) -> str:
    return "memory (gone when the server stops)" if config.store == "memory" else str(mask(config.store))


def _tools(config: Config) -> str:
    choice = web_search_choice(config)
    unset = "" if config.tools.web_search.provider else " (another one, or off: --web-search)"
    return f"{choice.shown}{unset}" if choice.shown else ""


def _curl(config: Config, url: str, models: Sequence[str] | str | None) -> str:
    key = " -H 'authorization: Bearer YOUR_KEY'" if is_locked(config) or models == FOR_KEYS else ""
    model = models[0] if models and not isinstance(models, str) else "MODEL"
    body = dumps({"model": model, "input": "Say hello in five words."}, separators=(",", ":"))
    return f"curl {url}/responses{key} -H 'content-type: application/json' -d {quote(body)}"


def _notice() -> str:
    from antiphon.backends.llama.model import DEMO_NOTICE

    return DEMO_NOTICE


def _bold(text: str, color: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if color else text


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
