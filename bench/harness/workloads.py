"""Workloads of bench.py: their requests, and what the mock does with them. Standard library only."""
import json


def tool(i):
    return {"type": "function", "name": f"tool_{i}", "description": f"Tool number {i}. " + "It looks something up and returns it as JSON. " * 4,
            "parameters": {"type": "object", "properties": {k: {"type": "string", "description": f"The {k} to use for this call, as plain text."} for k in ("a", "path", "query", "mode")},
                           "required": ["a", "path", "query", "mode"], "additionalProperties": False}, "strict": False}


def filler(n, seed):
    words = ("the server answers with a small record that names each file and its size and who changed it last because "
             "a person asked for it twice \"quoted\" and then\nwent on to the next line of the report").split(" ")
    out, k, i = [], 0, seed
    while k < n:
        w = words[(i * 7 + i // 5) % len(words)]
        out.append(w)
        k += len(w) + 1
        i += 1
    return " ".join(out)[:n]


MARK = "#########"  # nine hashes: the load generator puts a number there that no other request has
SOURCE = 'def read(self, path: str) -> "Record":\n\t"""Return \\\\ what stands there."""\n\treturn self["%d"]\n\n'  # an escape in every ten bytes


def big_items(w, calls=30, mark=""):
    """Function calls with their outputs, about 6.3 kB each, between two user messages."""
    items = [{"type": "message", "role": "user", "content": f"Read the repository {mark} and tell me what changed."}]
    for i in range(calls):
        output = (SOURCE % i * 80)[:6150] if w.get("escapes") else filler(6150, i)
        items.append({"type": "function_call", "call_id": f"call_{i}", "name": f"tool_{i % 20}", "arguments": json.dumps({"a": str(i) + mark, "path": f"src/file_{i}.py", "query": "def", "mode": "full"})})
        items.append({"type": "function_call_output", "call_id": f"call_{i}", "output": mark + output})
    if not w.get("loop"):
        items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Now summarise."}]})
    return items


CACHED = {"cache_control": {"type": "ephemeral"}}


def block_messages(items):
    """The same as messages of the Messages API, as Claude Code writes them: a mark of its cache stands on the last block."""
    messages = []
    for it in items:
        if it["type"] == "message":
            role, block = "user", {"type": "text", "text": it["content"] if isinstance(it["content"], str) else it["content"][0]["text"]}
        elif it["type"] == "function_call":
            role, block = "assistant", {"type": "tool_use", "id": it["call_id"], "name": it["name"], "input": json.loads(it["arguments"])}
        else:
            role, block = "user", {"tool_use_id": it["call_id"], "type": "tool_result", "content": it["output"], "is_error": False}
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].append(block)
        else:
            messages.append({"role": role, "content": [block]})
    messages[-1]["content"][-1].update(CACHED)
    if len(messages) > 1 and len(messages[0]["content"]) == 1:
        messages[0]["content"] = messages[0]["content"][0]["text"]
    return messages


AROUND_MESSAGES = {
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.332.be0; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are a careful assistant.", **CACHED},
    ],
    "metadata": {"user_id": json.dumps({"device_id": "4b0e5fc8" * 8, "account_uuid": "", "session_id": "6f169750-8d66-4680-a58e-8332270cc942"})},
    "max_tokens": 32000,
    "thinking": {"type": "adaptive", "display": "omitted"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
}
"""What else Claude Code sends, behind the messages."""


def body(work, api, model, extra):
    """What the load generator sends: a body, or those of all turns of a loop, one per line."""
    w = WORK[work]
    if not w.get("loop"):
        return one_body(w, api, model, extra, 30, MARK if w.get("differ") else "")
    many, turns = w["loop"]
    # Conversations go on by turns, as they do where several agents work; each has a number of its own.
    return b"\n".join(one_body(w, api, model, extra, turn + 1, f"{conversation}-{MARK}") for turn in range(turns) for conversation in range(many))


def one_body(w, api, model, extra, calls, mark):
    b = {"model": model}
    if api == "messages":
        if w.get("big"):
            b |= {"messages": block_messages(big_items(w, calls, mark)), **AROUND_MESSAGES, "stream": w["stream"]}
        else:
            b |= {"max_tokens": 4096, "stream": w["stream"], "messages": [{"role": "user", "content": "Write a haiku about the sea, then explain it in one sentence."}]}
        if w.get("tools"):
            b["tools"] = [{"name": t["name"], "description": t["description"], "input_schema": t["parameters"]} for t in map(tool, range(w["tools"]))]
    elif api == "chat":
        if w.get("big"):
            msgs = [{"role": "system", "content": "You are a careful assistant."}]
            for it in big_items(w, calls, mark):
                if it["type"] == "message":
                    msgs.append({"role": "user", "content": it["content"] if isinstance(it["content"], str) else [{"type": "text", "text": it["content"][0]["text"]}]})
                elif it["type"] == "function_call":
                    msgs.append({"role": "assistant", "content": None, "tool_calls": [{"id": it["call_id"], "type": "function", "function": {"name": it["name"], "arguments": it["arguments"]}}]})
                else:
                    msgs.append({"role": "tool", "tool_call_id": it["call_id"], "content": it["output"]})
            b["messages"] = msgs
        else:
            b["messages"] = [{"role": "user", "content": "Write a haiku about the sea, then explain it in one sentence."}]
        if w.get("tools"):
            b["tools"] = [{"type": "function", "function": {k: v for k, v in tool(i).items() if k != "type"}} for i in range(w["tools"])]
        if w["stream"]:
            b["stream"] = True
            b["stream_options"] = {"include_usage": True}
    else:
        if w.get("big"):
            b["instructions"] = "You are a careful assistant."
            b["input"] = big_items(w, calls, mark)
        else:
            b["input"] = "Write a haiku about the sea, then explain it in one sentence."
        if w.get("tools"):
            b["tools"] = [tool(i) for i in range(w["tools"])]
        if w["stream"]:
            b["stream"] = True
    b.update(extra or {})
    return json.dumps(b, separators=(",", ":")).encode()


#   up: what the mock does; conc; n: (fewest, most) requests; secs: aimed length of a run; ramp: ms over which the streams begin
WORK = {
    "A1":   dict(up="mock-n100-d0", stream=False, conc=1, n=(60, 20000), secs=2, tok=100, what="non-stream, short request, 100 tokens back, concurrency 1"),
    "A16":  dict(up="mock-n100-d0", stream=False, conc=16, n=(100, 60000), secs=3, tok=100, what="same, concurrency 16"),
    "A64":  dict(up="mock-n100-d0", stream=False, conc=64, n=(200, 60000), secs=3, tok=100, what="same, concurrency 64"),
    "S64":  dict(up="mock-n100-d0", stream=True, conc=64, n=(64, 20000), secs=3, tok=100, what="64 streams of 100 tokens at once, no delay"),
    "B":    dict(up="mock-n200-d0", stream=True, conc=64, n=(64, 20000), secs=3, tok=200, what="64 streams at once, 200 tokens each, no delay"),
    "Bw":   dict(up="mock-n200-d0-w", stream=True, conc=64, n=(64, 20000), secs=3, tok=200, what="as B, the upstream writes each token separately"),
    "S1":   dict(up="mock-n100-d0", stream=True, conc=1, n=(40, 20000), secs=2, tok=100, what="one stream of 100 tokens at a time, no delay (fixed cost of a stream)"),
    "C20":  dict(up="mock-n100-d20", stream=True, conc=20, n=(60, 60), secs=0, tok=100, ramp=400, what="20 streams, a token every 20 ms each (1,000 tok/s)"),
    "C":    dict(up="mock-n100-d20", stream=True, conc=200, n=(600, 600), secs=0, tok=100, ramp=2000, what="200 streams, a token every 20 ms each (10,000 tok/s)"),
    "D1":   dict(up="mock-n100-d0", stream=False, conc=1, n=(20, 3000), secs=2, tok=100, big=True, tools=20, what="200 kB request: 60 call items + 20 tools, concurrency 1"),
    "D8":   dict(up="mock-n100-d0", stream=False, conc=8, n=(40, 6000), secs=3, tok=100, big=True, tools=20, what="same, concurrency 8"),
    "Ds":   dict(up="mock-n100-d0", stream=True, conc=8, n=(40, 6000), secs=3, tok=100, big=True, tools=20, what="200 kB request, streamed answer, concurrency 8"),
    "D8d":  dict(up="mock-n100-d0", stream=False, conc=8, n=(40, 6000), secs=3, tok=100, big=True, tools=20, differ=True, what="as D8, no two bodies alike"),
    "D8x":  dict(up="mock-n100-d0", stream=False, conc=8, n=(40, 6000), secs=3, tok=100, big=True, tools=20, differ=True, escapes=True, what="as D8d, the outputs are source code: an escape in every ten bytes"),
    "L":    dict(up="mock-n100-d0", stream=False, conc=1, n=(750, 750), secs=0, tok=100, big=True, tools=20, loop=(25, 30), what="agent loop: 25 conversations by turns, 30 turns each, each turn the last one plus a call and its 6 kB output"),
    "E":    dict(up="mock-n50-d0-f", stream=True, conc=64, n=(64, 20000), secs=3, tok=50, tools=20, what="64 streams of a function call in 50 fragments, 20 tools, no delay"),
}
DEFAULT = ["A1", "A16", "A64", "S1", "B", "C20", "C", "D1", "D8", "E"]
MODELS = sorted({w["up"] for w in WORK.values()})
