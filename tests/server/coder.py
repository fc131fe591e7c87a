"""Coder: a model that calls the tools that its last message names, for tests of code and shells."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from antiphon.config import KeyConfig
from antiphon.config.tools import CodeInterpreterConfig, ToolsConfig
from tests.server.chat_model import ChatModel, Json, call, last_question, told
from tests.server.whole import Client, whole_server


class Coder(ChatModel):
    """Runs what the last user message says: cells apart by `---`, a call each; `parallel` makes them calls of one Turn."""

    models = ("m", "text")
    function = "python"

    def arguments(self, cell: str) -> Json:
        """Return the arguments of a call."""
        return {"code": cell}

    def deltas(self, request: Json) -> list[Json]:
        messages = request["messages"]
        last = last_question(messages)
        text, results = messages[last]["content"], told(messages[last:])
        parallel = text.startswith("parallel ")
        cells = text.removeprefix("parallel ").split("---")
        offered = any(tool["function"]["name"] == self.function for tool in request.get("tools", []))
        left = cells[len(results) :] if parallel else cells[len(results) : len(results) + 1]
        if not offered or not left:
            return [{"content": f"It says {results[-1] if results else 'nothing'}. [File](sandbox:/mnt/data/out.csv)"}]
        made = [json.dumps(self.arguments(cell)) for cell in left]
        begun = [{"tool_calls": [call(self.function, "", uuid.uuid4().hex, index)]} for index in range(len(made))]
        pieces = [
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[start : start + 7]}}]}
            for index, arguments in enumerate(made)
            for start in range(0, len(arguments), 7)
        ]
        return begun + pieces


KEYS = {
    "ann": KeyConfig(key="sk-ann", owner="ann"),
    "bob": KeyConfig(key="sk-bob", owner="bob"),
}


@contextmanager
def coding(url: str, folder: Path) -> Iterator[Client]:
    """Run a server with containers in front of such a model; gives Ann's client."""
    tools = ToolsConfig(code_interpreter=CodeInterpreterConfig(call_seconds=10.0, disk=64 << 20))
    with whole_server(url, store=str(folder / "antiphon.db"), tools=tools, keys=KEYS) as client:
        yield Client(client.url, "sk-ann")
