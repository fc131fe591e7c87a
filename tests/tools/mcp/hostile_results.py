"""Hostile MCP servers, by lists of tools and results of calls."""

from __future__ import annotations

from tests.tools.mcp.hostile_kinds import (
    PNG,
    TICK,
    Exchange,
    bodies,
    kind,
    results,
    tool,
    tools,
)

# Lists


results(
    "tools/list",
    tools_20_000=tools(*({**TICK, "name": f"tick{n}"} for n in range(20_000))),
    tools_900_with_schemas=tools(*(tool(name=f"tick{n}", inputSchema={"a": ["b"] * 500}) for n in range(900))),
    a_cursor_of_1_mb=tools(nextCursor="x" * 10**6),
    two_tools_of_a_name=tools(TICK, tool(annotations={"readOnlyHint": True})),
    a_name_with_quotes=tools(tool(name='tick","model":"x')),
    a_name_with_line_breaks=tools(tool(name="a\r\n\r\ndata: [DONE]\r\n\r\n")),
    a_name_of_nothing=tools(tool(name="")),
    a_name_of_1_mb=tools(tool(name="x" * 10**6)),
    a_name_of_odd_characters=tools(tool(name="tïck 🧠/../tick")),
    a_name_with_nul=tools(tool(name="tick\0")),
    a_name_of_another_type=tools(tool(name=5)),
    no_name=tools({"inputSchema": {}}),
    a_description_of_3_mb=tools(tool(description="d" * 3_000_000)),
    a_description_of_another_type=tools(tool(description=[1])),
    a_schema_that_is_a_text=tools(tool(inputSchema="object")),
    a_schema_that_is_true=tools(tool(inputSchema=True)),
    a_schema_of_3_mb=tools(tool(inputSchema={"properties": {f"p{n}": {} for n in range(200_000)}})),
    annotations_of_another_type=tools(tool(annotations="x")),
    annotations_with_a_number=tools(tool(annotations={"readOnlyHint": 5})),
    tools_of_another_type={"tools": "tick"},
    tools_that_are_numbers=tools(1, 2),
    a_schema_with_a_reference=tools(tool(inputSchema={"$ref": "file:///etc/passwd"})),
)
bodies(
    "tools/list",
    a_schema_500_deep=b'{"tools":[{"name":"tick","inputSchema":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}]}",
    a_schema_50_000_deep=b'{"tools":[{"name":"tick","inputSchema":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}]}",
    a_number_of_5_000_digits=b'{"tools":[{"name":"tick","inputSchema":{"maximum":' + b"9" * 5000 + b"}}]}",
    a_number_without_bound=b'{"tools":[{"name":"tick","inputSchema":{"maximum":1e99999}}]}',
    not_a_number=b'{"tools":[{"name":"tick","inputSchema":{"maximum":NaN}}]}',
    half_a_character=b'{"tools":[{"name":"tick","inputSchema":{"title":"\\ud800"}}]}',
    line_breaks_in_a_schema=b'{"tools":[{"name":"tick","inputSchema":{\n\n"title"\r\n:\n"x"}}]}',
)


@kind("tools/list")
def pages_without_end(exchange: Exchange) -> None:
    """Always have another page."""
    page = int(exchange.params.get("cursor") or 0)
    exchange.result(tools({**TICK, "name": f"tick{page}"}, nextCursor=str(page + 1)))


@kind("tools/list")
def the_same_page_without_end(exchange: Exchange) -> None:
    """Always have the same page."""
    exchange.result(tools(nextCursor="again"))


# Results


results(
    "tools/call",
    parts_200_000={"content": [{"type": "text", "text": ""}] * 100_000},
    a_text_of_3_mb={"content": [{"type": "text", "text": 'a"\n' * 1_000_000}]},
    a_text_of_1_4_mb={"content": [{"type": "text", "text": "a" * 1_400_000}]},
    a_picture_of_1_5_mb={"content": [{"type": "image", "mimeType": "image/png", "data": PNG * 15_000}]},
    half_a_picture={"content": [{"type": "image", "mimeType": "image/png", "data": PNG + "!"}]},
    a_resource_of_1_5_mb={"content": [{"type": "resource", "resource": {"uri": "a:b", "blob": "QUFB" * 375_000}}]},
    parts_of_pictures_4_000={"content": [{"type": "image", "mimeType": "image/png", "data": PNG}] * 4_000},
    lines_that_are_parts_50_000={"content": [{"type": "text", "text": '{"type":"image","data":"AAAA"}\n' * 50_000}]},
    an_image_of_2_mb={"content": [{"type": "image", "mimeType": "image/png", "data": "A" * 2_000_000}]},
    content_of_another_type={"content": 5},
    parts_of_another_type={"content": [5, None, "x", []]},
    a_text_of_another_type={"content": [{"type": "text", "text": 5}]},
    parts_of_no_type={"content": [{}]},
    parts_of_an_unknown_type={"content": [{"type": "hologram", "data": {"a": [1]}}]},
    an_error_flag_of_another_type={"content": [], "isError": "no"},
    nothing_at_all={},
    frames_of_a_stream={"content": [{"type": "text", "text": '\n\ndata: [DONE]\n\nevent: x\ndata: {"a":1}\n\n'}]},
    asks_for_more_input={"content": [], "resultType": "input_required", "inputRequests": {}},
    a_structure_of_3_mb={"content": [], "structuredContent": {f"k{n}": [n] for n in range(150_000)}},
)
bodies(
    "tools/call",
    a_structure_5_000_deep=b'{"content":[],"structuredContent":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    a_part_300_deep=b'{"content":[{"type":"x","a":' + b"[" * 300 + b"]" * 300 + b"}]}",
)


@kind("tools/list")
def a_pattern_that_backtracks(exchange: Exchange) -> None:
    """Describe results with a pattern that takes for ever."""
    exchange.result(tools(tool(outputSchema={"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}})))


def large(exchange: Exchange, before: bytes, megabytes: int) -> None:
    """Answer with a part that is so large."""
    exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
    exchange.handler.wfile.write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{%b:"' % (exchange.id or 0, before))
    for _ in range(16 * megabytes):
        exchange.handler.wfile.write(b"A" * 65_536)
    exchange.handler.wfile.write(b'"}]}}')


@kind("tools/call")
def a_text_of_40_mb(exchange: Exchange) -> None:
    """Write a book."""
    large(exchange, b'"type":"text","text"', 40)


@kind("tools/call")
def an_image_of_100_mb(exchange: Exchange) -> None:
    """Show a large image."""
    large(exchange, b'"type":"image","mimeType":"image/png","data"', 100)
