"""A model that can do, by rule, all that a conformance suite asks of a server's model: just enough to exercise the server.

It calls tools with arguments that follow their schemas, fills JSON Schemas, remembers names, repeats what it is told to repeat,
counts, calculates, and thinks when an effort or the prompt asks for it; the model `thinking` always does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tests.clients.chat import Ask, Call, Json, Offered, Reply, Said

_THOUGHT = "Let me think about this step by step before I answer. " * 4
_ESSAY = "The sea is wide and old, and every wave that reaches the shore has come a long way. " * 12
_FACTS = {"capital of France": "Paris", "role": "Archivist", "favourite tool": "Brush", "band name": "Velvet Harbour"}


def answer(ask: Ask) -> Reply:
    """Answer a chat."""
    reply = Reply(think=_THOUGHT if _thinks(ask) else "", piece=4)
    last = ask.said[-1]
    asked = next((said.text for said in reversed(ask.said) if said.role == "user"), "")
    if last.role == "tool":
        reply.say = f"The tool says: {last.text}"
    elif last.role == "assistant":
        reply.say = f"is {_fact(asked)}."
    elif ask.format.get("type") in ("json_object", "json_schema"):
        reply.say = json.dumps(_instance(ask.schema or _PERSON, asked, "answer"), ensure_ascii=False)
    else:
        reply.calls = [Call(tool, json.dumps(_instance(tool.schema, asked, tool.name))) for tool in _chosen(ask, asked)]
        reply.say = "" if reply.calls else _text(asked, ask.said)
        reply.pace = 0.01 if "Count from 1 to 400" in asked else 0.0  # slow enough to be cancelled, and to be left
    return reply


_PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}


def _thinks(ask: Ask) -> bool:
    effort = ask.body.get("reasoning_effort")
    wanted = (ask.body.get("chat_template_kwargs") or {}).get("enable_thinking")
    if effort == "none" or wanted is False:
        return False
    return bool(effort) or ask.body["model"] == "thinking" or "Think it through" in ask.said[-1].text


# Tools


def _chosen(ask: Ask, asked: str) -> Sequence[Offered]:
    choice = ask.body.get("tool_choice") or "auto"
    if choice == "none" or not ask.tools:
        return ()
    if isinstance(choice, dict):
        return [tool for tool in ask.tools if tool.name == choice["function"]["name"]]
    meant = [tool for tool in ask.tools if any(word in asked.lower() for word in tool.name.lower().split("_")[1:])]
    if choice == "required" and not meant:
        meant = [ask.tools[0]]
    return meant if ask.body.get("parallel_tool_calls") is not False else meant[:1]


def _instance(schema: Json, asked: str, name: str) -> object:
    """Return a value that follows a schema, with what the prompt says where it can be found."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return next((value for value in schema["enum"] if str(value) in asked), schema["enum"][0])
    match schema.get("type", "object" if "properties" in schema else "string"):
        case "object":
            return {key: _instance(inner, asked, key) for key, inner in (schema.get("properties") or {}).items()}
        case "array":
            return [_instance(schema.get("items") or {}, asked, name)]
        case "integer" | "number":
            return int(next(iter(re.findall(r"\d+", asked)), "36"))
        case "boolean":
            return True
    return _string(asked, name)


def _string(asked: str, name: str) -> str:
    patterns = {
        "city": r"\bin (\w+)",
        "timezone": r"\bin (\w+)",
        "path": r"path (\S+)",
        "content": r"exactly:\n(.*)",
        "restaurant": r"\bat (.+?) for\b",
    }
    found = re.search(patterns.get(name, r"\bfor (\w+)"), asked, re.DOTALL)
    return found[1] if found else "Ada"


# Text


def _text(asked: str, said: Sequence[Said]) -> str:
    repeated = re.search(r"exactly(?:, nothing else)?: (.*)", asked, re.DOTALL)
    if repeated:
        return repeated[1]
    ordered = [
        word for one in said if one.role == "system" for word in re.findall(r'exactly the word "(\w+)"', one.text)
    ]
    if ordered:
        return ordered[-1]
    if "my name?" in asked:
        names = [name for message in said for name in re.findall(r"[Mm]y name is (\w+)", message.text)]
        return names[-1] if names else "I do not know."
    return _number(asked, said) or _fact(asked)


def _number(asked: str, said: Sequence[Said]) -> str:
    if product := re.search(r"(\d+) ([*+]) (\d+)", asked):
        one, other = int(product[1]), int(product[3])
        return str(one * other if product[2] == "*" else one + other)
    if added := re.search(r"Add (\d+) to your last answer", asked):
        return str(int(said[-2].text) + int(added[1]))
    if counted := re.search(r"Count from (\d+) to (\d+)", asked):
        return " ".join(str(n) for n in range(int(counted[1]), int(counted[2]) + 1))
    return ""


def _fact(asked: str) -> str:
    if "long essay" in asked or "at length" in asked:
        return _ESSAY
    return next((fact for key, fact in _FACTS.items() if key in asked), "Hello!")
