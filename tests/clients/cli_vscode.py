"""What VS Code's provider of custom endpoints sends, without the editor: Responses, chat completions, Messages."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_HEADERS = {
    "Content-Type": "application/json",
    "Authorization": f"Bearer {API_KEY}",
    "User-Agent": "GitHubCopilotChat/0.40",
    "x-request-id": "11111111-1111-4111-8111-111111111111",
    "openai-intent": "conversation-agent",
    "x-github-api-version": "2026-01-09",
    "x-initiator": "agent",
}
_READ = {
    "type": "function",
    "name": "read_file",
    "description": "Reads a file.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"p": {"type": "string"}}, "required": ["p"]},
}
_BARE = {"type": "function", "name": "noargs", "description": "Nothing.", "strict": False, "parameters": {}}
_BODY: dict[str, Any] = {
    "model": MODEL,
    "stream": True,
    "tools": [_READ, _BARE],
    "tool_choice": "auto",
    "store": True,
    "truncation": "disabled",
}


def sent(path: str, body: dict[str, Any], headers: dict[str, str] = _HEADERS) -> list[dict[str, Any]]:
    """Post a streamed request; return its events."""
    request = urllib.request.Request(BASE_URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        if headers is _HEADERS:
            same(answer.headers["x-request-id"], _HEADERS["x-request-id"])
        lines = answer.read().decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def response(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Post a Responses request; return the completed response."""
    last = sent("/responses", {**_BODY, "input": items, **more})[-1]
    same(last["type"], "response.completed")
    return last["response"]


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "input_text", "text": text}]}


def text_of(answer: dict[str, Any]) -> str:
    return answer["output"][-1]["content"][0]["text"]


def of(answer: dict[str, Any], type: str) -> dict[str, Any]:
    return next(item for item in answer["output"] if item["type"] == type)


def turns() -> None:
    asked = play(
        "Go.", {"think": "TH", "call": [["read_file", {"p": "x"}]]}, {"say": "{{tool.0}} {{thoughts}} {{images}}"}
    )
    first = response(said("system", "BE"), said("user", asked))
    call = of(first, "function_call")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "FILE"}
    picture = {"type": "input_image", "detail": "auto", "image_url": PIXEL}
    shown = {"role": "user", "content": [{"type": "input_text", "text": "Image of the call above:"}, picture]}
    same(text_of(response(output, shown, previous_response_id=first["id"])), "FILE TH 1")
    # Without stored data: thoughts come back without a summary, answers with a phase and without ids.
    more = {"include": ["reasoning.encrypted_content"], "reasoning": {"summary": "off"}, "store": False}
    first = response(said("user", asked), **more)
    call, thoughts = of(first, "function_call"), of(first, "reasoning")
    history = [
        said("user", asked),
        {key: thoughts[key] for key in ("type", "id", "encrypted_content")} | {"summary": []},
        {
            "type": "message",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "pre"}],
        },
        {key: call[key] for key in ("type", "name", "arguments", "call_id")},
        {**output, "call_id": call["call_id"]},
    ]
    same(text_of(response(*history, **more)), "FILE TH 0")


def fields() -> None:
    shown = play("x", {"say": "{{param.reasoning_effort}}"})
    for effort in ("none", "minimal", "medium", "xhigh", "max"):
        response(said("user", shown), reasoning={"effort": effort, "summary": "off", "context": "all_turns"})
    same(text_of(response(said("user", shown), reasoning={"effort": "medium", "summary": "off"})), '"medium"')
    response(
        said("user", play("x", {"say": "fine"})),
        context_management=[{"type": "compaction", "compact_threshold": 45000}],
        prompt_cache_key="conversation:one",
    )
    marked = said("user", play("x", {"say": "fine"}))
    marked["content"][0]["prompt_cache_breakpoint"] = {"type": "ephemeral"}
    same(text_of(response(marked)), "fine")


def found_tools() -> None:
    query = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    search = {"type": "tool_search", "execution": "client", "description": "Searches.", "parameters": query}
    steps = {"call": [["tool_search", {"query": "x"}]]}, {"call": [["find_usages", {"s": "a"}]]}, {"say": "{{tool.1}}"}
    history = [said("user", play("Find.", *steps))]
    call = of(response(*history, tools=[search, *_BODY["tools"]]), "tool_search_call")
    schema = {"type": "object", "properties": {"s": {"type": "string"}}}
    found = {"type": "function", "name": "find_usages", "description": "f", "defer_loading": True, "parameters": schema}
    history += [
        {"status": "completed", "execution": "client"} | {key: call[key] for key in ("type", "call_id", "arguments")},
        {"type": "tool_search_output", "execution": "client", "call_id": call["call_id"], "tools": [found]},
    ]
    call = of(response(*history, tools=[search, *_BODY["tools"]]), "function_call")
    same(call["name"], "find_usages")
    # It gives the tool's own name as the namespace.
    history += [
        {key: call[key] for key in ("type", "name", "arguments", "call_id")} | {"namespace": call["name"]},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "USED"},
    ]
    same(text_of(response(*history, tools=[search, *_BODY["tools"]])), "USED")


def other_apis() -> None:
    messages = [{"role": "system", "content": "BE"}, {"role": "user", "content": play("x", {"say": "chat fine"})}]
    chat = {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": True}, "n": 1}
    chunks = sent("/chat/completions", {**chat, "temperature": 0.1, "top_p": 1})
    told = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    same("".join(told), "chat fine")
    keyed = {"Content-Type": "application/json", "x-api-key": API_KEY, "anthropic-version": "2023-06-01"}
    asked = {"role": "user", "content": [{"type": "text", "text": play("x", {"think": "T", "say": "message fine"})}]}
    body = {"model": MODEL, "max_tokens": 100, "stream": True, "messages": [asked], "thinking": {"type": "adaptive"}}
    events = sent("/messages", {**body, "system": [{"type": "text", "text": "BE"}]}, keyed)
    has(
        "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"),
        "message fine",
    )


def main() -> None:
    turns()
    fields()
    found_tools()
    other_apis()


scenario(main)
