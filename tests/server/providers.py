"""A chat completions backend that says things for itself alone, as known providers do: a shape per provider, as data."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, NamedTuple

Json = dict[str, Any]

TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("read", "write")]


def call(id: str, name: str = "read", **extra: Any) -> Json:
    """Return a call as it comes whole."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": '{"path":"a"}'}, **extra}


class Shape(NamedTuple):
    """One provider's answer with calls: whole, in deltas, what of it must come back, and what the client sees of the thoughts."""

    message: Json
    deltas: list[Json]
    back: Json
    thoughts: str = ""


def signed(signature: str) -> Json:
    """Return a call's signature as Google has it."""
    return {"extra_content": {"google": {"thought_signature": signature}}}


def _details(*entries: Json) -> Json:
    return {"reasoning_details": list(entries)}


_CALL = call("call_1")
_DELTA = {"tool_calls": [{"index": 0, **_CALL}]}
_SIGNED = [call("g1", **signed("S1")), call("g2", "write")]
_THINKING = [
    {"type": "thinking", "thinking": "Look first.", "signature": "SIG"},
    {"type": "redacted_thinking", "data": "R=="},
]
_TEXT_DETAIL = {"type": "reasoning.text", "text": "Look first.", "format": "f", "index": 0, "signature": "SIG"}
_SUMMARY = {"type": "reasoning.summary", "summary": "Look first.", "format": "f", "index": 0}
_ENCRYPTED = {"type": "reasoning.encrypted", "data": "E==", "id": "rs_1", "format": "f", "index": 1}
_PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Look first."}]},
    {"type": "text", "text": "Well."},
]
_BOTH = {"google": {"thought_signature": "T", "seal": "U"}}
_LONG = "call_1__thought__" + "Q" * 300

SHAPES = {
    "a signature on the first of two calls": Shape(
        {"tool_calls": _SIGNED},
        [{"tool_calls": [_SIGNED[0]]}, {"tool_calls": [_SIGNED[1]]}],
        {"tool_calls": _SIGNED},
    ),
    "a signature on each call, behind thoughts": Shape(
        {"reasoning_content": "Look first.", "tool_calls": [call("g1", **signed("S1")), call("g2", **signed("S2"))]},
        [
            {"reasoning_content": "Look "},
            {"reasoning_content": "first."},
            {"tool_calls": [{"index": 0, **call("g1", **signed("S1"))}]},
            {"tool_calls": [{"index": 1, **call("g2", **signed("S2"))}]},
        ],
        {"tool_calls": [call("g1", **signed("S1")), call("g2", **signed("S2"))], "reasoning_content": "Look first."},
        "Look first.",
    ),
    "a signature on the text": Shape(
        {"content": "Well.", **signed("T"), "tool_calls": [_CALL]},
        [{"content": "We"}, {"content": "ll."}, {"content": "", **signed("T")}, _DELTA],
        {"content": "Well.", **signed("T"), "tool_calls": [_CALL]},
    ),
    "a signature before the text and a seal behind it": Shape(
        {"content": "Well.", "extra_content": _BOTH, "tool_calls": [_CALL]},
        [{"content": "", **signed("T")}, {"content": "Well."}, {"extra_content": {"google": {"seal": "U"}}}, _DELTA],
        {"content": "Well.", "extra_content": _BOTH, "tool_calls": [_CALL]},
    ),
    "flags of fragments are not sent back": Shape(
        {"extra_content": {"google": {"thought": True}}, "tool_calls": _SIGNED},
        [{"extra_content": {"google": {"thought": True}}}, {"tool_calls": _SIGNED}],
        {"extra_content": None, "tool_calls": _SIGNED},
    ),
    "LiteLLM's fields of a call": Shape(
        {"tool_calls": [call("call_1", provider_specific_fields={"thought_signature": "P"})]},
        [{"tool_calls": [{"index": 0, **call("call_1", provider_specific_fields={"thought_signature": "P"})}]}],
        {"tool_calls": [call("call_1", provider_specific_fields={"thought_signature": "P"})]},
    ),
    "a signature in the id": Shape(
        {"tool_calls": [call(_LONG)]},
        [{"tool_calls": [{"index": 0, **call(_LONG)}]}],
        {"tool_calls": [call(_LONG)]},
    ),
    "blocks of thoughts with signatures": Shape(
        {"reasoning_content": "Look first.", "thinking_blocks": _THINKING, "tool_calls": [_CALL]},
        [
            {"reasoning_content": "Look ", "thinking_blocks": [{"type": "thinking", "thinking": "Look "}]},
            {"reasoning_content": "first.", "thinking_blocks": [{"type": "thinking", "thinking": "first."}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "SIG"}]},
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "R=="}]},
            _DELTA,
        ],
        {"reasoning_content": "Look first.", "thinking_blocks": _THINKING, "tool_calls": [_CALL]},
        "Look first.",
    ),
    "blocks that are repeated with their signature": Shape(
        {"reasoning_content": "Look first.", "thinking_blocks": _THINKING[:1], "tool_calls": [_CALL]},
        [
            {"reasoning_content": "Look ", "thinking_blocks": [{"type": "thinking", "thinking": "Look "}]},
            {"reasoning_content": "first.", "thinking_blocks": [{"type": "thinking", "thinking": "first."}]},
            {"thinking_blocks": _THINKING[:1]},
            _DELTA,
        ],
        {"reasoning_content": "Look first.", "thinking_blocks": _THINKING[:1], "tool_calls": [_CALL]},
        "Look first.",
    ),
    "hidden blocks alone": Shape(
        {"thinking_blocks": _THINKING[1:], "tool_calls": [_CALL]},
        [{"thinking_blocks": _THINKING[1:]}, _DELTA],
        {"thinking_blocks": _THINKING[1:], "tool_calls": [_CALL]},
    ),
    "details beside thoughts": Shape(
        {"reasoning": "Look first.", **_details(_TEXT_DETAIL), "tool_calls": [_CALL]},
        [
            {"reasoning": "Look ", **_details({**_TEXT_DETAIL, "text": "Look ", "signature": None})},
            {"reasoning": "first.", **_details({**_TEXT_DETAIL, "text": "first.", "signature": None})},
            _details({"type": "reasoning.text", "signature": "SIG", "index": 0}),
            _DELTA,
        ],
        {"reasoning": "Look first.", **_details(_TEXT_DETAIL), "tool_calls": [_CALL]},
        "Look first.",
    ),
    "details alone, without an index": Shape(
        {**_details({"type": "reasoning.text", "text": "Look first."}), "tool_calls": [_CALL]},
        [
            _details({"type": "reasoning.text", "text": "Look "}),
            _details({"type": "reasoning.text", "text": "first."}),
            _DELTA,
        ],
        {**_details({"type": "reasoning.text", "text": "Look first."}), "reasoning_content": None},
        "Look first.",
    ),
    "a summary and an encrypted part with the call": Shape(
        {**_details(_SUMMARY, _ENCRYPTED), "tool_calls": [_CALL]},
        [
            _details({**_SUMMARY, "summary": "Look "}),
            _details({**_SUMMARY, "summary": "first."}),
            {**_details(_ENCRYPTED), **_DELTA},
        ],
        _details(_SUMMARY, _ENCRYPTED),
        "Look first.",
    ),
    "an encrypted part behind the call": Shape(
        {"reasoning": "Look first.", **_details(_ENCRYPTED), "tool_calls": [_CALL]},
        [{"reasoning": "Look first."}, _DELTA, _details(_ENCRYPTED)],
        {"reasoning": "Look first.", **_details(_ENCRYPTED), "tool_calls": [_CALL]},
        "Look first.",
    ),
    "Copilot's text and secret": Shape(
        {"reasoning_text": "Look first.", "reasoning_opaque": "O==", "tool_calls": [_CALL]},
        [{"reasoning_text": "Look "}, {"reasoning_text": "first."}, {"reasoning_opaque": "O=="}, _DELTA],
        {"reasoning_text": "Look first.", "reasoning_opaque": "O==", "reasoning_content": None},
        "Look first.",
    ),
    "thoughts among the parts of the content": Shape(
        {"content": _PARTS, "tool_calls": [_CALL]},
        [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Look "}]}]},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "first."}]}]},
            {"content": "Well."},
            _DELTA,
        ],
        {"content": _PARTS, "tool_calls": [_CALL], "reasoning_content": None},
        "Look first.",
    ),
    **{
        f"thoughts in {name}": Shape(
            {name: "Look first.", "tool_calls": [_CALL]},
            [{name: "Look "}, {name: "first."}, _DELTA],
            {name: "Look first.", **({} if name == "reasoning_content" else {"reasoning_content": None})},
            "Look first.",
        )
        for name in ("reasoning_content", "reasoning", "thinking")
    },
}


class Provider(BaseHTTPRequestHandler):
    """Answers a question with the calls of the shape that `model` names, all else with "Done."; keeps all requests."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": name, "object": "model"} for name in SHAPES]
        self._send(json.dumps({"object": "list", "data": models}).encode(), "application/json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        shape = SHAPES[request["model"]]
        calls = request["messages"][-1]["role"] == "user" and "tools" in request
        message = {"role": "assistant", "content": None, **shape.message} if calls else {"content": "Done."}
        deltas = shape.deltas if calls else [{"content": "Done."}]
        reason = "tool_calls" if calls else "stop"
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self._send(json.dumps({"choices": [choice]}).encode(), "application/json")
            return
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        self._send(body + b"data: [DONE]\n\n", "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def assistant(request: Json) -> Json:
    """Return the one message of the model's in a request."""
    (found,) = [message for message in request["messages"] if message["role"] == "assistant"]
    return found
