"""Programs in a history: which go on, and what a model sees of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.responses.items import sent_tool
from antiphon.core.program_history import unfinished, without_inner_calls
from antiphon.core.programs import fingerprint, program_call_id, program_mark
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.tool_decoding import decode_tool

ID = "call_program"
CALLER = {"type": "program", "caller_id": ID}


def program(code: str = "x", mark: str | None = None) -> dict[str, Any]:
    mark = fingerprint(ID, code) if mark is None else mark
    return {"type": "program", "id": "cm_1", "call_id": ID, "code": code, "fingerprint": mark}


def call(number: int, **fields: Any) -> dict[str, Any]:
    made = {"type": "function_call", "call_id": program_call_id(ID, number), "name": "f", "arguments": "{}"}
    return {**made, "caller": CALLER, **fields}


def output(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": program_call_id(ID, number), "output": str(number), **fields}


ENDED = {"type": "program_output", "id": "cmo_1", "call_id": ID, "result": "1", "status": "completed"}
OWN = {"type": "function_call", "call_id": "call_own", "name": "g", "arguments": "{}", "caller": {"type": "direct"}}
OWN_OUTPUT = {"type": "function_call_output", "call_id": "call_own", "output": "own"}


@pytest.mark.parametrize(
    ("items", "calls"),
    [
        ([program(), call(0), output(0)], [["0"]]),
        ([program(), call(1), call(0), output(0), output(1)], [["0", "1"]]),
        ([program(), call(0), output(0), call(1)], [["0", None]]),
        ([program(), call(0), output(0), ENDED], []),
        ([program()], []),
        ([program(mark="another server's"), call(0), output(0)], []),
        ([program(code="changed", mark=fingerprint(ID, "x")), call(0), output(0)], []),
        ([program(mark=fingerprint(ID, "x", program_mark("resp_1"))), call(0), output(0)], [["0"]]),
        (
            [
                program(mark=program_mark("resp_2") + fingerprint(ID, "x", program_mark("resp_1"))[32:]),
                call(0),
                output(0),
            ],
            [],
        ),
        ([program(mark=fingerprint(ID, "x", "other")), call(0), output(0)], []),
        ([program(), call(0, caller=None), output(0)], []),
        ([OWN, OWN_OUTPUT], []),
        ([{"type": "program", "id": "cm_1"}, call(0), output(0)], []),
    ],
)
def test_which_programs_go_on(items: list[dict[str, Any]], calls: list[list[str | None]]) -> None:
    decoded = decode_items([Raw(json.dumps(item).encode()) for item in items])
    found = unfinished(decoded)
    assert [[one.output.text if one.output else None for one in earlier.calls] for earlier in found] == calls


def test_a_model_sees_no_calls_of_programs() -> None:
    items = [program(), call(0), OWN, output(0, caller=CALLER), OWN_OUTPUT, ENDED]
    decoded = decode_items([Raw(json.dumps(item).encode()) for item in items])
    seen = without_inner_calls(decoded)
    assert [getattr(item, "type", getattr(item, "call_id", "")) for item in seen] == [
        "program",
        "call_own",
        "call_own",
        "program_output",
    ]
    plain = decode_items([Raw(json.dumps(item).encode()) for item in (OWN, OWN_OUTPUT)])
    assert without_inner_calls(plain) is plain


def test_a_backend_that_runs_programs_is_told_who_may_call() -> None:
    declared = {
        "type": "function",
        "name": "f",
        "description": None,
        "parameters": {"type": "object", "properties": {}},
        "allowed_callers": ["programmatic"],
        "output_schema": {"type": "number"},
    }
    sent = sent_tool(decode_tool(Raw(json.dumps(declared).encode())))
    assert isinstance(sent, dict)
    assert (sent["allowed_callers"], sent["output_schema"]) == (["programmatic"], {"type": "number"})
