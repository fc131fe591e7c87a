"""langchain-openai over the Responses API: streams, tools, structured output, thoughts, chains, pictures, hosted MCP."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, custom_tool
from pydantic import BaseModel

from tests.clients.lib import API_KEY, BASE_URL, MCP_URL, MODEL, has, play, same, scenario

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Point(BaseModel):
    """A point."""

    x: int
    label: str


@tool
def look(city: str) -> str:
    """Looks at a city."""
    return f"seen {city}"


@custom_tool
def run_code(code: str) -> str:
    """Runs code."""
    return f"<{code}>"


def model(**options: Any) -> Any:
    return ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=API_KEY, use_responses_api=True, max_retries=0, **options)  # type: ignore[arg-type]


def joined(llm: Any, given: Any) -> Any:
    """Stream an answer and add its pieces up."""
    whole: Any = None
    for chunk in llm.stream(given):
        whole = chunk if whole is None else whole + chunk
    return whole


VERSIONS: list[dict[str, Any]] = [
    {},
    {"output_version": "responses/v1"},
    {"output_version": "v1"},
    {"output_version": "v0"},
]


def answers() -> None:
    given = [SystemMessage("BE"), HumanMessage(play("x", {"think": "HM", "say": "hi {{system}}", "usage": [5, 6]}))]
    for version in VERSIONS:
        llm = model(temperature=0.3, **version)
        for answer in (llm.invoke(given), joined(llm, given)):
            same(
                (answer.text, answer.usage_metadata["total_tokens"], answer.response_metadata["status"]),
                ("hi BE", 11, "completed"),
            )
            again = llm.invoke([*given, answer, HumanMessage(play("y", {"say": "{{users}} {{assistants}}"}))])
            same(again.text, "2 1")
    same(asyncio.run(model().ainvoke(given)).text, "hi BE")
    shown = model(reasoning={"effort": "low", "summary": "auto"}, output_version="v1")
    for answer in (shown.invoke(given), joined(shown, given)):
        blocks = answer.content_blocks
        same([block["type"] for block in blocks], ["reasoning", "text"])
        has(blocks[0]["reasoning"], "HM")


def tools() -> None:
    both = {"think": "HM", "say": "Looking.", "call": [["look", {"city": "Rome"}], ["look", {"city": "Oslo"}]]}
    prompt = play(
        "go",
        both,
        {"think": "MORE", "call": [["look", {"city": "Bern"}]]},
        {"say": "{{tool.0}} {{tool.1}} {{tool.2}} {{thoughts}}"},
    )
    modes: list[dict[str, Any]] = [
        {},
        {"store": False, "include": ["reasoning.encrypted_content"]},
        {"use_previous_response_id": True},
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ]
    for version in VERSIONS:
        for mode in modes:
            llm = model(**version, **mode).bind_tools([look])
            for stream in (False, True):
                messages: list[Any] = [HumanMessage(prompt)]
                while True:
                    answer = joined(llm, messages) if stream else llm.invoke(messages)
                    messages.append(answer)
                    if not answer.tool_calls:
                        break
                    messages += [look.invoke(call) for call in answer.tool_calls]
                has(answer.text, "seen Rome seen Oslo seen Bern")
                if version != {"output_version": "v0"}:
                    same((version, mode, answer.text), (version, mode, "seen Rome seen Oslo seen Bern HM | MORE"))
    agent = create_agent(model(), [look], system_prompt="BE")
    done = agent.invoke({"messages": [HumanMessage(prompt)]})
    has(done["messages"][-1].text, "seen Bern")
    forced = model().bind_tools([look], tool_choice="look", strict=True, parallel_tool_calls=False)
    same(forced.invoke(play("x", {"call": [["look", {"city": "Rome"}]]})).tool_calls[0]["args"], {"city": "Rome"})
    llm = model(output_version="responses/v1").bind_tools([run_code])
    for stream in (False, True):
        given = [HumanMessage(play("code", {"raw": ["run_code", 'print("hi")\n']}, {"say": "{{tool.0}}"}))]
        answer = joined(llm, given) if stream else llm.invoke(given)
        call = answer.tool_calls[0]
        output = ToolMessage("ran", tool_call_id=call["id"], additional_kwargs={"type": "custom_tool_call_output"})
        same(llm.invoke([*given, answer, output]).text, "ran")


def structured() -> None:
    prompt = play("x", {"json": {"x": 4, "label": "p"}})
    for method in ("json_schema", "json_mode"):
        same(model().with_structured_output(Point, method=method).invoke(prompt), Point(x=4, label="p"))
    both = model().with_structured_output(Point, method="function_calling", include_raw=True)
    same(both.invoke(play("x", {"call": [["Point", {"x": 4, "label": "p"}]]}))["parsed"], Point(x=4, label="p"))
    pieces = list(model().with_structured_output(Point, method="json_schema").stream(prompt))
    same(pieces[-1], Point(x=4, label="p"))


def media_and_state() -> None:
    picture = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    text = {"type": "text", "text": play("x", {"say": "{{images}}"})}
    same(model().invoke([HumanMessage([text, picture, url])]).text, "2")
    note = {"type": "file", "base64": "Tk9URSBwZXQ9ZG9n", "mime_type": "text/plain", "filename": "n.txt"}
    asked = {"type": "text", "text": play("x", {"say": "{{note.pet}}"})}
    same(model().invoke([HumanMessage([asked, note])]).text, "dog")
    drawn = AIMessage("", tool_calls=[{"name": "draw", "args": {}, "id": "call_1"}])
    output = ToolMessage([{"type": "text", "text": "drawn"}, picture], tool_call_id="call_1")
    prompt = HumanMessage(play("x", {"call": [["draw", {}]]}, {"say": "{{tool.0}} {{images}}"}))
    has(model().invoke([prompt, drawn, output]).text, "1")
    first = model().invoke(play("NOTE pet=cat", {"say": "ok"}))
    same(
        model().invoke(play("?", {"say": "{{note.pet}}"}), previous_response_id=first.response_metadata["id"]).text,
        "cat",
    )
    chained = model(use_previous_response_id=True)
    same(
        chained.invoke(
            [HumanMessage("NOTE pet=cat"), first, HumanMessage(play("?", {"say": "{{note.pet}} {{users}}"}))]
        ).text,
        "cat 2",
    )
    calc = {"type": "mcp", "server_label": "calc", "server_url": MCP_URL, "require_approval": "never"}
    for version in VERSIONS[1:3]:
        llm = model(**version).bind_tools([calc])
        given = [HumanMessage(play("x", {"call": [["add", {"a": 2, "b": 3}]]}, {"say": "={{tool.0}}"}))]
        for answer in (llm.invoke(given), joined(llm, given)):
            same(answer.text, "=5")
            same(llm.invoke([*given, answer, HumanMessage(play("y", {"say": "{{users}}"}))]).text, "2")
        asked = model(**version).bind_tools([{**calc, "require_approval": "always"}])
        for answer in (asked.invoke(given), joined(asked, given)):
            blocks = [block.get("value", block) for block in answer.content]
            request = next(block for block in blocks if block["type"] == "mcp_approval_request")
            agreed = {"type": "mcp_approval_response", "approve": True, "approval_request_id": request["id"]}
            same(asked.invoke([HumanMessage([agreed])], previous_response_id=answer.response_metadata["id"]).text, "=5")
            same(asked.invoke([*given, answer, HumanMessage([agreed])]).text, "=5")
    built_in = model().bind_tools([{"type": "web_search"}, look])
    same(built_in.invoke(play("x", {"call": [["look", {"city": "Rome"}]]})).tool_calls[0]["name"], "look")
    verbose = model(
        verbosity="low", top_logprobs=2, service_tier="auto", truncation="auto", stream_usage=True, metadata={"k": "v"}
    )
    same(verbose.invoke(play("x", {"say": "ok"})).text, "ok")
    compacting = model(
        context_management=[{"type": "compaction", "compact_threshold": 500}], output_version="responses/v1"
    )
    long = [
        HumanMessage("NOTE sky=blue " + "blah " * 3000),
        AIMessage("ok"),
        HumanMessage(play("?", {"say": "{{note.sky}}"})),
    ]
    answer = compacting.invoke(long)
    same((answer.text, answer.content[0]["type"]), ("blue", "compaction"))
    same(compacting.invoke([*long, answer, HumanMessage(play("?", {"say": "{{note.sky}}"}))]).text, "blue")


def errors() -> None:
    for step in (
        {"error": {"status": 400, "message": "WRONG", "code": "context_length_exceeded"}},
        {"error": {"status": 429, "message": "WRONG"}},
    ):
        for call in (lambda: model().invoke(play("x", step)), lambda: joined(model(), play("x", step))):  # noqa: B023
            try:
                call()
            except Exception as error:
                has(str(error), "WRONG")
            else:
                raise AssertionError("no error")


def everything() -> None:
    for part in (answers, tools, structured, media_and_state, errors):
        part()


scenario(everything)
