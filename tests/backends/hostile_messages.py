# ruff: noqa: E501 (a table reads best with one case per line)
"""What a broken or hostile backend of the Messages API may send: events that are not what they should be, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
SECRET = "operators-own-secret-4711"
USAGE = {"input_tokens": 1, "output_tokens": 3}


def start(**fields: Any) -> Json:
    return {
        "type": "message_start",
        "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": USAGE, **fields},
    }


def opened(block: object, index: object = 0) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: object = 0, **delta: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def said(text: object = "a", index: object = 0) -> Json:
    return piece(index, type="text_delta", text=text)


def closed(index: object = 0) -> Json:
    return {"type": "content_block_stop", "index": index}


def ended(reason: object = "end_turn", usage: object = None, **delta: Any) -> list[Json]:
    counts = USAGE if usage is None else usage
    return [
        {"type": "message_delta", "delta": {"stop_reason": reason, **delta}, "usage": counts},
        {"type": "message_stop"},
    ]


TEXT = {"type": "text", "text": ""}
THOUGHTS = {"type": "thinking", "thinking": "", "signature": ""}
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
FINE = [start(), opened(TEXT), said("All is well."), closed(), *ended()]


STREAMS: Mapping[str, Sequence[Any]] = {
    "nothing": [],
    "null": [None],
    "list": [[]],
    "number": [5],
    "no-type": [{}],
    "type-number": [{"type": 5}],
    "type-breaks": [start(), {"type": "x\n\ndata: [DONE]\n\n"}, *FINE[1:]],
    "type-long": [{"type": "a" * 100_000}, *FINE],
    "start-null": [{"type": "message_start", "message": None}, *FINE[1:]],
    "start-text": [{"type": "message_start", "message": "x"}],
    "start-twice": [start(), start(), *FINE[1:]],
    "start-alone": [start()],
    "start-missing": FINE[1:],
    "stop-alone": [{"type": "message_stop"}],
    "stop-first": [{"type": "message_stop"}, *FINE],
    "after-the-end": [*FINE, said("more"), {"type": "error", "error": {"message": "late"}}],
    "block-null": [start(), opened(None), said(), closed(), *ended()],
    "block-text": [start(), opened("x"), said(), closed(), *ended()],
    "block-odd-type": [start(), opened({"type": "made_up", "x": [1]}), said(), closed(), *ended()],
    "block-twice": [start(), opened(TEXT), opened(TEXT), said(), closed(), closed(), *ended()],
    "block-never-opened": [start(), said(), said("b", 5), *ended()],
    "block-never-closed": [start(), opened(TEXT), said(), opened(CALL, 1), *ended("tool_use")],
    "blocks-many": [start(), *(event for n in range(3000) for event in (opened(TEXT, n), closed(n))), *ended()],
    "blocks-open": [start(), *(opened(TEXT, n) for n in range(3000)), *ended()],
    "index-text": [start(), opened(TEXT, "x"), said("a", "x"), *ended()],
    "index-negative": [start(), opened(TEXT, -5), said("a", -5), *ended()],
    "index-afar": [start(), opened(TEXT, 10**12), said("a", 10**12), *ended()],
    "index-huge": [start(), opened(TEXT, 10**30), said("a", 10**30), *ended()],
    "index-float": [start(), opened(TEXT, 0.5), said("a", 0.5), *ended()],
    "index-null": [start(), opened(TEXT, None), said("a", None), *ended()],
    "delta-null": [start(), opened(TEXT), {"type": "content_block_delta", "index": 0, "delta": None}, *ended()],
    "delta-list": [start(), opened(TEXT), {"type": "content_block_delta", "index": 0, "delta": []}, *ended()],
    "delta-number": [start(), opened(TEXT), said(5), *ended()],
    "delta-of-another-kind": [start(), opened(TEXT), piece(thinking="a"), piece(partial_json="{}"), piece(signature="s"), *ended()],
    "delta-breaks": [start(), opened(TEXT), said("\n\ndata: [DONE]\n\n"), *ended()],
    "delta-nul": [start(), opened(TEXT), said("a\0b"), *ended()],
    "delta-surrogate": [start(), opened(TEXT), b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}', *ended()],
    "delta-no-utf-8": [start(), b'{"type":"content_block_delta","index":0,"delta":{"text":"\xff"}}', *ended()],
    "thoughts-alone": [start(), opened(THOUGHTS), piece(thinking="a"), piece(signature="s"), closed(), *ended()],
    "signature-number": [start(), opened(THOUGHTS), piece(signature=5), closed(), *ended()],
    "signature-large": [start(), opened(THOUGHTS), *[piece(signature="s" * 100_000)] * 80, closed(), *ended()],
    "signatures-many": [start(), opened(THOUGHTS), *[piece(signature="s")] * 5000, closed(), *ended()],
    "redacted-odd": [start(), opened({"type": "redacted_thinking", "data": 5}), closed(), *ended()],
    "redacted-deep": [start(), b'{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":' + b"[" * 900 + b"]" * 900 + b"}}", closed(), *ended()],
    "call-no-name": [start(), opened({"type": "tool_use", "id": "a"}), piece(partial_json="{}"), closed(), *ended("tool_use")],
    "call-no-id": [start(), opened({"type": "tool_use", "name": "f"}), piece(partial_json="{}"), closed(), *ended("tool_use")],
    "call-odd": [start(), opened({"type": "tool_use", "id": 5, "name": [], "input": 7}), closed(), *ended("tool_use")],
    "call-breaks": [start(), opened({**CALL, "id": 'a"\r\n', "name": 'f","x":"\n\n'}), piece(partial_json="\n"), closed(), *ended("tool_use")],
    "call-long-name": [start(), opened({**CALL, "name": "f" * 1_000_000}), closed(), *ended("tool_use")],
    "call-deep": [start(), opened(CALL), piece(partial_json="[" * 100_000), closed(), *ended("tool_use")],
    "call-number": [start(), opened(CALL), piece(partial_json="9" * 6000), closed(), *ended("tool_use")],
    "call-never-begun": [start(), piece(partial_json="{}"), *ended("tool_use")],
    "call-announced": [start(), *ended("tool_use")],
    "calls-one-id": [start(), *(event for n in range(50) for event in (opened(CALL, n), closed(n))), *ended("tool_use")],
    "calls-many": [start(), *(event for n in range(600) for event in (opened(CALL, n), closed(n))), *ended("tool_use")],
    "citation-odd": [start(), opened(TEXT), said(), piece(citation=5), piece(citation={"url": 7}), piece(citation={"url": "x" * 100_000}), *ended()],
    "citations-many": [start(), opened(TEXT), said(), *(piece(citation={"url": f"https://h/{n}"}) for n in range(3000)), closed(), *ended()],
    "reason-number": [start(), opened(TEXT), said(), *ended(5)],
    "reason-null": [start(), opened(TEXT), said(), *ended(None)],
    "reason-long": [start(), opened(TEXT), said(), *ended("x" * 10_000)],
    "details-odd": [start(), *ended("refusal", stop_details=[5])],
    "details-deep": [start(), b'{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":' + b"[" * 900 + b"]" * 900 + b"}}", {"type": "message_stop"}],
    "usage-list": [start(usage=[]), opened(TEXT), said(), *ended(usage=[])],
    "usage-negative": [start(usage={"input_tokens": -5}), opened(TEXT), said(), *ended(usage={"output_tokens": -7})],
    "usage-huge": [start(usage={"input_tokens": 10**30}), opened(TEXT), said(), *ended(usage={"output_tokens": 10**18})],
    "usage-text": [start(usage={"input_tokens": "x"}), opened(TEXT), said(), *ended(usage={"output_tokens": "7"})],
    "usage-odd-names": [start(usage={f"{n}_tokens": n for n in range(5000)}), opened(TEXT), said(), *ended()],
    "pings-for-ever": [start(), *[{"type": "ping"}] * 5000, *FINE[1:]],
    "pauses-for-ever": [start(), opened(TEXT), said(), closed(), *ended("pause_turn")],
    "error-odd": [start(), {"type": "error", "error": 5}],
    "error-list": [start(), {"type": "error", "error": []}],
    "error-secret": [start(), opened(TEXT), said(), {"type": "error", "error": {"type": SECRET, "message": f"key {SECRET} at https://u:{SECRET}@h/x"}}],
    "error-breaks": [start(), {"type": "error", "error": {"type": "a\n\ndata: x", "message": "a\r\n\r\ndata: [DONE]\n\n"}}],
    "chat": [{"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]}],
    "done-alone": [b"[DONE]"],
    "deep": [b"[" * 100_000],
    "deep-inside": [b'{"type":"content_block_start","index":0,"content_block":' + b"[" * 100_000],
    "long-number": [b'{"type":"message_start","message":{"usage":{"input_tokens":' + b"9" * 5000 + b"}}}", *FINE[1:]],
    "doubled-keys": [b'{"type":"ping","type":"message_stop"}', *FINE],
    "many-values": [b'{"type":"ping","a":[' + b"{}," * 1_000_000 + b"{}]}"],
    "values-by-comma": [b'{"type":"ping","a":[' + b"1," * 1_500_000 + b"1]}"],
}  # fmt: skip
"""Streams by name; SECRET must come back in none."""

ANSWER: Json = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "a"}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}
WHOLE: Mapping[str, object] = {
    "fine": ANSWER,
    "null": None,
    "empty": {},
    "no-end": {**ANSWER, "stop_reason": None},
    "content-null": {**ANSWER, "content": None},
    "content-odd": {**ANSWER, "content": [None, 5, {}, [], {"type": "tool_use"}]},
    "content-text": {**ANSWER, "content": "a"},
    "content-many": {**ANSWER, "content": [{"type": "text", "text": "a"}] * 3000},
    "call": {**ANSWER, "content": [{**CALL, "input": [1]}], "stop_reason": "tool_use"},
    "citations-odd": {**ANSWER, "content": [{"type": "text", "text": "a", "citations": [5, {"url": 5}]}]},
    "chat": {"choices": [{"message": {"content": "a"}}]},
    "error": {"type": "error", "error": {"type": "api_error", "message": SECRET}},
    "error-bare": {"error": {"message": SECRET}},
    "deep": b'{"type":"message","content":' + b"[" * 100_000,
    "no-json": b"{oops",
}  # fmt: skip
"""Answers that come whole."""
