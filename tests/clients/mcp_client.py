"""An MCP client that is this server: `python -m tests.clients.mcp_client SERVER_URL`, as the conformance suite starts it.

A response lists the tools of the suite's server, further ones call each of them by a model that does as it is told. BASE_URL
and API_KEY come from the environment, and what the suite wants to be called with (MCP_CONFORMANCE_CONTEXT).
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from typing import Any

from tests.clients.lib import API_KEY, BASE_URL, MODEL, play

Json = dict[str, Any]
ARGUMENTS: dict[str, Json] = {"add_numbers": {"a": 5, "b": 3}}


def respond(tool: Json, input: str) -> Json:
    """Make a response with the suite's server."""
    body = json.dumps({"model": MODEL, "input": input, "tools": [tool], "store": False}).encode()
    headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
    request = urllib.request.Request(f"{BASE_URL}/responses", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        made: Json = json.load(answer)
        return made


def calls(listed: list[Json]) -> list[tuple[str, Json]]:
    """Return which tools are called with what: what the suite says, else each once."""
    wanted = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")).get("toolCalls") or []
    named = [(call["name"], call["arguments"]) for call in wanted]
    return named or [(tool["name"], _arguments(tool["name"], listed)) for tool in listed]


def _arguments(name: str, listed: list[Json]) -> Json:
    if name == "json_schema_echo":  # shows what has become of the first tool's schema
        return {"schema": listed[0]["input_schema"]}
    return ARGUMENTS.get(name, {})


def main() -> None:
    tool = {"type": "mcp", "server_label": "suite", "server_url": sys.argv[1], "require_approval": "never"}
    (listing,) = [item for item in respond(tool, "Hello.")["output"] if item["type"] == "mcp_list_tools"]
    print("listed:", [one["name"] for one in listing["tools"]])
    steps = [{"call": [[name, arguments]]} for name, arguments in calls(listing["tools"])]
    if not steps:
        return
    for item in respond(tool, play("Call them.", *steps, {"say": "Done."}))["output"]:
        if item["type"] == "mcp_call":
            print(item["name"], item["output"], item["error"])


main()
