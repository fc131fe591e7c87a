"""Agents that can be started on this server, as data: files and environment for one run."""

from __future__ import annotations

import json

from antiphon.cli.agents.claude import claude
from antiphon.cli.agents.target import AgentTarget, Launch


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
    limits = {"context": target.context, "output": target.output}
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
        "maxTokens": target.output,
    }
    provider = {"baseUrl": target.url, "api": "openai-responses", "apiKey": "ANTIPHON_KEY", "models": [model]}
    return Launch(
        command=["pi", "--model", f"antiphon/{target.model}"],
        files={"models.json": json.dumps({"providers": {"antiphon": provider}})},
        variables={"PI_CODING_AGENT_DIR": "{folder}", "ANTIPHON_KEY": target.key},
        install="npm install -g @mariozechner/pi-coding-agent",
    )


_AGENTS = {"claude": claude, "codex": _codex, "opencode": _opencode, "llm": _llm, "pi": _pi}
AGENTS = tuple(_AGENTS)
