"""Claude Code at work: tools, two at once, thoughts that come back, a picture, an edited file, a sub-agent."""

from __future__ import annotations

import base64

from tests.clients.claudes import Claude
from tests.clients.lib import MODEL, has, play, same, scenario

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def says_hello(claude: Claude) -> None:
    told = claude.run(play("Say hello.", {"say": "Hello, {{systems}} {{tools}}"}))
    has(told.text, "Hello, 2 Agent,Bash,")  # its own prompt, and a system message of the conversation
    usage = told.result["modelUsage"][MODEL]
    same((usage["contextWindow"], usage["maxOutputTokens"]), (131_072, 32_000))
    assert usage["inputTokens"] + usage["cacheReadInputTokens"] > 1000 and usage["outputTokens"] > 5, usage
    # Without its own long prompt and most tools.
    told = claude.run(play("Say hello.", {"say": "Hello, {{systems}} {{tools}}"}), "--bare")
    same(told.text, "Hello, 1 Bash,Edit,Read")


def uses_tools(claude: Claude) -> None:
    call = {"think": "THOUGHT", "say": "I start.", "call": [["Bash", {"command": "echo made-a", "description": "a"}]]}
    told = claude.run(play("Go.", call, {"say": "END {{tool.0}} {{thoughts}}"}))
    same(told.text, "END made-a THOUGHT")
    same([block["text"] for block in told.blocks("text")], ["I start.", "END made-a THOUGHT"])
    two = [["Bash", {"command": f"echo made-{n}; exit {n}", "description": "x"}] for n in (0, 3)]
    told = claude.run(play("Go.", {"call": two}, {"say": "{{tool.0}} | {{tool.1}}"}))
    has(told.text, "made-0 | ")
    has(told.text, "Exit code 3")
    same([bool(block["is_error"]) for block in told.blocks("tool_result")], [False, True])
    same(len({block["id"] for block in told.blocks("tool_use")}), 2)


def finds_tools() -> None:
    """In small windows it declares most tools only once the model has looked for them."""
    with Claude(context=40_000) as claude:
        search = {"call": [["ToolSearch", {"query": "select:WebFetch"}]]}
        told = claude.run(play("Find.", search, {"say": "{{tools}}"}))
        names = set(told.text.split(","))
        assert {"Bash", "ToolSearch", "WebFetch"} <= names and "NotebookEdit" not in names, names


def sees_a_picture(claude: Claude) -> None:
    picture = claude.work / "p.png"
    picture.write_bytes(base64.b64decode(PIXEL))
    told = claude.run(play("Look.", {"call": [["Read", {"file_path": str(picture)}]]}, {"say": "I{{images}}"}))
    same(told.text, "I1")


def edits_a_file(claude: Claude) -> None:
    file = claude.work / "a.txt"
    file.write_text('one "quoted" \\ line\n')
    edit = {"file_path": str(file), "old_string": '"quoted" \\', "new_string": "«changed»\t\\n"}
    steps = [{"call": [["Read", {"file_path": str(file)}]]}, {"call": [["Edit", edit]]}, {"say": "{{tool.1}}"}]
    has(claude.run(play("Edit.", *steps)).text, "has been updated")
    same(file.read_text(), "one «changed»\t\\n line\n")


def asks_a_sub_agent(claude: Claude) -> None:
    work = {
        "description": "sub",
        "prompt": "SECRET-WORD",
        "subagent_type": "general-purpose",
        "run_in_background": False,
    }
    told = claude.run(play("Ask.", {"call": [["Agent", work]]}, {"say": "MAIN {{tool.0}}"}))
    has(told.text, "You said:")
    has(told.text, "SECRET-WORD")
    work["run_in_background"] = True
    told = claude.run(play("Ask.", {"call": [["Agent", work]]}, {"say": "MAIN {{users}}"}))
    same(told.text, "MAIN 2")  # its report comes as a message of its own
    has(told.system("task_notification")[0]["summary"], "SECRET-WORD")


def main() -> None:
    with Claude() as claude:
        says_hello(claude)
        uses_tools(claude)
        finds_tools()
        sees_a_picture(claude)
        edits_a_file(claude)
        asks_a_sub_agent(claude)


scenario(main)
