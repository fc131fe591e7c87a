"""A model that calls tools of MCP servers, and its clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.server.chat_model import ChatModel, Json, call, told
from tests.server.whole import upstream


class Model(ChatModel):
    """Calls what the last user message names (`NAME {arguments}`), then says all tool results."""

    def deltas(self, request: Json) -> list[Json]:
        messages = request["messages"]
        asked = [
            n for n, message in enumerate(messages) if message["role"] == "user" and type(message["content"]) is str
        ]
        last = max(asked)  # pictures of a tool are a message of the user's, too
        results = told(messages[last:])
        name, _, arguments = messages[last]["content"].partition(" ")
        offered = [tool["function"]["name"] for tool in request.get("tools", [])]
        found = next((tool for tool in offered if tool.endswith(name)), None)
        if results or found is None:
            return [{"content": " | ".join(results) or f"no {name} among {offered}"}]
        return [{"tool_calls": [call(found, arguments or "{}", f"call_{len(self.asked)}")]}]


@contextmanager
def model() -> Iterator[str]:
    with upstream(Model) as url:
        yield url


def declared(url: str, **fields: object) -> dict:
    return {"type": "mcp", "server_label": "clock", "server_url": url, "require_approval": "never", **fields}


def kinds(response: dict) -> list[str]:
    return [item["type"] for item in response["output"]]


def said(response: dict) -> str:
    return response["output"][-1]["content"][0]["text"]


CALL = 'tick {"job": "a", "n": 7}'


# Items that were made up

LISTING = {
    "type": "mcp_list_tools",
    "id": "mcpl_1",
    "server_label": "clock",
    "tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("tick", "hidden")],
}
