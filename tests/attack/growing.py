"""Inputs of a chosen size, one kind for each parser that sees what clients send."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.attack.target import ANN
from tests.attack.wire import CONTINUATION, PING, TEXT, frame, request


class Growing(NamedTuple):
    """A kind of input: `make(size)` gives the bytes of a request, or frames where `socket`. `size` is the smallest tried."""

    name: str
    size: int
    make: Callable[[int], bytes]
    socket: bool = False


def post(body: bytes, path: str = "/v1/responses", **headers: str) -> bytes:
    """Return a POST of Ann's."""
    return request("POST", path, body, tuple((name.replace("_", "-"), value) for name, value in headers.items()), ANN)


def _json(path: str = "/v1/responses", **fields: Any) -> bytes:
    return post(json.dumps({"model": "scripted", "input": "hi", **fields}).encode(), path)


def _nested(open: bytes, close: bytes, size: int, name: bytes = b"input") -> bytes:
    return post(b'{"model":"scripted","%b":%b%b}' % (name, open * size, close * size))


def _strict(schema: Any, answer: str = '{"a":1}') -> bytes:
    format = {"type": "json_schema", "name": "x", "strict": True, "schema": schema}
    return _json(input=answer, text={"format": format})


def _chain(size: int) -> Any:
    defs: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(size)}
    defs[f"d{size}"] = {"type": "integer"}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs}


def _wide(size: int) -> Any:
    return {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "x" * 20} for n in range(size)}}


def _deep(size: int) -> Any:
    schema: Any = {"type": "integer"}
    for _ in range(size):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


def _branching(size: int) -> Any:
    defs: dict[str, Any] = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(size)}
    defs[f"d{size}"] = {"type": "string"}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs}


def _patterns(size: int) -> Any:
    some = {f"p{n}": {"type": "string", "pattern": "^(a+)+$"} for n in range(size)}
    return {"type": "object", "properties": some, "patternProperties": {"^(x*)*y$": {}}}


def _tools(size: int, **more: Any) -> list[Any]:
    return [
        {"type": "function", "name": f"f{n}", "parameters": {"type": "object", "properties": {}}, **more}
        for n in range(size)
    ]


def _form(parts: bytes, boundary: str = "x") -> bytes:
    return post(parts, "/v1/files", content_type=f"multipart/form-data; boundary={boundary}")


def _part(head: bytes, body: bytes = b"a") -> bytes:
    return b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head, body)


_PURPOSE = _part(b'name="purpose"', b"user_data")


def _packed(body: bytes, coding: str) -> bytes:
    return post(body, content_encoding=coding)


def _zstd(body: bytes) -> bytes:
    from backports import zstd

    return zstd.compress(body)


def _ws(**fields: Any) -> bytes:
    return frame(json.dumps({"type": "response.create", "model": "scripted", "input": "hi", **fields}).encode())


def _image(size: int) -> list[Any]:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * size).decode()
    return [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]


def _file(data: bytes, name: str) -> list[Any]:
    part = {"type": "input_file", "filename": name, "file_data": base64.b64encode(data).decode()}
    return [{"role": "user", "content": [part]}]


def _calls(size: int) -> list[Any]:
    pairs: list[Any] = []
    for number in range(size):
        pairs.append({"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"})
    pairs += [{"type": "function_call_output", "call_id": f"c{number}", "output": "x"} for number in range(size)]
    return [*pairs, {"role": "user", "content": "hi"}]


def _grammar(definition: str, syntax: str = "lark") -> bytes:
    tool = {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": syntax, "definition": definition}}
    return _json(model="chat-llama_cpp", tools=[tool])


_ECHO = (
    "<think>",
    "</think>",
    "<",
    "<|",
    "<|channel|>",
    "<tool_call>",
    '{"name": "f", "arguments": {',
    "[TOOL_CALLS]",
    "`" * 3,
)

KINDS: tuple[Growing, ...] = (
    # packings
    Growing("gzip members", 20_000, lambda n: _packed(gzip.compress(b"") * n, "gzip")),
    Growing("gzip of empty gzips", 100_000, lambda n: _packed(gzip.compress(gzip.compress(b"") * n), "gzip, gzip")),
    Growing("zstd of empty gzips", 100_000, lambda n: _packed(_zstd(gzip.compress(b"") * n), "gzip, zstd")),
    Growing("zstd frames", 20_000, lambda n: _packed(_zstd(b"") * n, "zstd")),
    Growing("deflate of zeros", 4_000_000, lambda n: _packed(zlib.compress(b" " * n), "deflate")),
    # forms
    Growing("form, backslashes", 16, lambda n: _form(_PURPOSE + _part(b'name="%b' % (b"\\" * n)) + b"--x--\r\n")),
    Growing("form, quotes", 4000, lambda n: _form(_PURPOSE + _part(b'name="f"; filename="%b"' % (b'\\"' * n)) + b"--x--\r\n")),
    Growing("form, parts", 1000, lambda n: _form(_part(b'name="f"') * n + b"--x--\r\n")),
    Growing("form, nearly boundaries", 50_000, lambda n: _form(_part(b'name="file"; filename="a"', b"\r\n--" * n) + b"--x--\r\n")),
    Growing("form, parameters", 2000, lambda n: _form(_part(b"form-data; " + b"a=b; " * n) + b"--x--\r\n")),
    Growing("form, spaces", 5000, lambda n: _form(_part(b" " * n + b'name="a"') + b"--x--\r\n")),
    Growing("form, dashes", 200_000, lambda n: _form(b"-" * n)),
    # JSON
    Growing("arrays, deep", 20_000, lambda n: _nested(b"[", b"]", n)),
    Growing("objects, deep", 20_000, lambda n: _nested(b'{"a":', b"}", n, b"metadata")),
    Growing("tools, deep", 200, lambda n: _json(tools=[{"type": "function", "name": "f", "parameters": json.loads("[" * n + "]" * n)}])),
    Growing("unknown fields", 5000, lambda n: _json(**{f"x{k}": k for k in range(n)})),
    Growing("one field again and again", 20_000, lambda n: post(b'{"model":"scripted",' + b'"input":"a",' * n + b'"input":"b"}')),
    Growing("digits", 20_000, lambda n: post(b'{"model":"scripted","input":"a","seed":%b}' % (b"1" * n))),
    Growing("digits in a tool", 20_000, lambda n: post(
        b'{"model":"scripted","input":"a","tools":[{"type":"function","name":"f","parameters":{"required":"a","type":%b}}]}' % (b"1" * n))),
    Growing("escapes", 200_000, lambda n: post(b'{"model":"scripted","input":"%b"}' % (b"\\u00e9" * n))),
    Growing("text", 1_000_000, lambda n: _json(input="a" * n)),
    Growing("words", 100_000, lambda n: _json(model="chat-generic", input="a " * n)),
    Growing("commands of a script", 4000, lambda n: _json(model="chat-generic", input="/think\n" * n)),
    Growing("metadata", 1000, lambda n: _json(metadata={f"k{k}": "v" for k in range(n)})),
    Growing("include", 2000, lambda n: _json(include=["reasoning.encrypted_content"] * n)),
    # items and tools
    Growing("items", 2000, lambda n: _json(input=[{"role": "user", "content": "a"}] * n)),
    Growing("items for chat", 2000, lambda n: _json(model="chat-generic", input=[{"role": "user", "content": "a"}] * n)),
    Growing("parts", 2000, lambda n: _json(model="chat-generic", input=[{"role": "user", "content": [{"type": "input_text", "text": "a"}] * n}])),
    Growing("reasoning items", 2000, lambda n: _json(model="chat-vllm", input=[
        *[{"type": "reasoning", "id": f"rs_{k}", "summary": [{"type": "summary_text", "text": "a"}]} for k in range(n)],
        {"role": "user", "content": "a"}])),
    Growing("calls and outputs", 1000, lambda n: _json(model="chat-generic", input=_calls(n))),
    Growing("calls without outputs", 1000, lambda n: _json(model="chat-generic", input=_calls(n)[:n])),
    Growing("outputs without calls", 1000, lambda n: _json(model="chat-generic", input=_calls(n)[n:])),
    Growing("item references", 2000, lambda n: _json(input=[{"type": "item_reference", "id": f"msg_{k}"} for k in range(n)])),
    Growing("one item reference again", 2000, lambda n: _json(input=[{"type": "item_reference", "id": "msg_1"}] * n)),
    Growing("unknown items", 2000, lambda n: _json(input=[{"type": "x", "id": f"x{k}", "call_id": "c"} for k in range(n)])),
    Growing("tools", 1000, lambda n: _json(tools=_tools(n))),
    Growing("tools for chat", 1000, lambda n: _json(model="chat-generic", tools=_tools(n, strict=True))),
    Growing("one tool again and again", 1000, lambda n: _json(model="chat-generic", tools=[_tools(1)[0]] * n)),
    Growing("allowed tools", 400, lambda n: _json(tools=_tools(n), tool_choice={
        "type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": f"f{n - 1 - k}"} for k in range(n)]})),
    Growing("namespaces", 400, lambda n: _json(model="chat-generic", tools=[
        {"type": "namespace", "name": f"n{k}", "description": "d", "tools": _tools(3)} for k in range(n)])),
    Growing("long names of tools", 20_000, lambda n: _json(model="chat-generic", tools=[{"type": "function", "name": "f" * n, "parameters": {}}])),
    Growing("MCP lists", 1000, lambda n: _json(model="chat-generic", input=[{"type": "mcp_list_tools", "server_label": "a", "tools": [
        {"name": f"t{k}", "input_schema": {}} for k in range(n)]}, {"role": "user", "content": "a"}])),
    Growing("MCP approvals", 500, lambda n: _json(model="chat-generic", input=[
        *[{"type": "mcp_approval_request", "id": f"a{k}", "name": "t", "arguments": "{}", "server_label": "s"} for k in range(n)],
        *[{"type": "mcp_approval_response", "approval_request_id": f"a{k}", "approve": False} for k in range(n)]])),
    Growing("tool searches", 500, lambda n: _json(model="chat-generic", input=[
        *[{"type": "tool_search_output", "call_id": f"c{k}", "tools": _tools(2)} for k in range(n)], {"role": "user", "content": "a"}])),
    Growing("annotations", 2000, lambda n: _json(model="chat-generic", input=[{"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "http://a", "title": "t", "start_index": 0,
                                                              "end_index": 1}] * n}]}, {"role": "user", "content": "a"}])),
    Growing("conversation items", 500, lambda n: post(json.dumps(
        {"items": [{"type": "message", "role": "user", "content": "a"}] * n}).encode(), "/v1/conversations")),
    Growing("compaction", 1000, lambda n: _json("/v1/responses/compact", model="chat-generic", input=_calls(n))),
    Growing("input tokens", 1000, lambda n: _json("/v1/responses/input_tokens", model="chat-generic", input=_calls(n))),
    Growing("prompt variables", 500, lambda n: _json(prompt={"id": "p", "variables": {f"v{k}": "{{v}}" for k in range(n)}})),
    Growing("chat messages", 5000, lambda n: post(json.dumps(
        {"model": "chat-generic", "messages": [{"role": "user", "content": "a"}] * n}).encode(), "/v1/chat/completions")),
    # schemas and grammars
    Growing("schema, chain of references", 1000, lambda n: _strict(_chain(n))),
    Growing("schema, wide", 1000, lambda n: _strict(_wide(n))),
    Growing("schema, deep", 50, lambda n: _strict(_deep(n))),
    Growing("schema, branching", 5, lambda n: _strict(_branching(n))),
    Growing("schema, patterns", 100, lambda n: _strict(_patterns(n), json.dumps({f"p{k}": "a" * 40 + "b" for k in range(n)}))),
    Growing("schema, enum", 5000, lambda n: _strict({"type": "object", "properties": {"a": {"enum": [f"v{k}" for k in range(n)]}}})),
    Growing("schema, unique items", 500, lambda n: _strict(
        {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}, json.dumps({"a": [{"k": k} for k in range(n)]}))),
    Growing("schema, contains", 500, lambda n: _strict(
        {"type": "object", "properties": {"a": {"type": "array", "contains": {"allOf": [{"type": "string"}] * n}}}},
        json.dumps({"a": list(range(n))}))),
    Growing("schema for llama.cpp", 500, lambda n: _json(model="chat-llama_cpp", text={"format": {
        "type": "json_schema", "name": "x", "schema": _wide(n)}})),
    Growing("tool schemas for chat", 50, lambda n: _json(model="chat-generic", tools=[
        {"type": "function", "name": "f", "strict": True, "parameters": _deep(n)}])),
    Growing("grammar, brackets", 500, lambda n: _grammar("start: " + "(" * n + '"a"' + ")" * n)),
    Growing("grammar, rules", 200, lambda n: _grammar("start: r0\n" + "\n".join(f'r{k}: "a" r{k + 1}' for k in range(n)) + f'\nr{n}: "b"')),
    Growing("grammar, alternatives", 500, lambda n: _grammar("start: " + " | ".join(f'"a{k}"' for k in range(n)))),
    Growing("grammar, repetitions", 50, lambda n: _grammar(f'start: "a"~1..{n}')),
    Growing("grammar, nullable", 8, lambda n: _grammar("start: a\n" + "\n".join("abcdefghijklmnopqrstuvwxyzabcdefghij"[k] * (k // 26 + 1) + ": " +
        " ".join(["(" + "abcdefghijklmnopqrstuvwxyzabcdefghij"[k + 1] * ((k + 1) // 26 + 1) + ")?"] * 3) for k in range(n)) +
        "\n" + "abcdefghijklmnopqrstuvwxyzabcdefghij"[n] * (n // 26 + 1) + ': "x"')),
    Growing("grammar, regex", 500, lambda n: _grammar("(a|b)*" * n, "regex")),
    Growing("grammar, regex brackets", 500, lambda n: _grammar("(" * n + "a" + ")" * n, "regex")),
    Growing("grammar, imports", 200, lambda n: _grammar("%import common.WORD\n" * n + "start: WORD")),
    # media and files
    Growing("image", 1_000_000, lambda n: _json(model="chat-generic", input=_image(n))),
    Growing("text file", 500_000, lambda n: _json(model="chat-generic", input=_file(b"a " * (n // 2), "a.txt"))),
    Growing("lines of a file", 200_000, lambda n: _json(model="chat-generic", input=_file(b"\r\n" * (n // 2), "a.csv"))),
    Growing("data URL", 200_000, lambda n: _json(model="chat-generic", input=[{"role": "user", "content": [
        {"type": "input_image", "image_url": "data:" + ";a=b" * (n // 4) + ",x"}]}])),
    Growing("URL", 100_000, lambda n: _json(model="chat-generic", input=[{"role": "user", "content": [
        {"type": "input_image", "image_url": "http://127.0.0.1/" + "%61" * (n // 3)}]}])),
    Growing("host of a URL", 20_000, lambda n: _json(model="chat-generic", input=[{"role": "user", "content": [
        {"type": "input_image", "image_url": "http://" + "a." * n + "/"}]}])),
    # HTTP
    Growing("path", 15_000, lambda n: request("GET", "/v1/models/" + "a" * n, None, (), ANN)),
    Growing("slashes of a path", 15_000, lambda n: request("GET", "/v1/models/" + "/" * n, None, (), ANN)),
    Growing("percents of a path", 5000, lambda n: request("GET", "/v1/models/" + "%25" * n, None, (), ANN)),
    Growing("query", 7000, lambda n: request("GET", "/v1/files?" + "a&" * n, None, (), ANN)),
    Growing("headers", 1000, lambda n: request("GET", "/v1/models", None, (("a", "b"),) * n, ANN)),
    Growing("content type", 7000, lambda n: post(b"{}", content_type="application/json" + "; a=b" * (n // 5))),
    Growing("content encodings", 7000, lambda n: post(b"{}", content_encoding="gzip, " * (n // 6) + "gzip")),
    Growing("authorization", 15_000, lambda n: request("GET", "/v1/models", None, (("authorization", "Bearer " + "a." * (n // 2)),))),
    Growing("chunks", 20_000, lambda n: request("POST", "/v1/responses", b"", (), ANN).replace(
        b"content-length: 0", b"transfer-encoding: chunked") + b"1\r\n \r\n" * n + b"0\r\n\r\n"),
    # what a model says
    *(Growing(f"a model says {text}", 60_000 // len(text), lambda n, text=text: _json(model="echo", input=text * n)) for text in _ECHO),
    Growing("a model says words", 50_000, lambda n: _json(model="echo", input="a " * n, stream=True)),
    # WebSocket
    Growing("message", 1_000_000, lambda n: _ws(input="a" * n), True),
    Growing("fragments", 20_000, lambda n: frame(b"", TEXT, fin=False) + frame(b" ", CONTINUATION, fin=False) * n + frame(b"x", CONTINUATION), True),
    Growing("pings", 20_000, lambda n: frame(b"p" * 100, PING) * n + frame(b"x"), True),
    Growing("messages", 2000, lambda n: frame(b"{}") * (n - 1) + frame(b"x"), True),
    Growing("deep message", 100_000, lambda n: frame(b'{"type":"response.create","input":' + b"[" * n), True),
    Growing("lanes", 300, lambda n: b"".join(_ws(stream_id=f"l{k}", input="") for k in range(n)) + frame(b"x"), True),
)  # fmt: skip
