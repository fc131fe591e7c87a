"""Codex's rarer tools: a picture, tools found by a search, tools that come as items, agents of its own, goals, web search."""

import base64
import sys

from tests.clients.codexes import Codex
from tests.clients.lib import HERE, has, play, same, scenario

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SERVER = f"""
[mcp_servers.local]
command = "{sys.executable}"
args = ["-m", "tests.clients.mcp_server", "--stdio"]
cwd = "{HERE.parent.parent}"
"""


def pictures() -> None:
    with Codex(model={}) as codex:
        picture = codex.work / "p.png"
        picture.write_bytes(base64.b64decode(PIXEL))
        looked = codex.run(play("Look.", {"call": [["view_image", {"path": str(picture)}]]}, {"say": "I{{images}}"}))
        same(looked.text, "I1")


def searches(provider: str) -> None:
    with Codex(model={"supports_search_tool": True}, provider=provider, tail=SERVER) as codex:
        search = {"call": [["tool_search", {"query": "add two numbers", "limit": 3}]]}
        turn = codex.run(play("Add.", search, {"call": [["local__add", {"a": 20, "b": 22}]]}, {"say": "{{tool.1}}"}))
        has(turn.text, "42")
        same([item["tool"] for item in turn.of("mcp_tool_call")], ["add"])
        has(codex.run(play("Again?", {"say": "{{tools}}"}), resume=True).text, "local__add")


def as_items(provider: str) -> None:
    with Codex(model={"use_responses_lite": True}, provider=provider) as codex:
        turn = codex.run(play("Go.", {"call": [["exec_command", {"cmd": "echo made-a"}]]}, {"say": "{{tool.0}}"}))
        has(turn.text, "made-a")


def own_agents() -> None:
    with Codex(model={}) as codex:
        turn = codex.run(play("Go.", {"call": [["spawn_agent", {"message": "hello"}]]}, {"say": "{{tool.0}}"}))
        has(turn.text, "agent_id")


def goals() -> None:
    """The goal comes back as an output without a `call_id`, in this turn and in the session's next one."""
    with Codex() as codex:
        made = codex.run(
            play("Go.", {"call": [["create_goal", {"objective": "OBJECTIVE"}]]}, {"say": "made {{tool.0}}"})
        )
        has(made.text, "made ")
        has(codex.run(play("Next.", {"say": "alive"}), resume=True).text, "alive")


def hosted() -> None:
    with Codex(model={}, name="OpenAI", top='web_search = "live"') as codex:
        same(codex.run(play("x", {"say": "fine"})).text, "fine")


def main() -> None:
    pictures()
    for provider in ("", "supports_websockets = true"):
        searches(provider)
        as_items(provider)
    own_agents()
    goals()
    hosted()


scenario(main)
