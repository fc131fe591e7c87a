"""Agents that can be started on this server, as data: files and environment for one run."""

from __future__ import annotations

import json

from antiphon.cli.agents import codex
from antiphon.cli.agents.claude import claude
from antiphon.cli.agents.target import AgentTarget, Launch


def launch(agent: str, target: AgentTarget, *, isolated: bool = False) -> Launch:
    """Return how to start an agent. Raises KeyError for one that nobody knows.

    `isolated`: without the person's own settings and sessions, where the agent would use them beside ours.
    """
    return codex.isolated(target) if isolated and agent == "codex" else _AGENTS[agent](target)


def _opencode(target: AgentTarget) -> Launch:
    limits = {"context": target.context, "output": target.output}
    model = {"name": target.model, "reasoning": target.thinks, "tool_call": True, "limit": limits}
    options = {"baseURL": target.url, "apiKey": "{env:ANTIPHON_API_KEY}"}
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
        tools=True,
        files={"opencode.json": json.dumps(config)},
        variables={"OPENCODE_CONFIG": "{folder}/opencode.json", "ANTIPHON_API_KEY": target.key},
        install="npm install -g opencode-ai",
    )


def _llm(target: AgentTarget) -> Launch:
    model = f"""- model_id: {json.dumps(target.model)}
  model_name: {json.dumps(target.model)}
  api_base: {json.dumps(target.url)}
  api_key_name: openai
  responses: true
  reasoning: {json.dumps(target.thinks)}
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
        "reasoning": target.thinks,
        "input": ["text", *(["image"] if target.sees else [])],
        "contextWindow": target.context,
        "maxTokens": target.output,
    }
    provider = {"baseUrl": target.url, "api": "openai-responses", "apiKey": "ANTIPHON_API_KEY", "models": [model]}
    return Launch(
        command=["pi", "--model", f"antiphon/{target.model}"],
        tools=True,
        files={"models.json": json.dumps({"providers": {"antiphon": provider}})},
        variables={"PI_CODING_AGENT_DIR": "{folder}", "ANTIPHON_API_KEY": target.key},
        install="npm install -g @mariozechner/pi-coding-agent",
    )


_AGENTS = {"claude": claude, "codex": codex.codex, "opencode": _opencode, "llm": _llm, "pi": _pi}
AGENTS = tuple(_AGENTS)
