"""n8n's AI agent with the OpenAI chat model, over the Responses API and over chat completions, and its OpenAI node: `n8n execute`."""

from __future__ import annotations

import json
from collections.abc import Callable
from signal import SIGSEGV
from typing import Any

from tests.acceptance.command import free_port
from tests.apps.cases import case, run
from tests.apps.programs import Program
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same

Json = dict[str, Any]

_n8n = Program(
    "n8n",
    {
        "N8N_DIAGNOSTICS_ENABLED": "false",
        "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "false",
        "N8N_PERSONALIZATION_ENABLED": "false",
        "N8N_RUNNERS_AUTH_TOKEN": "none comes",
        "N8N_RUNNERS_BROKER_PORT": str(free_port()),
        "N8N_RUNNERS_MODE": "external",
        "N8N_TEMPLATES_ENABLED": "false",
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    },
)
_LANGCHAIN = "@n8n/n8n-nodes-langchain"
_COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}
_ADD = (
    {"think": "FIRST", "call": [["sums", {"input": "2+3"}], ["sums", {"input": "4+5"}]]},
    {"say": "sum {{tool.0}} {{tool.1}}"},
)
SUM = 'sum [{"response":"5"}] [{"response":"9"}]'


def node(name: str, kind: str, version: float, parameters: Json) -> Json:
    """Return a node of a workflow; those that speak to us have the credential of `set_up`."""
    credentials = {"openAiApi": {"id": "ours", "name": "ours"}}
    place = {"position": [0, 0], "typeVersion": version, "credentials": credentials if "penAi" in kind else {}}
    return {"id": name, "name": name, "type": kind, "parameters": parameters, **place}


def workflow(id: str, nodes: list[Json], into: dict[str, tuple[str, str]]) -> Json:
    """Return a workflow; `into` says of a node which other one it leads into, and by which kind of connection."""
    start = node("start", "n8n-nodes-base.manualTrigger", 1, {})
    connections = {name: {kind: [[{"node": to, "type": kind, "index": 0}]]} for name, (to, kind) in into.items()}
    settings = {"executionOrder": "v1"}
    return {
        "id": id,
        "name": id,
        "nodes": [start, *nodes],
        "connections": connections,
        "active": False,
        "settings": settings,
    }


def agent(id: str, prompt: str, *further: Json, responses: bool = True, options: Json | None = None) -> Json:
    """Return a workflow with an agent. `further` are its tools and its parser; `options` the model's."""
    model = {"__rl": True, "mode": "id", "value": MODEL}
    chosen = {"model": model, "responsesApiEnabled": responses, "options": options or {}, "builtInTools": {}}
    kinds = {one["name"]: "ai_tool" if "tool" in one["type"] else "ai_outputParser" for one in further}
    asked = {
        "promptType": "define",
        "text": prompt,
        "hasOutputParser": "ai_outputParser" in kinds.values(),
        "options": {},
    }
    nodes = [
        node("agent", f"{_LANGCHAIN}.agent", 3.1, asked),
        node("model", f"{_LANGCHAIN}.lmChatOpenAi", 1.3, chosen),
        *further,
    ]
    into = {"start": ("agent", "main"), "model": ("agent", "ai_languageModel")}
    return workflow(id, nodes, into | {name: ("agent", kind) for name, kind in kinds.items()})


def openai_node(id: str, prompt: str) -> Json:
    """Return a workflow with the OpenAI node, which makes a response that is stored."""
    parameters = {
        "resource": "text",
        "operation": "response",
        "modelId": {"__rl": True, "mode": "id", "value": MODEL},
        "responses": {"values": [{"role": "user", "content": prompt}]},
        "builtInTools": {},
        "options": {},
    }
    return workflow(id, [node("openai", f"{_LANGCHAIN}.openAi", 2, parameters)], {"start": ("openai", "main")})


_SUMS = node("sums", f"{_LANGCHAIN}.toolCalculator", 1, {})
_PARSER = node(
    "parser", f"{_LANGCHAIN}.outputParserStructured", 1.3, {"schemaType": "manual", "inputSchema": json.dumps(_COLOUR)}
)
_FORM = {"type": "json_schema", "name": "colour", "schema": json.dumps(_COLOUR), "strict": True, "verbosity": "medium"}
_PARSED = {"call": [["format_final_json_response", {"output": {"colour": "red"}}]]}


def outcome(id: str) -> Json:
    """Run a workflow; return what its last node gives."""
    said = _n8n.run("execute", f"--id={id}", "--rawOutput", endings=(0, -SIGSEGV))  # its natives may crash at its end
    found, _ = json.JSONDecoder().raw_decode(said[said.index("{\n") :])  # between lines of its log
    data = found["data"]["resultData"]
    assert "error" not in data, data["error"]
    return dict(data["runData"][data["lastNodeExecuted"]][0]["data"]["main"][0][0]["json"])


WORKFLOWS: dict[str, tuple[Json, Callable[[Json], None]]] = {
    "answer": (
        agent("answer", play("Hi", {"think": "T", "say": "hello"})),
        lambda found: same(found["output"], "hello"),
    ),
    "two tools": (agent("tools", play("Add", *_ADD), _SUMS), lambda found: same(found["output"], SUM)),
    "two tools, much effort": (
        agent("effort", play("Add", *_ADD), _SUMS, options={"reasoningEffort": "high"}),
        lambda found: same(found["output"], SUM),
    ),
    "output parser": (
        agent("parser", play("Which?", _PARSED, {"say": "x"}), _PARSER),
        lambda found: same(found["output"], {"colour": "red"}),
    ),
    "JSON schema": (
        agent("schema", play("Which?", {"json": {"colour": "red"}}), options={"textFormat": {"textOptions": _FORM}}),
        lambda found: same(json.loads(found["output"]), {"colour": "red"}),
    ),
    "two tools over chat completions": (
        agent("chat", play("Add", *_ADD), _SUMS, responses=False),
        lambda found: same(found["output"], SUM),
    ),
    "OpenAI node": (
        openai_node("node", play("Hi", {"think": "T", "say": "hello from a node"})),
        lambda found: has(json.dumps(found), "hello from a node"),
    ),
}


@case("set-up")
def set_up() -> None:
    data = {"apiKey": API_KEY, "url": BASE_URL}
    (_n8n.work / "ours.json").write_text(
        json.dumps([{"id": "ours", "name": "ours", "type": "openAiApi", "data": data}])
    )
    (_n8n.work / "workflows.json").write_text(json.dumps([made for made, _ in WORKFLOWS.values()]))
    _n8n.run("import:credentials", "--input=ours.json")
    _n8n.run("import:workflow", "--input=workflows.json")


LIMITS = {"chat": "Bad request"}
"""n8n's words for what a workflow cannot do. `chat`: behind thoughts it sends an assistant's turn with `content: []`, which backends may refuse."""


def each(name: str, id: str, check: Callable[[Json], None]) -> None:
    @case(name, LIMITS.get(id, ""))
    def executed() -> None:
        check(outcome(id))


for _name, (_made, _check) in WORKFLOWS.items():
    each(_name, _made["id"], _check)
run()
