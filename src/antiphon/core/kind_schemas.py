"""Arguments of tools of OpenAI that are declared without a schema, as chat models are told of them."""

from __future__ import annotations

from msgspec import Raw

SHELL_SCHEMA = Raw(
    b'{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":'
    b'"Shell commands, run in this order."},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},'
    b'"required":["commands"]}'
)
LOCAL_SHELL_SCHEMA = Raw(
    b'{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":'
    b'"The program and its arguments."},"timeout_ms":{"type":"integer"},"working_directory":{"type":"string"},'
    b'"env":{"type":"object","additionalProperties":{"type":"string"}}},"required":["command"]}'
)
APPLY_PATCH_SCHEMA = Raw(
    b'{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},'
    b'"path":{"type":"string"},"diff":{"type":"string","description":"The change as a V4A diff: lines that begin with '
    b"'+', '-' or a space, sections headed by '@@'. A new file has '+' lines only. Left out for delete_file.\"}},"
    b'"required":["type","path"]}'
)
QUERY_SCHEMA = Raw(b'{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}')
