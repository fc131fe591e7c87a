"""What only some servers need is imported by those alone, and never for long by the thread that serves everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest

from tests.acceptance.command import Command, serving
from tests.bounds import bound
from tests.composition.watched_imports import ANSWERS, IMPORTS
from tests.server.handlers import call
from tests.server.whole import Client, golden_upstream

pytestmark = pytest.mark.slow  # processes

MOST_MODULES = 1000
"""Of the standard library, of packages and our own, in a server with a backend and nothing else; there are 970."""

FEATURES = {
    "antiphon.backends.anthropic": "a backend that speaks Messages",
    "antiphon.backends.llama": "the embedded engine",
    "antiphon.backends.responses": "a backend that speaks Responses",
    "antiphon.backends.scripted": "the scripted backend",
    "antiphon.conformance": "`antiphon conform`",
    "antiphon.composition.engine": "the embedded engine",
    "antiphon.server.auth.jwt_auth": "tokens of an identity provider",
    "antiphon.server.pages.openapi": "a reader of /openapi.json",
    "antiphon.server.pages.operations": "a reader of /openapi.json",
    "antiphon.stores.postgres": "a store in PostgreSQL",
    "antiphon.telemetry.otel.encoding": "a collector of traces",
    "antiphon.telemetry.otlp": "a collector of traces",
    "antiphon.telemetry.tracing": "a collector of traces",
    "antiphon.tools.images": "a server of images",
    "antiphon.tools.mcp.messages": "a request with an MCP server",
    "antiphon.tools.mcp.server": "a request with an MCP server",
    "antiphon.tools.remote_code": "code that an MCP server runs",
    "antiphon.tools.sandbox.engine": "sandboxes by docker or podman",
    "antiphon.tools.sandbox.sandlock": "sandboxes by sandlock",
    "asyncpg": "a store in PostgreSQL",
    "backports.zstd": "a body packed by zstd",
    "brotli": "a body packed by brotli",
    "difflib": "a name that is not known",
    "html": "a page of the web, the guide",
    "httpx2": "a request with an MCP server",
    "jsonschema_rs": "a child process",
    "lark": "a tool with a grammar",
    "pypdfium2": "a child process",
    "python_multipart": "an upload",
    "tokenizers": "a model with a tokenizer",
    "urllib.request": "the embedded engine",
    "xllamacpp": "the embedded engine",
    "xml": "a child process",
}
"""Modules, with all below them, and what they are imported for."""


@contextmanager
def watched(folder: Path, *arguments: str) -> Iterator[tuple[Command, dict[str, Any]]]:
    """Run the command; gives what it has imported, once the block has ended."""
    imports: dict[str, Any] = {}
    with golden_upstream() as url:
        line = ["--backend", url, "--store", "store.db", *arguments]
        with serving(folder, *line, module="tests.composition.watched_imports") as command:
            yield command, imports
            assert command.stop() == 0
        imports |= json.loads((folder / IMPORTS).read_text())


def test_a_server_with_a_backend_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    with watched(tmp_path) as (command, imports):
        client = Client(command.url)
        assert client.create(model="text", input="hi")["status"] == "completed"
        assert client.stream(model="text", input="hi")[-1]["type"] == "response.completed"
    found = [f"{name} ({why})" for name in imports["modules"] if (why := _feature(name))]
    assert not found
    commands = {name for name in imports["modules"] if name.startswith("antiphon.cli.")}
    assert commands == {f"antiphon.cli.{name}" for name in ("banner", "client", "options", "serve")}
    assert len(imports["modules"]) <= MOST_MODULES


def test_what_a_request_needs_is_imported_without_holding_up_others(tmp_path: Path) -> None:
    settings = tmp_path / "antiphon.toml"
    settings.write_text('[mcp_servers.known]\nurl = "http://127.0.0.1:9/mcp"\n')
    with watched(tmp_path, "--config", str(settings)) as (command, imports):
        (tmp_path / ANSWERS).touch()
        body = json.dumps({"model": "text", "input": "hi"}).encode()
        sent = [
            call(command.url, "POST", "/v1/responses", brotli.compress(body), headers={"content-encoding": "br"}),
            call(command.url, "GET", "/openapi.json"),
            call(command.url, "GET", "/docs/guide"),
        ]
        assert [answer.status for answer in sent] == [200, 200, 200]
        assert call(command.url, "GET", "/v1/respones").status == 404
        tool = {"type": "mcp", "server_label": "x", "server_url": "http://127.0.0.1:9/mcp"}
        assert Client(command.url).post("/v1/responses", model="text", input="hi", tools=[tool])[0] == 400  # its guard
        known = {"type": "mcp", "server_label": "known"}  # is connected to, where nobody listens
        assert Client(command.url).post("/v1/responses", model="text", input="hi", tools=[known])[0] == 424
    late = imports["late"]
    assert {"brotli", "difflib", "html"} <= {name for name, _, _ in late}
    for room in ("antiphon.server.pages.openapi", "antiphon.tools.mcp.server", "antiphon.tools.mcp.through_proxy"):
        assert [main for name, main, _ in late if name == room] == [False]
    assert [(name, seconds) for name, main, seconds in late if main and seconds > bound(0.05)] == []


def _feature(module: str) -> str:
    return next((why for name, why in FEATURES.items() if f"{module}.".startswith(f"{name}.")), "")
