"""Codex with MCP servers, which it declares as namespaces: over stdio and HTTP, streamed over SSE and a WebSocket."""

import sys

from tests.clients.codexes import Codex
from tests.clients.lib import HERE, MCP_URL, has, play, same, scenario

SERVERS = f"""
[mcp_servers.local]
command = "{sys.executable}"
args = ["-m", "tests.clients.mcp_server", "--stdio"]
cwd = "{HERE.parent.parent}"
[mcp_servers.far]
url = "{MCP_URL}"
"""


def main() -> None:
    for provider in ("", "supports_websockets = true"):
        with Codex(model={}, provider=provider, tail=SERVERS) as codex:
            calls = [["local__add", {"a": 20, "b": 22}], ["far__secret", {"name": "Ada"}]]
            turn = codex.run(play("Add.", {"call": calls}, {"say": "{{tool.0}} {{tool.1}} {{tools}}"}))
            has(turn.text, "42")
            has(turn.text, "secret-of-Ada")
            made = {(item["server"], item["tool"], item["status"]) for item in turn.of("mcp_tool_call")}
            same(made, {("local", "add", "completed"), ("far", "secret", "completed")})


scenario(main)
