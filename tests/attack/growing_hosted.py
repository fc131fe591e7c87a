# ruff: noqa: E501 (a table reads best with one case per line)
"""Inputs of a chosen size for what came after the Responses API: Messages, vector stores, hosted tools."""

from __future__ import annotations

import json
from typing import Any

from tests.attack.growing import Growing, post

USER = {"role": "user", "content": "a"}
TEXT = {"type": "text", "text": "a"}


def _messages(path: str = "/v1/messages", **fields: Any) -> bytes:
    body = {"model": "chat-generic", "max_tokens": 5000, "messages": [USER], **fields}
    return post(json.dumps(body).encode(), path)


def _blocks(*blocks: Any) -> list[Any]:
    return [{"role": "user", "content": list(blocks)}]


def _said(*blocks: Any) -> list[Any]:
    return [USER, {"role": "assistant", "content": list(blocks)}, USER]


def _calls(size: int) -> list[Any]:
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n in range(size)]
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "x"} for n in range(size)]
    return [USER, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]


def _tools(size: int, **more: Any) -> list[Any]:
    return [{"name": f"f{n}", "input_schema": {"type": "object"}, **more} for n in range(size)]


def _filter(depth: int) -> Any:
    found: Any = {"type": "eq", "key": "a", "value": "x" * 2000}
    for _ in range(depth):
        found = {"type": "and", "filters": [found]}
    return found


def _searched(**fields: Any) -> bytes:
    return post(json.dumps({"query": "a", **fields}).encode(), "/v1/vector_stores/vs_0/search")


def _hosted(*tools: Any, **fields: Any) -> bytes:
    return post(
        json.dumps({"model": "restless", "input": "a", "tools": list(tools), **fields}).encode(), "/v1/responses"
    )


KINDS: tuple[Growing, ...] = (
    Growing("messages of a user in a row", 5000, lambda n: _messages(messages=[USER] * n)),
    Growing("messages in turns", 1000, lambda n: _messages(messages=[USER, {"role": "assistant", "content": "b"}] * n + [USER])),
    Growing("content blocks", 5000, lambda n: _messages(messages=_blocks(*[TEXT] * n))),
    Growing("system blocks", 5000, lambda n: _messages(system=[TEXT] * n)),
    Growing("calls and results of messages", 800, lambda n: _messages(messages=_calls(n))),
    Growing("tools of messages", 500, lambda n: _messages(tools=_tools(n))),
    Growing("deferred tools", 500, lambda n: _messages(tools=_tools(n, defer_loading=True), messages=_blocks(
        *({"type": "tool_reference", "tool_name": f"f{k}"} for k in range(n)), TEXT))),
    Growing("thoughts with signatures", 1500, lambda n: _messages(messages=_said(*[{"type": "thinking", "thinking": "a", "signature": "s"}] * n))),
    Growing("thoughts with seals", 1500, lambda n: _messages(messages=_said(*[{"type": "redacted_thinking", "data": "ANT2.AAAA"}] * n))),
    Growing("a long seal", 200_000, lambda n: _messages(messages=_said({"type": "redacted_thinking", "data": "ANT2." + "A" * n}))),
    Growing("a document in a message", 500_000, lambda n: _messages(messages=_blocks({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a " * (n // 2)}}))),
    Growing("an image in a message", 500_000, lambda n: _messages(messages=_blocks({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA" * (n // 4)}}))),
    Growing("stop sequences", 16, lambda n: _messages(stop_sequences=["a" * 100 + str(k) for k in range(n)])),
    Growing("a text with stop sequences", 50_000, lambda n: _messages(model="echo", stop_sequences=["a" * 4000 + "b"], messages=_blocks({"type": "text", "text": "a" * n}))),
    Growing("tokens of messages", 1000, lambda n: _messages("/v1/messages/count_tokens", messages=_calls(n))),
    Growing("unknown fields of messages", 10_000, lambda n: _messages(**{f"f{k}": 1 for k in range(n)})),
    Growing("messages that are passed on", 5000, lambda n: _messages(model="claude", messages=_blocks(*[TEXT] * n))),
    Growing("a schema of messages", 500, lambda n: _messages(output_config={"format": {"type": "json_schema", "schema": {
        "type": "object", "properties": {f"p{k}": {"type": "string"} for k in range(n)}}}})),
    Growing("filters, deep", 8, lambda n: _searched(filters=_filter(n))),
    Growing("filters, wide", 500, lambda n: _searched(filters={"type": "or", "filters": [_filter(0)] * n})),
    Growing("values of a filter", 5000, lambda n: _searched(filters={"type": "in", "key": "a", "value": list(range(n))})),
    Growing("words of a query", 1000, lambda n: _searched(query="ab " * (n // 3))),
    Growing("files of a vector store", 1000, lambda n: post(json.dumps({"file_ids": ["file-0"] * n}).encode(), "/v1/vector_stores")),
    Growing("files of a container", 500, lambda n: post(json.dumps({"name": "a", "file_ids": [f"file-{k}" for k in range(n)]}).encode(), "/v1/containers")),
    Growing("domains of web_search", 500, lambda n: _hosted({"type": "web_search", "filters": {"allowed_domains": ["a.org"] * n}})),
    Growing("vector stores of file_search", 500, lambda n: _hosted({"type": "file_search", "vector_store_ids": ["vs_0"] * n})),
    Growing("declarations of web_search", 500, lambda n: _hosted(*[{"type": "web_search"}] * n)),
    Growing("URLs that a user names", 2000, lambda n: _hosted({"type": "web_search"}, input=" ".join(f"http://a{k}.org/" for k in range(n)))),
)  # fmt: skip
