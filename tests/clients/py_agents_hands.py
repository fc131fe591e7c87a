"""openai-agents tools on the client's side: shell, local shell, apply_patch, custom, namespaces, pictures out of tools."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import (
    Agent,
    ApplyPatchTool,
    CustomTool,
    LocalShellTool,
    ModelSettings,
    Runner,
    ShellCallOutcome,
    ShellCommandOutput,
    ShellResult,
    ShellTool,
    ToolOutputImage,
    ToolOutputText,
    function_tool,
    tool_namespace,
)
from agents.editor import ApplyPatchOperation, ApplyPatchResult

from tests.clients.agents_sdk import streamed, use_server
from tests.clients.lib import MODEL, has, play, same, scenario


def run_shell(request: Any) -> ShellResult:
    action = request.data.action
    outputs = [
        ShellCommandOutput(stdout=f"ran {line}", stderr="warn", outcome=ShellCallOutcome("exit", 3), command=line)
        for line in action.commands
    ]
    return ShellResult(output=outputs, max_output_length=action.max_output_length)


def run_local(request: Any) -> str:
    return "local " + " ".join(request.data.action.command)


class Editor:
    """Keeps the operations that it was asked for."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None]] = []

    def _take(self, operation: ApplyPatchOperation) -> ApplyPatchResult:
        self.seen.append((operation.type, operation.path, operation.diff))
        return ApplyPatchResult(
            status="failed" if operation.path == "no" else "completed", output=f"{operation.type} {operation.path}"
        )

    create_file = update_file = delete_file = _take


async def shells() -> None:
    agent = Agent(name="s", model=MODEL, tools=[ShellTool(executor=run_shell)])
    calls = {
        "think": "HM",
        "call": [["shell", {"commands": ["ls -l", "pwd"], "timeout_ms": 1000}], ["shell", {"commands": ["id"]}]],
    }
    prompt = play(
        "run", calls, {"call": [["shell", {"commands": ["w"]}]]}, {"say": "{{tool.0}} & {{tool.1}} & {{tool.2}}"}
    )
    for store in (True, False):
        agent.model_settings = ModelSettings(store=store)
        for result in (
            await Runner.run(agent, prompt),
            (await streamed(agent, prompt))[0],
            await Runner.run(agent, prompt, auto_previous_response_id=store),
        ):
            for part in ("ran ls -l", "ran pwd", "ran id", "ran w", "warn"):
                has(result.final_output, part)
            kinds = [item.type for response in result.raw_responses for item in response.output]
            same(kinds.count("shell_call"), 3)
    local = Agent(name="l", model=MODEL, tools=[LocalShellTool(executor=run_local)])
    prompt = play("run", {"call": [["local_shell", {"command": ["echo", "hi"]}]]}, {"say": "{{tool.0}}"})
    for result in (await Runner.run(local, prompt), (await streamed(local, prompt))[0]):
        has(result.final_output, "local echo hi")
    asked = Agent(name="a", model=MODEL, tools=[ShellTool(executor=run_shell, needs_approval=True)])
    stopped = await Runner.run(asked, play("run", {"call": [["shell", {"commands": ["rm"]}]]}, {"say": "{{tool.0}}"}))
    state = stopped.to_state()
    state.reject(stopped.interruptions[0])
    has((await Runner.run(asked, state)).final_output, "not approved")


async def patches() -> None:
    editor = Editor()
    agent = Agent(name="p", model=MODEL, tools=[ApplyPatchTool(editor=editor)])
    made = {"type": "create_file", "path": "a.txt", "diff": '+one "quoted"\n+two \\ three\n'}
    changed = {"type": "update_file", "path": "b.txt", "diff": "@@\n-x\n+y\n"}
    gone = {"type": "delete_file", "path": "no"}
    steps = [
        {"call": [["apply_patch", made], ["apply_patch", changed]]},
        {"call": [["apply_patch", gone]]},
        {"say": "{{tool.0}} & {{tool.1}} & {{tool.2}}"},
    ]
    for result in (await Runner.run(agent, play("patch", *steps)), (await streamed(agent, play("patch", *steps)))[0]):
        for part in ("create_file a.txt", "update_file b.txt", "delete_file no"):
            has(result.final_output, part)
    wanted = [
        ("create_file", "a.txt", made["diff"]),
        ("update_file", "b.txt", changed["diff"]),
        ("delete_file", "no", None),
    ]
    same([(kind, path, diff or None) for kind, path, diff in editor.seen], wanted * 2)


async def others() -> None:
    async def run_code(context: Any, code: str) -> str:
        return f"<{code}>"

    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"}
    for format in (None, grammar):
        agent = Agent(name="c", model=MODEL, tools=[CustomTool("run_code", "Runs code", run_code, format)])
        prompt = play("code", {"raw": ["run_code", 'print("hi")\n']}, {"say": "{{tool.0}}"})
        for result in (await Runner.run(agent, prompt), (await streamed(agent, prompt))[0]):
            same(result.final_output, '<print("hi")\n>')

    @function_tool
    def draw() -> list[Any]:
        """Draws."""
        return [
            ToolOutputText(text="drawn"),
            ToolOutputImage(image_url="data:image/png;base64,iVBORw0KGgo=", detail="low"),
        ]

    @function_tool
    def look(city: str) -> str:
        """Looks."""
        return f"seen {city}"

    drawing = Agent(name="d", model=MODEL, tools=[draw])
    has(
        (
            await Runner.run(drawing, play("draw", {"call": [["draw", {}]]}, {"say": "{{tool.0}} {{images}}"}))
        ).final_output,
        "1",
    )
    grouped = Agent(name="n", model=MODEL, tools=tool_namespace(name="crm", description="Customers", tools=[look]))
    prompt = play("look", {"call": [["look", {"city": "Rome"}]]}, {"say": "{{tool.0}} of {{tools}}"})
    for result in (await Runner.run(grouped, prompt), (await streamed(grouped, prompt))[0]):
        has(result.final_output, "seen Rome of ")


async def everything() -> None:
    use_server()
    for part in (shells, patches, others):
        await part()


scenario(lambda: asyncio.run(everything()))
