"""Write a sample as the text that chat_template.jinja makes of it in the engine."""

import json
from typing import Any

Message = dict[str, Any]
Sample = dict[str, Any]  # kind, messages, tools, think
Piece = tuple[str, bool]  # a text, and whether the model learns to say it


def schema_type(spec: dict[str, Any]) -> str:
    if spec.get("enum"):
        return "|".join(spec["enum"])
    return spec["type"] if isinstance(spec.get("type"), str) else "any"


def signature(function: dict[str, Any]) -> str:
    """One line for one tool: `get_weather(city: string) - Get the weather`."""
    properties = function["parameters"].get("properties", {})
    arguments = ", ".join(f"{name}: {schema_type(spec)}" for name, spec in properties.items())
    description = f" - {function['description']}" if function.get("description") else ""
    return f"{function['name']}({arguments}){description}"


def head(sample: Sample) -> list[Piece]:
    """All instructions and the tools, in one system message."""
    lines = [m["content"] for m in sample["messages"] if m["role"] == "system"]
    if sample["tools"]:
        lines += ["<tools>", *(signature(tool["function"]) for tool in sample["tools"]), "</tools>"]
    return [("<|im_start|>system\n" + "\n".join(lines) + "<|im_end|>\n", False)] if lines else []


def call_text(call: dict[str, Any]) -> str:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {arguments}}}\n</tool_call>'


def assistant(message: Message, think: bool) -> list[Piece]:
    pieces = [("<|im_start|>assistant\n", False)]
    body = ""
    if think and message.get("reasoning_content"):
        pieces.append(("<think>\n", False))  # the template opens it, the model closes it
        body = message["reasoning_content"] + "\n</think>\n\n"
    said = [message["content"]] if message["content"] else []
    body += "\n".join(said + [call_text(call) for call in message.get("tool_calls") or []])
    return [*pieces, (body + "<|im_end|>", True), ("\n", False)]


def render(sample: Sample) -> list[Piece]:
    messages = sample["messages"]
    last_user = max(i for i, m in enumerate(messages) if m["role"] == "user")
    pieces = head(sample)
    for i, message in enumerate(messages):
        if message["role"] == "user":
            pieces.append((f"<|im_start|>user\n{message['content']}<|im_end|>\n", False))
        elif message["role"] == "tool":
            result = f"<tool_response>\n{message['content']}\n</tool_response>"
            pieces.append((f"<|im_start|>user\n{result}<|im_end|>\n", False))
        elif message["role"] == "assistant":
            pieces += assistant(message, sample["think"] and i > last_user)
    return pieces
