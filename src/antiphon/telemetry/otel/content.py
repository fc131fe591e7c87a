"""Texts of a Response in its span, where the operator asks for them: prompts and answers, as messages.

`gen_ai.input.messages`, `gen_ai.output.messages` and `gen_ai.system_instructions` are those of the GenAI conventions;
`input.value` and `output.value` are OpenInference's, which Phoenix and Langfuse read. Images, files and sounds are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.telemetry.observers import Observed

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
WANTED = frozenset(("true", "1", "span_only", "span_and_event"))
MOST_TEXT = 64 * 1024
"""Characters of all texts of a direction; of the input the last ones are kept, of the output the first."""
MOST_MESSAGES = 200

Message = dict[str, Any]


def wants_content(environ: Mapping[str, str]) -> bool:
    """Tell whether the operator asks for texts in spans."""
    return environ.get(VARIABLE, "").strip().lower() in WANTED


def input_attributes(run: Observed) -> dict[str, str]:
    """Return attributes with what the model is asked."""
    turn = run.plan.turn
    room, found = MOST_TEXT, list[Message]()
    for item in reversed(turn.items[-MOST_MESSAGES:]):
        message = _message(msgspec.json.decode(to_json(item)))
        if message is not None:
            room = _fit(message, room)
            found.append(message)
        if room <= 0:
            break
    text = _text(found[::-1])
    attributes = {"gen_ai.input.messages": text, "input.value": text, "input.mime_type": "application/json"}
    if turn.instructions:
        told = [{"type": "text", "content": turn.instructions[:MOST_TEXT]}]
        attributes["gen_ai.system_instructions"] = _text(told)
    return attributes


def output_attributes(run: Observed) -> dict[str, str]:
    """Return attributes with what the model has answered."""
    room, found = MOST_TEXT, list[Message]()
    for raw in run.plan.response.output[:MOST_MESSAGES]:
        message = _message(msgspec.json.decode(raw), "assistant")
        if message is not None:
            room = _fit(message, room)
            found.append(message)
        if room <= 0:
            break
    text = _text(found)
    return {"gen_ai.output.messages": text, "output.value": text, "output.mime_type": "application/json"}


def _text(value: Sequence[object]) -> str:
    return to_json(value).decode("utf-8", "replace")


def _message(item: Mapping[str, Any], role: str = "user") -> Message | None:
    """Return an item, which its fields tell, as a message; None for one without text."""
    if "role" in item:
        return _of_parts(str(item.get("role") or role), item.get("content"))
    if "summary" in item:
        texts = [*_texts(item.get("content")), *_texts(item["summary"])]
        return {"role": "assistant", "parts": [{"type": "reasoning", "content": text} for text in texts]}
    if "call_id" in item and "output" in item:
        output = "\n".join(_texts(item["output"]))
        return {"role": "tool", "parts": [{"type": "tool_call_response", "id": item["call_id"], "content": output}]}
    given = item.get("arguments", item.get("input"))
    if "name" in item and isinstance(given, str):
        call = {"type": "tool_call", "id": item.get("call_id") or item.get("id"), "name": item["name"]}
        return {"role": "assistant", "parts": [{**call, "content": given}]}
    return None


def _of_parts(role: str, content: object) -> Message:
    return {"role": role, "parts": [{"type": "text", "content": text} for text in _texts(content)]}


def _texts(content: object) -> Iterable[str]:
    """Return the texts of content: a text, or parts of which some have one."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    parts = (part for part in content if isinstance(part, dict))
    return [text for part in parts if isinstance(text := part.get("text", part.get("refusal")), str)]


def _fit(message: Message, room: int) -> int:
    """Cut the texts of a message to what there is room for; return the room that is left."""
    for part in message["parts"]:
        part["content"] = part["content"][: max(room, 0)]
        room -= len(part["content"])
    return room
