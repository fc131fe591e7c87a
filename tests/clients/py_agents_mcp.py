"""openai-agents with hosted MCP servers: every form of approval, by callback and by full replay; errors; stateless too."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Agent, HostedMCPTool, MCPToolApprovalRequest, ModelSettings, Runner

from tests.clients.agents_sdk import streamed, use_server
from tests.clients.lib import MCP_URL, MODEL, has, play, same, scenario

ADD = {"call": [["add", {"a": 2, "b": 3}]]}
SUM = {"say": "sum={{tool.0}}"}


def agent(approval: object, on_approval: Any = None, *, store: bool | None = None, **config: Any) -> Agent[Any]:
    tool: Any = {"type": "mcp", "server_label": "calc", "server_url": MCP_URL, "require_approval": approval, **config}
    hosted = HostedMCPTool(tool_config=tool, on_approval_request=on_approval)
    return Agent(
        name="m", instructions="USE-MCP", model=MODEL, tools=[hosted], model_settings=ModelSettings(store=store)
    )


async def without_approval() -> None:
    for store in (None, False):
        result = await Runner.run(agent("never", store=store), play("2+3", {"think": "HM", **ADD}, SUM))
        same(result.final_output, "sum=5")
        same(
            [item.type for item in result.raw_responses[0].output],
            ["mcp_list_tools", "reasoning", "mcp_call", "message"],
        )
        more = [
            *result.to_input_list(),
            {
                "role": "user",
                "content": play("more", {"call": [["secret", {"name": "x"}]]}, {"say": "{{tool.0}} {{users}}"}),
            },
        ]
        again = await Runner.run(agent("never", store=store), more)
        same(again.final_output, "secret-of-x 2")
        assert "mcp_list_tools" not in [item.type for item in again.raw_responses[0].output]
    result, text, names = await streamed(agent("never"), play("2+3", ADD, SUM))
    same((result.final_output, text), ("sum=5", "sum=5"))
    assert {"mcp_list_tools", "tool_called"} <= set(names), names
    result = await Runner.run(agent("never"), play("fail", {"call": [["boom", {}]]}, {"say": "E={{tool.0}}"}))
    has(result.final_output, "boom failed")
    call = next(item for item in result.raw_responses[0].output if item.type == "mcp_call")
    has(str(call.error), "boom failed")
    two = {"call": [["add", {"a": 1, "b": 1}], ["add", {"a": 2, "b": 2}]]}
    same((await Runner.run(agent("never"), play("two", two, {"say": "{{tool.0}} {{tool.1}}"}))).final_output, "2 4")


async def by_callback() -> None:
    asked: list[str] = []

    def approve(request: MCPToolApprovalRequest) -> Any:
        asked.append(request.data.name)
        return {"approve": request.data.name == "add", "reason": "NOT-ALLOWED"}

    for store in (None, False):
        same((await Runner.run(agent("always", approve, store=store), play("2+3", ADD, SUM))).final_output, "sum=5")
        result, _, _ = await streamed(agent("always", approve, store=store), play("2+3", ADD, SUM))
        same(result.final_output, "sum=5")
    same(asked, ["add"] * 4)
    secret = {"call": [["secret", {"name": "x"}]]}
    refused = await Runner.run(agent("always", approve), play("s", secret, {"say": "R={{tool.0}}"}))
    has(refused.final_output, "NOT-ALLOWED")
    chained = await Runner.run(agent("always", approve), play("2+3", ADD, SUM), auto_previous_response_id=True)
    same(chained.final_output, "sum=5")


async def by_names() -> None:
    asked: list[str] = []

    def approve(request: MCPToolApprovalRequest) -> Any:
        asked.append(request.data.name)
        return {"approve": True}

    both = {"call": [["add", {"a": 2, "b": 3}], ["secret", {"name": "x"}]]}
    said = {"say": "{{tool.0}} {{tool.1}}"}
    for approval, wanted in (
        ({"never": {"tool_names": ["add"]}}, ["secret"]),
        ({"always": {"tool_names": ["add"]}, "never": {"tool_names": ["secret"]}}, ["add"]),
        ({"never": {"read_only": True}}, ["add"]),
        ({"always": {"tool_names": ["add", "secret"]}}, ["add", "secret"]),
    ):
        asked.clear()
        result = await Runner.run(agent(approval, approve), play("both", both, said))
        same(sorted(asked), wanted)
        assert sorted(result.final_output.split()) == ["5", "secret-of-x"], result.final_output
    few = await Runner.run(agent("never", allowed_tools=["add"]), play("t", {"say": "{{tools}}"}))
    assert "secret" not in few.final_output, few.final_output
    has(few.final_output, "add")


async def by_hand() -> None:
    for store in (True, False):
        for stream in (False, True):
            stopped = agent("always", store=store)
            given = play("2+3", {"think": "SURE", "say": "I will.", **ADD}, SUM)
            result: Any = (await streamed(stopped, given))[0] if stream else await Runner.run(stopped, given)
            same(len(result.interruptions), 1)
            state = result.to_state()
            state.approve(result.interruptions[0])
            same((await Runner.run(stopped, state)).final_output, "sum=5")
            replayed = [*result.to_input_list()]
            request = next(item for item in replayed if item.get("type") == "mcp_approval_request")
            for agreed, wanted in ((True, "sum=5"), (False, "sum=")):
                answer = {
                    "type": "mcp_approval_response",
                    "approval_request_id": request["id"],
                    "approve": agreed,
                    "reason": "NO",
                }
                has((await Runner.run(stopped, [*replayed, answer])).final_output, wanted)


async def everything() -> None:
    use_server()
    for part in (without_approval, by_callback, by_names, by_hand):
        await part()


scenario(lambda: asyncio.run(everything()))
