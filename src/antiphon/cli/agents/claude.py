"""Claude Code and Claude's Agent SDK on this server: their variables, as data."""

from __future__ import annotations

import json

from antiphon.cli.agents.target import AgentTarget, Launch

WINDOW = 24_576
"""Tokens below which Claude Code's own prompt and tools, about 12,000, leave no room for work."""

_MODELS = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)
VARIABLES = {
    "ANTHROPIC_BASE_URL": "{base}",
    "ANTHROPIC_AUTH_TOKEN": "{key}",
    **dict.fromkeys(_MODELS, "{model}"),
    "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "{context}",  # of a model that it does not know it assumes a million
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "{output}",
    "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",  # /model lists the server's models
    "ENABLE_TOOL_SEARCH": "{search}",  # all tools from the start are 7,000 tokens more
    "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "API_TIMEOUT_MS": "3000000",  # models on own machines may be slow
}
"""Variables, whose values `AgentTarget.fill` completes."""

OTHERS = ("ANTHROPIC_", "CLAUDE_CODE_USE_", "CLAUDE_CODE_OAUTH_", "CLAUDE_CODE_SKIP_")
"""Beginnings of variables for other servers, and of their credentials, which are none of this server's business."""

SNIPPET = (
    "# in the shell; or, without a change: antiphon launch claude\n"
    + "".join(f"export {name}={json.dumps(value)}\n" for name, value in VARIABLES.items())
    + "claude\n"
)
SDK_SNIPPET = (
    """\
import asyncio
{import_os}
from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

environment = {{
"""
    + "".join(
        f"    {json.dumps(name)}: {'{python_key}' if value == '{key}' else json.dumps(value)},\n"
        for name, value in VARIABLES.items()
    )
    + """\
}}


async def main():
    async for message in query(prompt="Hello.", options=ClaudeAgentOptions(env=environment)):
        if isinstance(message, ResultMessage):
            print(message.result)


asyncio.run(main())
"""
)


def claude(target: AgentTarget) -> Launch:
    """Return how to start Claude Code."""
    variables = {name: target.fill(value) for name, value in VARIABLES.items()}
    settings = {"permissions": {"defaultMode": "default"}}  # its own default asks the server whether commands are safe
    return Launch(
        command=["claude"],
        files={"settings.json": json.dumps(settings), ".claude.json": json.dumps({"hasCompletedOnboarding": True})},
        variables={"CLAUDE_CONFIG_DIR": "{folder}", **variables},
        install="npm install -g @anthropic-ai/claude-code",
        kept=True,
        without=OTHERS,
        window=WINDOW,
        bare="--bare",
        tools=True,
    )
