"""What clients have to be told of a server, as data: an agent's files and environment for one run, and snippets to paste."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

CONTEXT = 32_768  # tokens, where the server does not say


class AgentTarget(NamedTuple):
    """The server that a client is to use. `url` ends with /v1."""

    url: str
    key: str
    model: str
    context: int = CONTEXT


class Launch(NamedTuple):
    """How to start an agent: files for a temporary folder, variables (`{folder}` stands for it), and arguments in front."""

    command: Sequence[str]
    files: Mapping[str, str]
    variables: Mapping[str, str]
    install: str


def launch(agent: str, target: AgentTarget) -> Launch:
    """Return how to start an agent. Raises KeyError for one that nobody knows."""
    return _AGENTS[agent](target)


def _codex(target: AgentTarget) -> Launch:
    window = target.context
    model = {
        "slug": target.model,
        "display_name": target.model,
        "description": "Served by Antiphon",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [
            {"effort": effort, "description": effort} for effort in ("low", "medium", "high")
        ],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "availability_nux": None,
        "upgrade": None,
        "support_verbosity": False,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "context_window": window,
        "max_context_window": window,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"],
        "supports_parallel_tool_calls": True,
        "supports_reasoning_summaries": True,
        "base_instructions": "You are Codex, a coding agent that works in the user's terminal. Be precise and brief.",
    }
    config = f"""model = {json.dumps(target.model)}
model_provider = "antiphon"
model_catalog_json = "{{folder}}/models.json"

[analytics]
enabled = false

[model_providers.antiphon]
name = "Antiphon"
base_url = {json.dumps(target.url)}
env_key = "ANTIPHON_KEY"
wire_api = "responses"
"""
    return Launch(
        command=["codex"],
        files={"config.toml": config, "models.json": json.dumps({"models": [model]})},
        variables={"CODEX_HOME": "{folder}", "ANTIPHON_KEY": target.key},
        install="npm install -g @openai/codex",
    )


def _opencode(target: AgentTarget) -> Launch:
    limits = {"context": target.context, "output": 8192}
    model = {"name": target.model, "reasoning": True, "tool_call": True, "limit": limits}
    options = {"baseURL": target.url, "apiKey": "{env:ANTIPHON_KEY}"}
    provider = {"npm": "@ai-sdk/openai", "name": "Antiphon", "options": options, "models": {target.model: model}}
    config = {
        "autoupdate": False,
        "share": "disabled",
        "provider": {"antiphon": provider},
        "model": f"antiphon/{target.model}",
        "small_model": f"antiphon/{target.model}",
    }
    return Launch(
        command=["opencode"],
        files={"opencode.json": json.dumps(config)},
        variables={"OPENCODE_CONFIG": "{folder}/opencode.json", "ANTIPHON_KEY": target.key},
        install="npm install -g opencode-ai",
    )


def _llm(target: AgentTarget) -> Launch:
    model = f"""- model_id: {json.dumps(target.model)}
  model_name: {json.dumps(target.model)}
  api_base: {json.dumps(target.url)}
  api_key_name: openai
  responses: true
  reasoning: true
  supports_tools: true
  supports_schema: true
"""
    return Launch(
        command=["llm"],
        files={"extra-openai-models.yaml": model, "default_model.txt": target.model},
        variables={"LLM_USER_PATH": "{folder}", "OPENAI_API_KEY": target.key},
        install="pip install llm",
    )


def _pi(target: AgentTarget) -> Launch:
    model = {
        "id": target.model,
        "reasoning": True,
        "input": ["text", "image"],
        "contextWindow": target.context,
        "maxTokens": 8192,
    }
    provider = {"baseUrl": target.url, "api": "openai-responses", "apiKey": "ANTIPHON_KEY", "models": [model]}
    return Launch(
        command=["pi", "--model", f"antiphon/{target.model}"],
        files={"models.json": json.dumps({"providers": {"antiphon": provider}})},
        variables={"PI_CODING_AGENT_DIR": "{folder}", "ANTIPHON_KEY": target.key},
        install="npm install -g @mariozechner/pi-coding-agent",
    )


_AGENTS = {"codex": _codex, "opencode": _opencode, "llm": _llm, "pi": _pi}
AGENTS = tuple(_AGENTS)

# Snippets: {url}, {key} and {model} stand for the server's; the key is named, never printed, unless it is a stand-in.
SNIPPETS: Mapping[str, str] = {
    "python": """\
from openai import OpenAI

client = OpenAI(base_url="{url}", api_key="{key}")
print(client.responses.create(model="{model}", input="Hello.").output_text)
""",
    "javascript": """\
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{url}", apiKey: "{key}" });
console.log((await client.responses.create({ model: "{model}", input: "Hello." })).output_text);
""",
    "agents-sdk": """\
from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url="{url}", api_key="{key}")
agent = Agent(name="assistant", model=OpenAIResponsesModel(model="{model}", openai_client=client))
print(Runner.run_sync(agent, "Hello.").final_output)
""",
    "ai-sdk": """\
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const antiphon = createOpenAI({ baseURL: "{url}", apiKey: "{key}" });
console.log((await generateText({ model: antiphon.responses("{model}"), prompt: "Hello." })).text);
""",
    "langchain": """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="{model}", base_url="{url}", api_key="{key}", use_responses_api=True)
print(model.invoke("Hello.").text)
""",
    "pydantic-ai": """\
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="{url}", api_key="{key}")
print(Agent(OpenAIResponsesModel("{model}", provider=provider)).run_sync("Hello.").output)
""",
    "codex": """\
# ~/.codex/config.toml, with ANTIPHON_KEY in the environment; or, without a change: antiphon launch codex
model = "{model}"
model_provider = "antiphon"
[model_providers.antiphon]
name = "Antiphon"
base_url = "{url}"
env_key = "ANTIPHON_KEY"
wire_api = "responses"
""",
    "vscode": """\
// VS Code, chat: settings.json
"github.copilot.chat.customOAIModels": {
  "{model}": {
    "name": "{model}", "url": "{url}/responses", "toolCalling": true, "vision": false,
    "maxInputTokens": 32768, "maxOutputTokens": 8192
  }
}
""",
    "zed": """\
// Zed: settings.json; the key goes into the provider's settings page
"language_models": {
  "openai_compatible": {
    "Antiphon": { "api_url": "{url}", "available_models": [{ "name": "{model}", "max_tokens": 32768 }] }
  }
}
""",
    "continue": """\
# Continue: ~/.continue/config.yaml
models:
  - name: Antiphon
    provider: openai
    model: "{model}"
    apiBase: "{url}"
    apiKey: "{key}"
    useResponsesApi: true
""",
    "n8n": """\
n8n: Credentials → New → OpenAI.  API Key: {key}   Base URL: {url}
Then an "OpenAI Chat Model" node with Model "{model}" by ID, and "Use Responses API" switched on.
""",
    "curl": """\
curl {url}/responses -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\
  -d '{{"model": "{model}", "input": "Hello."}}'
""",
}


def snippet(client: str, target: AgentTarget) -> str:
    """Return what to paste into a client's settings. Raises KeyError."""
    text = SNIPPETS[client].replace("{{", "\0").replace("}}", "\1")
    for name, value in (("{url}", target.url), ("{key}", target.key), ("{model}", target.model)):
        text = text.replace(name, value)
    return text.replace("\0", "{").replace("\1", "}")
