# ruff: noqa: E501 (a table reads best with one case per line)
"""Samples of requests that declare hosted tools, of their items, and of what a model may call them with."""

from __future__ import annotations

from random import Random
from typing import Any

from antiphon.core.programs import fingerprint, program_call_id
from tests.attack.mutate import TEXTS, VALUES

Json = dict[str, Any]

FILTERS: tuple[Json, ...] = (
    {"type": "eq", "key": "a", "value": "x"},
    {"type": "in", "key": "a", "value": ["x", 1, True]},
    {"type": "gte", "key": "b", "value": 1.5},
    {"type": "and", "filters": [{"type": "ne", "key": "a", "value": False}, {"type": "or", "filters": [{"type": "lt", "key": "b", "value": 3}]}]},
)  # fmt: skip


def declarations(vector_store: str, container: str, file: str) -> list[Json]:
    """Return declarations of hosted tools that use what is there."""
    return [
        {"type": "web_search"},
        {"type": "web_search_preview", "search_context_size": "low"},
        {"type": "web_search", "filters": {"allowed_domains": ["127.0.0.1"]}, "search_context_size": "high", "external_web_access": True,
         "user_location": {"type": "approximate", "country": "DE", "city": "B", "region": "B", "timezone": "Europe/Berlin"}},
        {"type": "web_search", "external_web_access": False},
        {"type": "file_search", "vector_store_ids": [vector_store]},
        {"type": "file_search", "vector_store_ids": [vector_store], "max_num_results": 3, "ranking_options": {"ranker": "auto", "score_threshold": 0.1}},
        *({"type": "file_search", "vector_store_ids": [vector_store], "filters": one} for one in FILTERS),
        {"type": "code_interpreter", "container": container},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [file], "memory_limit": "1g", "network_policy": {"type": "disabled"}}},
        {"type": "code_interpreter", "container": {"type": "auto", "network_policy": {"type": "allowlist", "allowed_domains": ["a.org"]}}},
        {"type": "image_generation", "size": "auto"},
        {"type": "shell", "environment": {"type": "container_auto", "file_ids": [file]}},
        {"type": "mcp", "server_label": "s", "server_url": "http://127.0.0.1:9/mcp", "require_approval": "never"},
        {"type": "programmatic_tool_calling"},
        {"type": "web_search", "allowed_callers": ["programmatic"]},
        {"type": "file_search", "vector_store_ids": [vector_store], "allowed_callers": ["direct", "programmatic"]},
        {"type": "custom", "name": "own", "allowed_callers": ["programmatic"]},
        {"type": "tool_search"},
        {"type": "function", "name": "late", "defer_loading": True, "parameters": {"type": "object", "properties": {"a": {"description": "b"}}}},
    ]  # fmt: skip


def items(container: str) -> list[Json]:
    """Return items that hosted tools have left in a history."""
    return [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "a", "queries": ["a"], "sources": [{"type": "url", "url": "http://a"}]}},
        {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "open_page", "url": "http://a"}},
        {"type": "web_search_call", "id": "ws_3", "status": "failed", "action": {"type": "find_in_page", "url": "http://a", "pattern": "b"}},
        {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["a"], "results": [
            {"file_id": "file-1", "filename": "a.txt", "score": 0.5, "attributes": {"a": 1}, "text": "hi"}]},
        {"type": "program", "id": "cm_1", "call_id": "p", "code": "await tools.own('a')", "fingerprint": fingerprint("p", "await tools.own('a')")},
        {"type": "custom_tool_call", "call_id": program_call_id("p", 0), "name": "own", "input": "a", "caller": {"type": "program", "caller_id": "p"}},
        {"type": "custom_tool_call_output", "call_id": program_call_id("p", 0), "output": "b", "caller": {"type": "program", "caller_id": "p"}},
        {"type": "web_search_call", "id": "ws_4", "status": "failed", "action": {"type": "search", "query": "a"}, "call_id": program_call_id("p", 0), "caller": {"type": "program", "caller_id": "p"}},
        {"type": "tool_search_call", "id": "tsc_1", "call_id": "t", "execution": "server", "status": "completed", "arguments": {"query": "a"}},
        {"type": "tool_search_output", "id": "tso_1", "call_id": "t", "execution": "server", "status": "completed", "tools": [{"type": "function", "name": "late", "parameters": {}}]},
        {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": container, "outputs": [{"type": "logs", "logs": "1"}, {"type": "image", "url": "data:image/png;base64,AAAA"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a 【1】", "annotations": [
            {"type": "url_citation", "url": "http://a", "title": "t", "start_index": 0, "end_index": 1},
            {"type": "file_citation", "file_id": "f", "filename": "n", "index": 1},
            {"type": "container_file_citation", "container_id": container, "file_id": "f", "filename": "n", "start_index": 0, "end_index": 1}]}]},
    ]  # fmt: skip


INCLUDES = (
    "web_search_call.results",
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
)

MODELS = ("restless", "restless", "restless", "scripted", "chat-generic", "relayed", "claude")
"""Models of requests with hosted tools; the first calls them, with all that comes to mind."""


def request(random: Random, vector_store: str, container: str, file: str) -> Json:
    """Return the fields of a request that declares some hosted tools."""
    all = declarations(vector_store, container, file)
    fields: Json = {
        "model": random.choice(MODELS),
        "input": [*random.sample(items(container), random.choice((0, 0, 1, 3))), {"role": "user", "content": "go"}],
        "tools": random.sample(all, random.choice((1, 1, 2, 4))),
        "include": random.sample(INCLUDES, random.choice((0, 1, 3))),
    }
    if random.random() < 0.2:
        fields["tool_choice"] = random.choice(
            ("required", {"type": "web_search"}, {"type": "file_search"}, {"type": "code_interpreter"}, "none")
        )
    if random.random() < 0.1:
        fields["max_tool_calls"] = random.choice((0, 1, 2))
    return fields


CODE = (
    "1", "print('x' * 10**6)", "import os; os.kill(os.getpid(), 9)", "while True: pass", "open('/mnt/data/a\\nb', 'w').write('1')",
    "open('/mnt/data/' + 'ü' * 60, 'w').write('1')", "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\x00')", "'\\ud800'", "raise SystemExit",
    "__import__('os').symlink('/etc/passwd', '/mnt/data/link')", "print('【1】 sandbox:/mnt/data/a')", "(", "import os; os.mkfifo('/mnt/data/fifo')",
    "print(await tools.web_search(queries=['a']))", "for n in range(99): await tools.own(str(n))", "await tools.own(5)",
    "import asyncio; print(await asyncio.gather(*(tools.web_search(queries=[str(n)]) for n in range(40)), return_exceptions=True))",
    "await tools.file_search(queries=['\\ud800', None, 1e308])", "tools.own('a')", "await tools.s__x()",
)  # fmt: skip
QUERIES = (
    ["a"],
    "a",
    ["a"] * 9,
    [""],
    [None],
    [["a"]],
    "【1】",
    ['"a" AND NEAR(', "a*", "-a"],
    ["\x00"],
    ["ü" * 3000],
    {"a": 1},
)
URLS = ("1", "2", "【1】", "99", "-1", 1, None, "http://127.0.0.1:1/", "http://[", "http://169.254.169.254/", "file:///etc/passwd", "1" * 5000, "\x00")  # fmt: skip


def arguments(random: Random, schema: Any) -> Any:
    """Return what a restless model calls a function with: names that its schema has, values of all kinds."""
    names = list(schema.get("properties", {})) if isinstance(schema, dict) else []
    found = {}
    for name in names:
        likely: Any = {"code": CODE, "queries": QUERIES, "url": URLS, "part": (1, 2, -1, 10**30, "1")}.get(name, TEXTS)
        found[name] = random.choice(likely) if random.random() < 0.8 else random.choice([*VALUES[:20], *TEXTS])
    return found if random.random() < 0.95 else random.choice([[], None, "x", 5])
