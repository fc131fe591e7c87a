"""openai-python tools: loops, namespaces, tool search, allowed tools, custom ones, pictures as outputs, hosted MCP."""

from __future__ import annotations

import base64
import json
from typing import Any

from openai import OpenAI

from tests.clients.lib import API_KEY, BASE_URL, MCP_URL, MODEL, has, play, same, scenario

client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
create: Any = client.responses.create
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": name, "parameters": CITY, "strict": True, **more}


def called(name: str, city: str = "Rome") -> dict[str, Any]:
    return {"call": [[name, {"city": city}]]}


def result(call: Any, output: Any) -> dict[str, Any]:
    return {"type": f"{call.type}_output", "call_id": call.call_id, "output": output}


def of(response: Any, kind: str) -> list[Any]:
    return [item for item in response.output if item.type == kind]


def once(stream: bool, **request: Any) -> Any:
    """Make a response; a streamed one must say in its events what it says at its end."""
    if not stream:
        return create(model=MODEL, **request)
    events = list(create(model=MODEL, stream=True, **request))
    done = {e.output_index: e.item.to_dict() for e in events if e.type == "response.output_item.done"}
    same([done[place] for place in sorted(done)], [item.to_dict() for item in events[-1].response.output])
    for e in events:
        if e.type == "response.output_item.added" and e.item.type == "function_call":
            same((e.item.arguments, e.item.status), ("", "in_progress"))
    return events[-1].response


def loops() -> None:
    both = {"think": "HM", "say": "Looking.", "call": [["look", {"city": "Rome"}], ["look", {"city": "Oslo"}]]}
    steps = [
        both,
        {"think": "MORE", **called("look", "Bern")},
        {"say": "{{tool.0}} {{tool.1}} {{tool.2}} {{thoughts}}"},
    ]
    for stream in (False, True):
        for include in ([], ["reasoning.encrypted_content"]):
            for store in (True, False):
                given: list[Any] = [{"role": "user", "content": play("go", *steps)}]
                r = once(stream, input=given, tools=[function("look")], store=store, include=include)
                while of(r, "function_call"):
                    outputs = [
                        result(call, f"sun-{json.loads(call.arguments)['city']}") for call in of(r, "function_call")
                    ]
                    given += [item.to_dict() for item in r.output] + outputs
                    r = once(stream, input=given, tools=[function("look")], store=store, include=include)
                same(r.output_text, "sun-Rome sun-Oslo sun-Bern HM | MORE")


def thoughts() -> None:
    """Thoughts come back sealed and without ids, as some clients send them."""
    prompt = {"role": "user", "content": play("x", {"think": "DEEP", **called("look")}, {"say": "{{thoughts}}"})}
    for store in (True, False):
        r = create(
            model=MODEL, input=[prompt], tools=[function("look")], include=["reasoning.encrypted_content"], store=store
        )
        sealed, call = of(r, "reasoning")[0].encrypted_content, of(r, "function_call")[0]
        assert "DEEP" not in sealed
        bare = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        back = [{"type": "reasoning", "summary": [], "encrypted_content": sealed}, bare, result(call, "seen")]
        same(create(model=MODEL, input=[prompt, *back], tools=[function("look")], store=False).output_text, "DEEP")
    plain = of(create(model=MODEL, input=[prompt], tools=[function("look")]), "reasoning")[0].to_dict()
    same(
        ("encrypted_content" in plain, plain["summary"], plain["content"]),
        (False, [], [{"type": "reasoning_text", "text": "DEEP"}]),
    )
    shown = of(
        create(model=MODEL, input=[prompt], tools=[function("look")], reasoning={"summary": "auto"}), "reasoning"
    )[0]
    assert shown.summary, shown


def namespaces() -> None:
    crm = {
        "type": "namespace",
        "name": "crm",
        "description": "Customers",
        "tools": [function("look"), function("list")],
    }
    erp = {"type": "namespace", "name": "mcp__erp", "description": "Orders", "tools": [function("look")]}
    for stream in (False, True):
        r = once(stream, input=play("x", called("crm_list"), {"say": "{{tool.0}}"}), tools=[crm, erp, function("look")])
        call = of(r, "function_call")
        if not call:
            r = once(stream, input=play("x", called("list"), {"say": "{{tool.0}}"}), tools=[crm, erp, function("look")])
            call = of(r, "function_call")
        same((call[0].name, call[0].namespace), ("list", "crm"))
        after = once(
            stream, input=[result(call[0], "done")], previous_response_id=r.id, tools=[crm, erp, function("look")]
        )
        same(after.output_text, "done")
    same([tool.name for tool in r.tools], ["crm", "mcp__erp", "look"])


def searches() -> None:
    search = {
        "type": "tool_search",
        "execution": "client",
        "description": "Finds",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    }
    tools = [search, function("hidden", defer_loading=True), function("shown")]
    same(create(model=MODEL, tools=tools, input=play("x", {"say": "{{tools}}"})).output_text, "shown,tool_search")
    for stream in (False, True):
        script = play("x", {"call": [["tool_search", {"q": "weather"}]]}, called("hidden"), {"say": "{{tools}}"})
        r = once(stream, tools=tools, input=script)
        call = of(r, "tool_search_call")[0]
        same((call.execution, call.arguments), ("client", {"q": "weather"}))
        found = {
            "type": "tool_search_output",
            "call_id": call.call_id,
            "execution": "client",
            "status": "completed",
            "tools": [function("hidden", defer_loading=True)],
        }
        r2 = once(stream, tools=tools, input=[found], previous_response_id=r.id)
        hidden = of(r2, "function_call")[0]
        same(hidden.name, "hidden")
        r3 = once(stream, tools=tools, input=[result(hidden, "ok")], previous_response_id=r2.id)
        same(r3.output_text, "hidden,shown,tool_search")
        replay = [
            {"role": "user", "content": script},
            *[i.to_dict() for i in r.output],
            found,
            *[i.to_dict() for i in r2.output],
            result(hidden, "ok"),
        ]
        same(once(stream, tools=tools, input=replay, store=False).output_text, "hidden,shown,tool_search")
    later = {"type": "additional_tools", "role": "developer", "tools": [function("late")]}
    r = create(model=MODEL, input=[later, {"role": "user", "content": play("x", called("late"))}])
    same(of(r, "function_call")[0].name, "late")
    hosted = create(
        model=MODEL,
        tools=[{"type": "tool_search"}, function("hidden", defer_loading=True)],
        input=play("x", {"call": [["tool_search", {"query": "hidden"}]]}, called("hidden")),
    )
    same([item.type for item in hosted.output], ["tool_search_call", "tool_search_output", "function_call"])
    same(
        [hosted.output[0].execution, hosted.output[1].tools[0].name, hosted.output[2].name],
        ["server", "hidden", "hidden"],
    )


def choices() -> None:
    tools = [function("one"), function("two"), {"type": "custom", "name": "three"}]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "two"}]}
    seen = "{{tools}} {{param.tool_choice}}"
    two = {"think": seen, "call": [["two", {"city": "b"}]]}
    r = create(model=MODEL, tools=tools, tool_choice=allowed, input=play("x", two))
    thoughts = of(r, "reasoning")[0].content[0].text
    has(thoughts, "two")
    assert "one" not in thoughts, thoughts
    same(r.tool_choice.to_dict(), allowed)
    same(len(r.tools), 3)
    for choice, step in (
        ("none", {"say": seen}),
        ("required", {"think": seen, "call": [["one", {"city": "a"}]]}),
        ({"type": "function", "name": "one"}, {"think": seen, "call": [["one", {"city": "a"}]]}),
        ({"type": "custom", "name": "three"}, {"think": seen, "raw": ["three", "text"]}),
    ):
        r = create(model=MODEL, tools=tools, tool_choice=choice, input=play("x", step))
        told = of(r, "reasoning")[0].content[0].text if "think" in step else r.output_text
        has(told, choice if isinstance(choice, str) else choice["name"])
    r = create(
        model=MODEL,
        tools=tools,
        parallel_tool_calls=False,
        input=play("x", {"call": [["one", {"city": "a"}], ["two", {"city": "b"}]]}),
    )
    same([call.name for call in of(r, "function_call")], ["one"])
    # Declarations that only OpenAI's own servers run are no reason to fail
    for kind in (
        {"type": "web_search"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "image_generation"},
    ):
        r = create(model=MODEL, tools=[kind, function("one")], input=play("x", called("one")))
        same((of(r, "function_call")[0].name, [tool.type for tool in r.tools]), ("one", [kind["type"], "function"]))


def media() -> None:
    picture = {"type": "input_image", "image_url": PIXEL, "detail": "low"}
    r = create(
        model=MODEL,
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": play("x", {"say": "{{images}}"})}, picture]}
        ],
    )
    same(r.output_text, "1")
    uploaded = client.files.create(file=("pixel.png", base64.b64decode(PIXEL.split(",")[1])), purpose="vision")
    by_id = {"type": "input_image", "file_id": uploaded.id, "detail": "auto"}
    note = client.files.create(file=("note.txt", b"NOTE pet=cat"), purpose="user_data")
    text = {"type": "input_text", "text": play("x", {"say": "{{images}} {{note.pet}}"})}
    r = create(
        model=MODEL, input=[{"role": "user", "content": [by_id, {"type": "input_file", "file_id": note.id}, text]}]
    )
    same(r.output_text, "1 cat")
    inline = {"type": "input_file", "filename": "n.txt", "file_data": "data:text/plain;base64,Tk9URSBwZXQ9ZG9n"}
    same(create(model=MODEL, input=[{"role": "user", "content": [inline, text]}]).output_text, "0 dog")
    prompt = play("x", called("draw"), {"say": "{{tool.0}} {{images}}"})
    r = create(model=MODEL, tools=[function("draw")], input=prompt)
    call = of(r, "function_call")[0]
    outputs = result(call, [{"type": "input_text", "text": "drawn"}, picture, by_id])
    answer = create(model=MODEL, tools=[function("draw")], previous_response_id=r.id, input=[outputs])
    has(answer.output_text, "drawn")
    has(answer.output_text, "2")
    raw = {"type": "custom", "name": "run"}
    r = create(
        model=MODEL, tools=[raw], input=play("x", {"raw": ["run", 'a\n"b" \\ c']}, {"say": "{{tool.0}} {{images}}"})
    )
    custom = of(r, "custom_tool_call")[0]
    same(custom.input, 'a\n"b" \\ c')
    answer = create(
        model=MODEL,
        tools=[raw],
        previous_response_id=r.id,
        input=[result(custom, [{"type": "input_text", "text": "ran"}, picture])],
    )
    has(answer.output_text, "ran")
    client.files.delete(note.id)


def remote() -> None:
    calc = {"type": "mcp", "server_label": "calc", "server_url": MCP_URL, "require_approval": "never"}
    add = {"call": [["add", {"a": 2, "b": 3}]]}
    for stream in (False, True):
        r = once(stream, tools=[calc], input=play("x", add, {"say": "={{tool.0}}"}))
        same(([item.type for item in r.output], r.output_text), (["mcp_list_tools", "mcp_call", "message"], "=5"))
        same(sorted(tool.name for tool in of(r, "mcp_list_tools")[0].tools), ["add", "boom", "secret"])
        call = of(r, "mcp_call")[0]
        same(
            (call.name, call.server_label, call.output, call.error, call.status),
            ("add", "calc", "5", None, "completed"),
        )
        assert r.usage.total_tokens > 0
        # a function of the client's beside the server's tool, in one turn
        mixed = play(
            "x", {"call": [["add", {"a": 1, "b": 1}], ["look", {"city": "Rome"}]]}, {"say": "{{tool.0}} {{tool.1}}"}
        )
        r = once(stream, tools=[calc, function("look")], input=mixed)
        same([item.type for item in r.output if item.type != "mcp_list_tools"], ["mcp_call", "function_call"])
        after = once(
            stream,
            tools=[calc, function("look")],
            previous_response_id=r.id,
            input=[result(of(r, "function_call")[0], "seen")],
        )
        same(sorted(after.output_text.split()), ["2", "seen"])
        limited = once(stream, tools=[calc], max_tool_calls=1, input=play("x", add, add, {"say": "end"}))
        same(sum(call.error is None for call in of(limited, "mcp_call")), 1)
        asked = once(
            stream,
            tools=[{**calc, "require_approval": "always"}],
            input=play("x", {"think": "HM", **add}, {"say": "={{tool.0}}"}),
        )
        request = of(asked, "mcp_approval_request")[0]
        same((request.name, request.server_label, asked.status), ("add", "calc", "completed"))
        answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        agreed = once(
            stream, tools=[{**calc, "require_approval": "always"}], previous_response_id=asked.id, input=[answer]
        )
        same((agreed.output_text, of(agreed, "mcp_call")[0].approval_request_id), ("=5", request.id))


def everything() -> None:
    for part in (loops, thoughts, namespaces, searches, choices, media, remote):
        part()


scenario(everything)
