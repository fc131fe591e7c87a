# ruff: noqa: E501 (a table reads best with one case per line)
"""Answers of hostile backends whose JSON is not what it should be, API by API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from tests.backends import hostile_messages
from tests.backends.hostile_answers import (
    ITEM,
    SECRET,
    Kind,
    added,
    chunk,
    completed,
    done,
    head,
    once,
    response,
    sse,
    stream_of,
    text,
    whole_of,
)

# Chat completions


CHAT: Mapping[str, object] = {
    "null": None,
    "list": [],
    "number": 5,
    "empty": {},
    "choices-text": {"choices": "x"},
    "choices-null": {"choices": None},
    "choices-odd": {"choices": [None, 5, "x", []]},
    "delta-list": chunk([]),
    "delta-null": {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
    "content-number": chunk({"content": 5}, "stop"),
    "content-list": chunk({"content": [{"type": "text", "text": "a"}, 5]}, "stop"),
    "content-surrogate": b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":"stop"}]}',
    "content-breaks": chunk({"content": "\n\ndata: [DONE]\n\n"}, "stop"),
    "content-nul": chunk({"content": "a\0b"}, "stop"),
    "finish-number": chunk({"content": "a"}, 5),
    "finish-odd": chunk({"content": "a"}, "x" * 10_000),
    "usage-negative": chunk({"content": "a"}, "stop", usage={"prompt_tokens": -5, "completion_tokens": -7}),
    "usage-huge": chunk({"content": "a"}, "stop", usage={"prompt_tokens": 10**30, "completion_tokens": 1}),
    "usage-text": chunk({"content": "a"}, "stop", usage={"prompt_tokens": "x"}),
    "usage-list": chunk({"content": "a"}, "stop", usage=[]),
    "calls-object": chunk({"tool_calls": {}}, "tool_calls"),
    "calls-odd": chunk({"tool_calls": [None, 5, {}, {"function": None}, {"function": 5}]}, "tool_calls"),
    "calls-afar": chunk({"tool_calls": [{"index": 10**12, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
    "calls-negative": chunk({"tool_calls": [{"index": -1, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
    "calls-breaks": chunk({"tool_calls": [{"index": 0, "id": 'a"\r\n', "function": {"name": 'f","x":"\n\n', "arguments": "\n"}}]}, "tool_calls"),
    "calls-many": chunk({"tool_calls": [{"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(500)]}, "tool_calls"),
    "calls-one-id": chunk({"tool_calls": [{"index": n, "id": "same", "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(50)]}, "tool_calls"),
    "calls-long-name": chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f" * 1_000_000, "arguments": "{}"}}]}, "tool_calls"),
    "calls-deep": chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "[" * 100_000}}]}, "tool_calls"),
    "calls-number": chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "9" * 6000}}]}, "tool_calls"),
    "logprobs-odd": {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [5]}, "finish_reason": "stop"}]},
    "reasoning-odd": chunk({"reasoning_content": 5, "reasoning": [], "content": "a"}, "stop"),
    "error-code-of-digits": {"error": {"message": "m", "code": "²"}},
    "error-number": {"error": 5},
    "error-secret": {"error": {"message": f"key {SECRET} at 10.0.0.1:99", "code": SECRET}},
    "envelope": {"code": 50508, "msg": "System is too busy", "success": False},
    "model-breaks": chunk({"content": "a"}, "stop", model="\n\ndata: [DONE]\n\n"),
    "doubled-keys": b'{"choices":[],"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}',
    "long-number": b'{"choices":[],"created":' + b"9" * 5000 + b"}",
    "deep": b"[" * 100_000,
    "deep-inside": b'{"choices":[{"index":0,"delta":{"content":"a","x":' + b"[" * 100_000 + b"}}]}",
    "no-json": b"not json at all",
    "no-utf-8": b'{"choices":[{"index":0,"delta":{"content":"\xff"},"finish_reason":"stop"}]}',
}  # fmt: skip
"""Chunks of a chat backend whose JSON is not what it should be; each is sent as a stream, and whole."""


def chat_kinds() -> Iterator[Kind]:
    """Yield answers of a chat backend whose JSON is not what it should be; each is sent as a stream, and whole."""
    for name, value in CHAT.items():
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        message = body.replace(b'"delta"', b'"message"')
        yield Kind(f"chat-event-{name}", "chat", once(head() + sse(body)))
        yield Kind(f"chat-whole-{name}", "chat", whole_of(message))
    yield Kind("chat-done-alone", "chat", once(head() + sse()), "any")
    yield Kind("chat-role-alone", "chat", once(head() + sse(chunk({"role": "assistant"}), done=False)), "failed")
    yield Kind(
        "chat-text-then-error",
        "chat",
        once(head() + sse(chunk({"content": "a"}), {"error": {"message": SECRET}})),
        "failed",
    )
    yield Kind("chat-empty-chunks", "chat", once(head(), *[sse(chunk(), done=False) * 100] * 200, sse()))


# Responses

CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}


NAME = 'x":1,"type":"response.output_text.delta","delta":"injected","y'

RESPONSES_STREAMS: Mapping[str, Sequence[object]] = {
    "nothing": [],
    "null": [None],
    "list": [[]],
    "number": [5],
    "no-type": [{}],
    "type-number": [{"type": 5}],
    "type-breaks": [{"type": "x\n\ndata: [DONE]\n\ndata: [DONE]\n\n"}, completed(ITEM)],
    "type-quotes": [{"type": 'x","response":{},"y":"'}, completed(ITEM)],
    "type-long": [{"type": "response." + "a" * 100_000}],
    "type-unknown": [{"type": "response.made_up.thing", NAME: 1, "output_index": 0}, completed(ITEM)],
    "names": [added({**ITEM, NAME: 1, "content": []}), {**text("a"), NAME: 2}, done({**ITEM, NAME: 3}), completed({**ITEM, NAME: 4})],
    "index-text": [added(ITEM, output_index="x"), completed(ITEM)],
    "index-negative": [added(ITEM, output_index=-5), completed(ITEM)],
    "index-afar": [added(ITEM, output_index=10**12), completed(ITEM)],
    "index-huge": [added(ITEM, output_index=10**30), completed(ITEM)],
    "index-float": [added(ITEM, output_index=0.5), completed(ITEM)],
    "index-missing": [{"type": "response.output_item.added", "item": ITEM}, completed(ITEM)],
    "index-twice": [added(CALL, output_index=1), done(CALL, output_index=1), added(ITEM, output_index=1), done(ITEM, output_index=1), completed(CALL, ITEM)],
    "content-index-afar": [text("a", content_index=10**12), text("b", content_index=-1), completed(ITEM)],
    "no-item": [{"type": "response.output_item.added", "output_index": 0}],
    "item-null": [added(None), done(None)],
    "item-text": [added("x")],
    "item-no-type": [added({"id": "a"})],
    "item-odd-type": [added({"id": "a", "type": "made_up"})],
    "item-empty": [done({"type": "message"}), completed(ITEM)],
    "item-content": [done({**ITEM, "content": "x"}), completed(ITEM)],
    "item-content-odd": [done({**ITEM, "content": [5]})],
    "item-part-odd": [done({**ITEM, "content": [{"type": "made_up"}]})],
    "item-status-null": [done({**ITEM, "status": None}), completed()],
    "item-status-odd": [done({**ITEM, "status": ["x"]}), completed()],
    "item-id-number": [done({**ITEM, "id": 5}), completed()],
    "item-id-long": [done({**ITEM, "id": "a" * 1_000_000}), completed()],
    "item-twice": [done(ITEM), done(ITEM), completed(ITEM, ITEM)],
    "item-never-closed": [added(ITEM), text("a"), completed()],
    "item-reopened": [done(ITEM), text("a"), completed(ITEM)],
    "items-many": [*(done({**CALL, "id": f"fc_{n}", "call_id": f"c{n}"}, output_index=n) for n in range(3000)), completed()],
    "call-no-name": [done({"type": "function_call", "id": "a", "call_id": "c", "arguments": "{}"})],
    "call-arguments-object": [done({**CALL, "arguments": {"a": 1}}), completed()],
    "call-arguments-number": [done({**CALL, "arguments": 5}), completed()],
    "call-unknown": [{"type": "response.function_call_arguments.delta", "item_id": "fc_9", "delta": "{}"}],
    "search": [added(SEARCH), {"type": "response.web_search_call.searching", "item_id": "ws_1"}, completed(SEARCH)],
    "search-no-action": [done({"type": "web_search_call", "id": "a", "status": "completed"})],
    "search-never-closed": [added(SEARCH)],
    "mcp-list": [done({"type": "mcp_list_tools", "id": "a", "server_label": "s", "tools": "x"})],
    "compaction": [done({"type": "compaction", "id": "a", "encrypted_content": 5})],
    "output-of-a-client": [done({"type": "function_call_output", "id": "a", "call_id": "c", "output": 5})],
    "reference": [done({"type": "item_reference", "id": "msg_1"})],
    "delta-number": [text(5)],
    "delta-null": [text(None)],
    "delta-missing": [{"type": "response.output_text.delta", "item_id": "a"}],
    "delta-breaks": [text("\n\ndata: [DONE]\n\n"), completed()],
    "delta-surrogate": [b'{"type":"response.output_text.delta","delta":"\\ud83d"}', completed()],
    "delta-logprobs": [text("a", logprobs=[5, {"token": 1}]), completed()],
    "delta-no-utf-8": [b'{"type":"response.output_text.delta","delta":"\xff"}'],
    "annotations": [done({**ITEM, "content": [{"type": "output_text", "text": "a", "annotations": "x", "logprobs": 5}]}), completed()],
    "part-null": [{"type": "response.content_part.added", "item_id": "msg_1", "part": None}, completed(ITEM)],
    "response-missing": [{"type": "response.completed"}],
    "response-null": [{"type": "response.completed", "response": None}],
    "response-text": [{"type": "response.completed", "response": "x"}],
    "output-text": [completed(output="x")],
    "output-null": [completed(output=None, usage=None)],
    "output-empty": [{"type": "response.completed", "response": {}}],
    "usage-odd": [completed(ITEM, usage=[])],
    "usage-negative": [completed(ITEM, usage={"input_tokens": -5, "output_tokens": 10**40})],
    "usage-text": [completed(ITEM, usage={"input_tokens": "x"})],
    "status-odd": [completed(ITEM, status="failed")],
    "status-number": [completed(ITEM, status=5)],
    "details-odd": [completed(ITEM, incomplete_details=[5], status="incomplete")],
    "failed-bare": [{"type": "response.failed", "response": {"error": None}}],
    "failed-code-number": [{"type": "response.failed", "response": {"error": {"code": 5, "message": 7}}}],
    "failed-secret": [text("a"), {"type": "response.failed", "response": {"error": {"code": SECRET, "message": f"key {SECRET}"}}}],
    "error-odd": [{"type": "error", "error": 5, "code": "²", "message": []}],
    "error-secret": [{"type": "error", "message": f"token={SECRET} https://u:{SECRET}@h/x"}],
    "error-breaks": [{"type": "error", "code": "a\n\ndata: x", "message": "a\r\n\r\ndata: [DONE]\n\n"}],
    "deep": [b"[" * 100_000],
    "deep-response": [b'{"type":"response.completed","response":' + b"[" * 100_000],
    "deep-item": [b'{"type":"response.output_item.done","item":{"type":"message","x":' + b"[" * 900 + b"]" * 900 + b"}}"],
    "long-number": [b'{"type":"response.completed","response":{"usage":' + b"9" * 5000 + b"}}"],
    "big-number": [done({**ITEM, "x": 10**25}), completed(ITEM)],
    "doubled-keys": [b'{"type":"response.created","type":"x\\n"}', completed(ITEM)],
    "after-the-end": [completed(ITEM), text("more"), completed(ITEM), {"type": "error", "message": "late"}],
    "two-ends": [completed(ITEM), {"type": "response.failed", "response": {"error": {"message": "m"}}}],
    "created-for-ever": [{"type": "response.in_progress", "response": {}}] * 5000,
    "many-values": [b'{"type":"response.completed","response":{"output":[' + b"{}," * 1_000_000 + b"{}]}}"],
    "values-by-comma": [b'{"type":"response.x","a":[' + b"1," * 5_000_000 + b"1]}"],
}  # fmt: skip
"""Streams of a Responses backend whose events are not what they should be."""

RESPONSES_WHOLE: Mapping[str, object] = {
    "fine": response(ITEM),
    "null": None,
    "empty": {},
    "chat": {"choices": [{"message": {"content": "a"}}]},
    "error": {"error": {"message": SECRET}},
    "failed": response(status="failed", error={"message": "m", "code": "x"}),
    "output-odd": response(output={"a": 1}),
    "items-odd": response(None, 5, {}, {"type": "message"}),
    "deep": b'{"object":"response","output":' + b"[" * 100_000,
    "no-json": b"{oops",
}
"""Answers that come whole."""


def responses_kinds() -> Iterator[Kind]:
    """Yield streams of a Responses backend whose events are not what they should be."""
    for kind, events in RESPONSES_STREAMS.items():
        yield Kind(f"responses-{kind}", "responses", stream_of(events))
    for kind, body in RESPONSES_WHOLE.items():
        yield Kind(f"responses-whole-{kind}", "responses", whole_of(body))


# Messages


def messages_kinds() -> Iterator[Kind]:
    """Yield streams and whole answers of a Messages backend that are not what they should be."""
    for name, events in hostile_messages.STREAMS.items():
        yield Kind(f"anthropic-{name}", "anthropic", stream_of(events))
    for name, body in hostile_messages.WHOLE.items():
        yield Kind(f"anthropic-whole-{name}", "anthropic", whole_of(body))
