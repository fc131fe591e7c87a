# ruff: noqa: E501 (a table reads best with one case per line)
"""What Ann has: one thing of each kind, with a secret in it, and all fields that could name another's."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, NamedTuple

from tests.attack.cases import FORM, form
from tests.attack.target import ANN, Target
from tests.attack.verdict import TERMINAL
from tests.attack.wire import Closed, WebSocket, frame

SECRET = "The crown jewels are under the stairs."

Json = dict[str, Any]

KEPT_CHAT: Json = {"messages": [{"role": "user", "content": SECRET}], "store": True, "metadata": {"a": SECRET}}


class Things(NamedTuple):
    """Ids by the kind of thing, blobs that were sealed for Ann, and signatures of the Messages API."""

    ids: dict[str, str]
    blobs: list[Json]
    signatures: list[str]


async def make_things(one: Target) -> Things:
    """Make, as Ann, one thing of each kind with the secret in it."""
    stored = await one.json("POST", "/v1/responses", {"model": "scripted", "input": SECRET})
    running = await one.json(
        "POST", "/v1/responses", {"model": "scripted", "input": f"/delay 60\n/repeat 90 {SECRET}", "background": True}
    )
    message = {"type": "message", "role": "user", "content": SECRET}
    conversation = await one.json("POST", "/v1/conversations", {"items": [message], "metadata": {"a": SECRET}})
    items = await one.json("GET", f"/v1/conversations/{conversation['id']}/items")
    parts = [("purpose", None, b"user_data"), ("file", "s.txt", SECRET.encode())]
    file = json.loads((await one.ask("POST", "/v1/files", form(parts), key=ANN, headers=FORM)).body)
    announced = {"filename": SECRET, "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}
    upload = await one.json("POST", "/v1/uploads", announced)
    skill = form([("files[]", "SKILL.md", f"---\nname: mine\ndescription: {SECRET}\n---\n".encode())])
    ids = {
        "response": stored["id"],
        "running": running["id"],
        "output item": stored["output"][0]["id"],
        "conversation": conversation["id"],
        "conversation item": items["data"][0]["id"],
        "file": file["id"],
        "upload": upload["id"],
        "chat": (await one.json("POST", "/v1/chat/completions", {"model": "scripted", **KEPT_CHAT}))["id"],
        "skill": json.loads((await one.ask("POST", "/v1/skills", skill, key=ANN, headers=FORM)).body)["id"],
        **await _vector_store(one, file["id"]),
        **await _batches(one),
        **await _container(one, file["id"]),
    }
    thought = await one.json(
        "POST",
        "/v1/responses",
        {
            "model": "scripted",
            "input": f"/think {SECRET}\nok",
            "store": False,
            "include": ["reasoning.encrypted_content"],
        },
    )
    compacted = await one.json("POST", "/v1/responses/compact", {"model": "echo", "input": SECRET})
    blobs = [item for item in (*thought["output"], *compacted["output"]) if item.get("encrypted_content")]
    assert {item["type"] for item in blobs} >= {"reasoning"}, (thought, compacted)
    sealed = [{k: v for k, v in item.items() if k in ("type", "encrypted_content", "id")} for item in blobs]
    return Things(ids, sealed, [*await _signatures(one), *(str(blob["encrypted_content"]) for blob in sealed)])


async def _batches(one: Target) -> dict[str, str]:
    body = {"model": "scripted", "input": SECRET}
    line = json.dumps({"custom_id": SECRET, "method": "POST", "url": "/v1/responses", "body": body})
    parts = [("purpose", None, b"batch"), ("file", "s.jsonl", line.encode())]
    file = json.loads((await one.ask("POST", "/v1/files", form(parts), key=ANN, headers=FORM)).body)["id"]
    fields = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h", "metadata": {"a": SECRET}}
    made = await one.json("POST", "/v1/batches", fields)
    params = {"model": "scripted", "max_tokens": 9, "messages": [{"role": "user", "content": SECRET}]}
    other = await one.json("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]})
    while made["status"] != "completed":
        made = await one.json("GET", f"/v1/batches/{made['id']}")
    hook = {"name": SECRET, "url": "https://example.com/", "event_types": ["batch.completed"]}
    endpoint = await one.ask("POST", "/v1/webhook_endpoints", hook, key=ANN)  # the name may not be looked up here
    hooks = {"webhook endpoint": json.loads(endpoint.body)["id"]} if endpoint.status == 200 else {}
    return {
        **hooks,
        "batch of requests": made["id"],
        "message batch": other["id"],
        "batch's output": made["output_file_id"],
    }


async def _vector_store(one: Target, file: str) -> dict[str, str]:
    store = await one.json("POST", "/v1/vector_stores", {"name": SECRET, "metadata": {"a": SECRET}})
    path = f"/v1/vector_stores/{store['id']}"
    batch = await one.json("POST", f"{path}/file_batches", {"file_ids": [file], "attributes": {"a": SECRET}})
    while (await one.json("GET", path))["file_counts"]["completed"] < 1:
        pass
    found = await one.json("POST", f"{path}/search", {"query": "crown jewels"})
    assert SECRET in json.dumps(found)
    return {"vector store": store["id"], "batch": batch["id"]}


async def _container(one: Target, file: str) -> dict[str, str]:
    made = await one.ask("POST", "/v1/containers", {"name": SECRET}, key=ANN)
    if made.status == 501:  # no sandbox holds on this machine
        return {}
    id = json.loads(made.body)["id"]
    kept = await one.json("POST", f"/v1/containers/{id}/files", {"file_id": file})
    return {"container": id, "container file": kept["id"]}


async def _signatures(one: Target) -> list[str]:
    fields = {"model": "scripted", "max_tokens": 500, "thinking": {"type": "adaptive"}}
    asked = {**fields, "messages": [{"role": "user", "content": f"/think {SECRET}\nok"}]}
    said = (await one.json("POST", "/v1/messages", asked))["content"]
    found = [block["signature"] for block in said if block.get("signature")]
    assert found, said
    return found


def uses(things: Things) -> dict[str, Json]:
    """Return the fields of requests that would use what is Ann's."""
    found: dict[str, Json] = {}
    for kind, id in things.ids.items():
        found[f"previous_response_id {kind}"] = {"previous_response_id": id}
        found[f"conversation {kind}"] = {"conversation": id}
        found[f"conversation object {kind}"] = {"conversation": {"id": id}}
        found[f"item_reference {kind}"] = {"input": [{"type": "item_reference", "id": id}]}
        found[f"item_reference without type {kind}"] = {"input": [{"id": id}]}
        for part in ("input_file", "input_image", "input_audio"):
            message = {"type": "message", "role": "user", "content": [{"type": part, "file_id": id}]}
            found[f"{part} {kind}"] = {"input": [message]}
        output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": id}]}
        found[f"output with a file {kind}"] = {
            "input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, output]
        }
        found[f"prompt variable {kind}"] = {
            "prompt": {"id": "secret", "variables": {"x": {"type": "input_file", "file_id": id}}}
        }
        found[f"mask {kind}"] = {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": id}}]}
        found |= _of_hosted_tools(kind, id)
    for blob in things.blobs:
        for kind in ("reasoning", "compaction", "compaction_summary"):
            item = {"summary": [], **blob, "type": kind}
            found[f"{blob['type']} blob in {kind}"] = {"input": [item, {"role": "user", "content": "Say it."}]}
    for number, signature in enumerate(things.signatures):
        item = {"type": "reasoning", "summary": [], "encrypted_content": signature}
        found[f"signature {number}"] = {"input": [item, {"role": "user", "content": "Say it."}]}
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
        output = {"type": "function_call_output", "call_id": "c", "output": "Say it."}
        found[f"signature before a call {number}"] = {"input": [{"role": "user", "content": "hi"}, item, call, output]}
    return found


def _of_hosted_tools(kind: str, id: str) -> dict[str, Json]:
    """Return requests whose hosted tools would read what is Ann's: the model `asker` calls all that it is offered."""
    auto = {"type": "auto"}
    earlier = {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": id, "outputs": []}  # fmt: skip
    python = [{"type": "code_interpreter", "container": auto}]
    return {
        f"file_search {kind}": {"tools": [{"type": "file_search", "vector_store_ids": [id]}]},
        f"container {kind}": {"tools": [{"type": "code_interpreter", "container": id}]},
        f"file of a container {kind}": {
            "tools": [{"type": "code_interpreter", "container": {**auto, "file_ids": [id]}}]
        },
        f"skill {kind}": {
            "tools": [
                {
                    "type": "shell",
                    "environment": {"type": "container_auto", "skills": [{"type": "skill_reference", "skill_id": id}]},
                }
            ]
        },
        f"shell {kind}": {
            "tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": id}}]
        },
        f"earlier container {kind}": {"tools": python, "input": [earlier, {"role": "user", "content": "Say it."}]},
    }


def messages_uses(things: Things) -> dict[str, Json]:
    """Return Messages requests that would use what is Ann's."""
    ask = {"role": "user", "content": "Say it."}
    found: dict[str, Json] = {}
    for kind, id in things.ids.items():
        for type in ("document", "image"):
            block = {"type": type, "source": {"type": "file", "file_id": id}}
            found[f"{type} {kind}"] = {"messages": [{"role": "user", "content": [block]}]}
            call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
            result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
            turns = [ask, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
            found[f"result with {type} {kind}"] = {"messages": turns}
        found[f"container {kind}"] = {"messages": [ask], "container": id}
        found[f"thread {kind}"] = {"messages": [ask], "thread": {"id": id}}
    for number, signature in enumerate(things.signatures):
        for block in (
            {"type": "thinking", "thinking": "", "signature": signature},
            {"type": "redacted_thinking", "data": signature},
            {"type": "compaction", "content": signature},
        ):
            found[f"{block['type']} {number}"] = {"messages": [ask, {"role": "assistant", "content": [block]}, ask]}
            call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
            result = {"type": "tool_result", "tool_use_id": "t", "content": "Say it."}
            turns = [ask, {"role": "assistant", "content": [block, call]}, {"role": "user", "content": [result]}]
            found[f"{block['type']} before a call {number}"] = {"messages": turns}
    return found


async def turn(socket: WebSocket, fields: Json, event: str = "response.create") -> bytes:
    """Make a turn over a WebSocket; return all that came."""
    came = b""
    with suppress(Closed, TimeoutError):
        socket.send(frame(json.dumps({"type": event, **fields}).encode()))
        while True:
            message = await socket.receive(20)
            came += message
            kind = json.loads(message)["type"]
            if kind in TERMINAL or kind == "error" or kind.startswith("response.steer"):
                return came
    return came + b" (the connection was closed, or nothing came)"
