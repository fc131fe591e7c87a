"""Codex on this server: for one run by `-c`, in a home of its own, or as a profile in the person's own home."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from antiphon.cli.agents.target import KEY_VARIABLE, AgentTarget, Launch

CATALOGUE = "models.json"
PROFILE = "antiphon.config.toml"
"""The file of `codex --profile antiphon`, in Codex's home."""
PROFILE_CATALOGUE = "antiphon.models.json"
MARK = "# Written by `antiphon connect codex --write`; `--restore` deletes it.\n"

_INSTALL = "npm install -g @openai/codex"
_EFFORTS = ("low", "medium", "high")


def codex(target: AgentTarget) -> Launch:
    """Return how to start Codex with the person's own home: its sessions, MCP servers and AGENTS.md stay in use."""
    overrides = [
        word
        for name, value in _settings(target, f"{{folder}}/{CATALOGUE}").items()
        for word in ("-c", f"{name}={value}")
    ]
    return Launch(
        command=["codex", *overrides],
        files={CATALOGUE: catalogue(target)},
        variables={KEY_VARIABLE: target.key},
        install=_INSTALL,
        tools=True,
    )


def isolated(target: AgentTarget) -> Launch:
    """Return how to start Codex with a home of its own for this run."""
    config = toml(target, f"{{folder}}/{CATALOGUE}") + "[analytics]\nenabled = false\n"
    return Launch(
        command=["codex"],
        files={"config.toml": config, CATALOGUE: catalogue(target)},
        variables={"CODEX_HOME": "{folder}", KEY_VARIABLE: target.key},
        install=_INSTALL,
        tools=True,
    )


def toml(target: AgentTarget, catalogue_path: str) -> str:
    """Return Codex's settings as a file of its home has them."""
    provider = "".join(f"{name} = {json.dumps(value)}\n" for name, value in _provider(target).items())
    return (
        f"model = {json.dumps(target.model)}\n"
        'model_provider = "antiphon"\n'
        f"model_catalog_json = {json.dumps(catalogue_path)}\n\n"
        f"[model_providers.antiphon]\n{provider}"
    )


def catalogue(target: AgentTarget) -> str:
    """Return the catalogue with the model as the server describes it, completed by what Codex needs to work with files."""
    efforts = _EFFORTS if target.thinks else ()
    card: Mapping[str, Any] = target.card or {
        "supported_reasoning_levels": [{"effort": effort, "description": effort} for effort in efforts],
        "supports_reasoning_summaries": target.thinks,
        "input_modalities": ["text", *(["image"] if target.sees else [])],
        "supports_parallel_tool_calls": True,
    }
    levels = {"default_reasoning_level": "medium"} if target.thinks and not target.card else {}
    model = {
        **levels,
        **card,
        "slug": target.model,
        "display_name": target.model,
        "description": "Served by Antiphon",
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "availability_nux": None,
        "upgrade": None,
        "support_verbosity": False,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "context_window": target.context,
        "max_context_window": target.context,
        "experimental_supported_tools": [],
        "base_instructions": "You are Codex, a coding agent that works in the user's terminal. Be precise and brief.",
    }
    return json.dumps({"models": [model]})


def _settings(target: AgentTarget, catalogue_path: str) -> dict[str, str]:
    """Return settings by name; values are TOML, as `-c` takes them."""
    provider = ", ".join(f"{name}={json.dumps(value)}" for name, value in _provider(target).items())
    return {
        "model": json.dumps(target.model),
        "model_provider": '"antiphon"',
        "model_catalog_json": json.dumps(catalogue_path),
        "model_providers.antiphon": f"{{{provider}}}",
    }


def _provider(target: AgentTarget) -> dict[str, str]:
    return {"name": "Antiphon", "base_url": target.url, "env_key": KEY_VARIABLE, "wire_api": "responses"}
