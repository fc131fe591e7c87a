"""Every way in which an answer reaches a client: what is told in it, and what is kept of it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.server.whole import Client, turn

Json = dict[str, Any]

TOOLS = [
    {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
]
CHAT_TOOLS = [{"type": "function", "function": {name: value for name, value in TOOLS[0].items() if name != "type"}}]
MESSAGES_TOOLS = [{"name": "look", "input_schema": TOOLS[0]["parameters"]}]


class Told:
    """What a client was told: `raw`, all of it as text; `texts`, the pieces of each kind joined; how it ended."""

    def __init__(self, values: list[Any], texts: dict[str, str], reason: str) -> None:
        self.raw = json.dumps(values)
        self.texts = {kind: text for kind, text in texts.items() if text}
        self.reason = reason

    @property
    def essence(self) -> Any:
        """What has to be the same in every mode."""
        return self.texts, self.reason


def _of_response(response: Json, values: list[Any]) -> Told:
    texts = {"text": "", "reasoning": "", "refusal": "", "call": ""}
    for item in response["output"]:
        for part in item.get("content") or ():
            kind = {"output_text": "text", "reasoning_text": "reasoning", "refusal": "refusal"}[part["type"]]
            texts[kind] += part.get("text") or part.get("refusal") or ""
        texts["call"] += item.get("arguments") or ""
    details = response.get("incomplete_details") or {}
    return Told(values, texts, details.get("reason") or response["status"])


def _of_events(events: list[Json]) -> Told:
    told = _of_response(events[-1]["response"], events)
    streamed = {"text": "", "reasoning": "", "refusal": "", "call": ""}
    kinds = {
        "output_text": "text",
        "reasoning_text": "reasoning",
        "refusal": "refusal",
        "function_call_arguments": "call",
    }
    for event in events:
        kind = kinds.get(event["type"].removeprefix("response.").removesuffix(".delta"))
        if kind is not None and event["type"].endswith(".delta"):
            streamed[kind] += event["delta"]
    assert {kind: text for kind, text in streamed.items() if text} == told.texts
    return told


def whole(client: Client, **fields: Any) -> Told:
    made = client.create(**fields, tools=TOOLS)
    kept = client.get(f"/v1/responses/{made['id']}")[1]
    assert kept == made
    return _of_response(made, [made, kept])


def streamed(client: Client, **fields: Any) -> Told:
    events = client.stream(**fields, tools=TOOLS)
    kept = client.get(f"/v1/responses/{events[-1]['response']['id']}")[1]
    assert kept == events[-1]["response"]
    return _of_events(events)


def websocket(client: Client, **fields: Any) -> Told:
    with client.websocket() as connection:
        return _of_events(turn(connection, **fields, tools=TOOLS))


def background(client: Client, **fields: Any) -> Told:
    made = client.finished(client.create(**fields, tools=TOOLS, background=True)["id"])
    return _of_response(made, [made])


def resumed(client: Client, **fields: Any) -> Told:
    events = client.stream(**fields, tools=TOOLS, background=True)
    id = events[0]["response"]["id"]
    status, again = client.get(f"/v1/responses/{id}?stream=true&starting_after=2")
    assert (status, again) == (200, events[3:])
    return _of_events(events)


def continued(client: Client, **fields: Any) -> Told:
    first = client.create(model="clean", input="Before.")
    made = client.create(**fields, tools=TOOLS, previous_response_id=first["id"])
    after = client.create(model="clean", input="Behind.", previous_response_id=made["id"])
    items = client.get(f"/v1/responses/{after['id']}/input_items?order=asc&limit=100")[1]
    return _of_response(made, [made, items])


def in_conversation(client: Client, **fields: Any) -> Told:
    conversation = client.post("/v1/conversations")[1]["id"]
    made = client.create(**fields, tools=TOOLS, conversation=conversation)
    items = client.get(f"/v1/conversations/{conversation}/items?limit=100")[1]
    return _of_response(made, [made, items])


def messages_whole(client: Client, **fields: Any) -> Told:
    status, made = client.post("/v1/messages", **_messages(fields))
    assert status == 200, made
    texts = {"text": "", "reasoning": "", "refusal": "", "call": ""}
    for block in made["content"]:
        kind = {"text": "text", "thinking": "reasoning", "tool_use": "call"}[block["type"]]
        texts[kind] += json.dumps(block["input"]) if kind == "call" else block[block["type"]]
    return Told([made], texts, made["stop_reason"])


def messages_streamed(client: Client, **fields: Any) -> Told:
    texts = {"text": "", "reasoning": "", "refusal": "", "call": ""}
    kinds = {"text_delta": "text", "thinking_delta": "reasoning", "input_json_delta": "call"}
    reason, events = "", frames(client, "/v1/messages", _messages(fields))
    for event in events:
        delta = event.get("delta", {})
        kind = kinds.get(delta.get("type"))
        if kind is not None:
            texts[kind] += delta[{"text": "text", "reasoning": "thinking", "call": "partial_json"}[kind]]
        reason = delta.get("stop_reason") or reason
    return Told(events, texts, reason)


def chat_whole(client: Client, **fields: Any) -> Told:
    status, made = client.post("/v1/chat/completions", **_chat(fields))
    assert status == 200, made
    (choice,) = made["choices"]
    said = choice["message"]
    texts = {
        "text": said["content"] or "",
        "reasoning": said.get("reasoning_content") or "",
        "refusal": said.get("refusal") or "",
        "call": "".join(call["function"]["arguments"] for call in said.get("tool_calls") or ()),
    }
    return Told([made], texts, choice["finish_reason"])


def chat_stored(client: Client, **fields: Any) -> Told:
    told = chat_whole(client, **fields, store=True)
    made = json.loads(told.raw)[0]
    status, kept = client.get(f"/v1/chat/completions/{made['id']}")
    assert (status, kept["choices"][0]["message"]["content"]) == (200, made["choices"][0]["message"]["content"])
    listed = client.get(f"/v1/chat/completions/{made['id']}/messages")[1]
    return Told([made, kept, listed], told.texts, told.reason)


def chat_streamed(client: Client, **fields: Any) -> Told:
    chunks = frames(client, "/v1/chat/completions", _chat(fields))
    texts = {"text": "", "reasoning": "", "refusal": "", "call": ""}
    reason = ""
    for chunk in chunks:
        for choice in chunk.get("choices", ()):
            delta = choice["delta"]
            texts["text"] += delta.get("content") or ""
            texts["reasoning"] += delta.get("reasoning_content") or ""
            texts["refusal"] += delta.get("refusal") or ""
            texts["call"] += "".join(call["function"].get("arguments", "") for call in delta.get("tool_calls") or ())
            reason = choice.get("finish_reason") or reason
    return Told(chunks, texts, reason)


def frames(client: Client, path: str, fields: Json) -> list[Json]:
    """Return the data of a stream of another front end."""
    body = json.dumps({**fields, "stream": True}).encode()
    with urllib.request.urlopen(urllib.request.Request(client.url + path, body, client.headers), timeout=20) as reply:
        lines = reply.read().decode().split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def _messages(fields: Json) -> Json:
    said = [{"role": "user", "content": fields["input"]}]
    return {"model": fields["model"], "max_tokens": 1000, "messages": said, "tools": MESSAGES_TOOLS}


def _chat(fields: Json) -> Json:
    said = [{"role": "user", "content": fields["input"]}]
    others = {name: value for name, value in fields.items() if name not in ("model", "input")}
    return {"model": fields["model"], "messages": said, "tools": CHAT_TOOLS, **others}


RESPONSES: list[Callable[..., Told]] = [whole, streamed, websocket, background, resumed, continued, in_conversation]
CHAT: list[Callable[..., Told]] = [chat_whole, chat_streamed, chat_stored]
MESSAGES: list[Callable[..., Told]] = [messages_whole, messages_streamed]
MODES = [*RESPONSES, *CHAT, *MESSAGES]
