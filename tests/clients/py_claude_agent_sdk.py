"""Claude's Agent SDK: the program that `antiphon connect` prints, own tools, a conversation of several turns, hooks, errors."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookMatcher,
    ResultMessage,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    create_sdk_mcp_server,
    query,
    tool,
)

from tests.clients.lib import API_KEY, BASE_URL, HERE, has, play, same, scenario

COMMAND = [str(HERE.parent.parent / ".venv/bin/python"), "-m", "antiphon", "connect", "claude-agent-sdk"]


def printed(prompt: str) -> dict[str, Any]:
    """Return the names of the program that `antiphon connect` prints, with another prompt."""
    asked = {**os.environ, "ANTIPHON_API_KEY": API_KEY}
    done = subprocess.run(
        [*COMMAND, "--url", BASE_URL, "--key", API_KEY], env=asked, capture_output=True, text=True, check=True
    )
    program = done.stdout.replace('"Hello."', repr(prompt))
    names: dict[str, Any] = {"print": lambda message: names.setdefault("messages", []).append(message)}
    exec(program, names)
    return names


def runs_as_printed() -> dict[str, str]:
    names = printed(play("x", {"say": "As printed."}))
    same(names["messages"], ["As printed."])
    same(names["environment"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"], "131072")
    return dict(names["environment"])


def blocks(messages: list[Any], kind: type) -> list[Any]:
    return [
        block
        for message in messages
        if isinstance(message, AssistantMessage)
        for block in message.content
        if isinstance(block, kind)
    ]


async def asked(prompt: str, options: ClaudeAgentOptions) -> list[Any]:
    return [message async for message in query(prompt=prompt, options=options)]


async def uses_tools(common: dict[str, Any]) -> None:
    @tool("look", "Look at a city.", {"city": str})
    async def look(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": f"seen {arguments['city']}"}]}

    server = create_sdk_mcp_server("eyes", tools=[look])
    allowed = ["mcp__eyes__look", "Bash"]
    options = ClaudeAgentOptions(
        mcp_servers={"eyes": server}, allowed_tools=allowed, system_prompt="BE BRIEF", **common
    )
    step = {
        "think": "THOUGHT",
        "say": "I look.",
        "call": [["look", {"city": "Rome"}], ["Bash", {"command": "echo ran", "description": "x"}]],
    }
    messages = await asked(play("Go.", step, {"say": "{{tool.0}} {{tool.1}} {{thoughts}} {{system}}"}), options)
    same([call.name for call in blocks(messages, ToolUseBlock)], ["mcp__eyes__look", "Bash"])
    same(blocks(messages, TextBlock)[0].text, "I look.")
    assert blocks(messages, ThinkingBlock)[0].signature
    result = messages[-1]
    has(result.result, "seen Rome ran THOUGHT")
    has(result.result, "BE BRIEF")
    assert result.usage["output_tokens"] > 0 and not result.is_error, result


async def talks(common: dict[str, Any]) -> None:
    """Several turns of one process; a hook sees its tools."""
    seen: list[str] = []

    async def before(event: Any, id: Any, context: Any) -> Any:
        seen.append(event["tool_name"])
        return {}

    options = ClaudeAgentOptions(allowed_tools=["Bash"], hooks={"PreToolUse": [HookMatcher(hooks=[before])]}, **common)
    async with ClaudeSDKClient(options=options) as client:
        for prompt, wanted in (
            (
                play(
                    "NOTE colour=blue",
                    {"call": [["Bash", {"command": "echo x", "description": "x"}]]},
                    {"say": "noted"},
                ),
                "noted",
            ),
            (play("Which?", {"say": "{{note.colour}} {{users}}"}), "blue 2"),
        ):
            await client.query(prompt)
            *_, result = [message async for message in client.receive_response()]
            assert isinstance(result, ResultMessage)
            same(result.result, wanted)
    same(seen, ["Bash"])


async def fails(common: dict[str, Any]) -> None:
    options = ClaudeAgentOptions(**{**common, "env": {**common["env"], "CLAUDE_CODE_MAX_RETRIES": "0"}})
    told: list[Any] = []
    try:
        async for message in query(
            prompt=play("x", {"error": {"status": 400, "message": "as asked"}}), options=options
        ):
            told.append(message)
    except Exception as error:  # it raises, too, once all is told
        has(str(error), "as asked")
    assert any("as asked" in str(message) for message in told), told


async def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ.update(HOME=folder, CLAUDE_CONFIG_DIR=str(Path(folder, "claude")), IS_SANDBOX="1")
        os.chdir(folder)
        environment = await asyncio.to_thread(runs_as_printed)
        common = {"env": environment, "cwd": folder, "setting_sources": []}
        await uses_tools(common)
        await talks(common)
        await fails(common)


scenario(lambda: asyncio.run(main()))
