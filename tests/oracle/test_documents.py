"""Both OpenAPI documents and the `openai` package's types validate every event and body; where not, `divergences` says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from antiphon.core.kinds import OTHER_ITEM_TYPES, OTHER_TOOL_TYPES
from tests.golden.player import BROKEN, CASES, Case, parsed
from tests.oracle.divergences import DIVERGENCES, Divergence
from tests.oracle.documents import OPEN_RESPONSES, OPENAI, Document, Json
from tests.oracle.package import PACKAGE, PackageDocument

DOCUMENTS: tuple[Document | PackageDocument, ...] = (OPENAI, OPEN_RESPONSES, PACKAGE)


def _streams(case: Case, document: Document | PackageDocument) -> Iterator[list[Json]]:
    """Yield the case's events as they end well and as they end badly, named as the document names them."""
    names = document is OPEN_RESPONSES
    yield parsed(case.play(case.deltas, open_responses_names=names))
    yield parsed(case.play(case.deltas, error=BROKEN, open_responses_names=names))
    yield _background(case, names)


def _background(case: Case, names: bool) -> list[Json]:
    """A response that waited in the queue and then showed a sign of life."""
    stream = case.stream(open_responses_names=names)
    stream.queued()
    stream.start()
    stream.keepalive()
    return parsed(stream.take())


def _faults(case: Case, document: Document | PackageDocument) -> Iterator[str]:
    for events in _streams(case, document):
        for event in events:
            yield from document.event_faults(event)
        if "response" in events[-1]:
            yield from document.faults(document.response, events[-1]["response"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
@pytest.mark.parametrize("name", CASES)
def test_a_document_finds_no_fault_but_known_divergences(name: str, document: Document | PackageDocument) -> None:
    unknown = {
        fault
        for fault in _faults(Case(name), document)
        if not any(divergence.covers(document.name, fault) for divergence in DIVERGENCES)
    }
    assert not unknown


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda entry: f"{entry.document} {entry.place} {entry.fault}")
def test_a_divergence_is_still_there(divergence: Divergence) -> None:
    document = next(document for document in DOCUMENTS if document.name == divergence.document)
    assert any(divergence.covers(document.name, fault) for name in CASES for fault in _faults(Case(name), document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_document_does_find_faults(document: Document | PackageDocument) -> None:
    events = parsed(Case("text").play(Case("text").deltas))
    delta = next(event for event in events if event["type"] == "response.output_text.delta")
    assert not list(document.event_faults(delta))
    assert list(document.event_faults({**delta, "output_index": "0"}))
    assert list(document.event_faults({key: value for key, value in delta.items() if key != "item_id"}))
    assert list(document.faults(document.response, {**events[-1]["response"], "output": None}))


# What a client may send


def _types(document: Document, schema: Json) -> Iterator[str]:
    """Yield the `type` of every alternative of a union."""
    for entry in schema.get("anyOf") or schema.get("oneOf") or ():
        alternative = document.schemas[entry["$ref"].rsplit("/", 1)[1]] if "$ref" in entry else entry
        kind = alternative.get("properties", {}).get("type")
        if kind is None:
            yield from _types(document, alternative)
        else:
            yield from _names(kind)


def _names(kind: Json) -> list[str]:
    if "anyOf" in kind:
        return [name for entry in kind["anyOf"] if entry.get("type") != "null" for name in _names(entry)]
    return [kind["const"]] if "const" in kind else kind["enum"]


@pytest.mark.parametrize(("document", "union"), [(OPENAI, "InputItem"), (OPEN_RESPONSES, "ItemParam")])
def test_every_type_of_item_is_taken(document: Document, union: str) -> None:
    known = {"message", "reasoning", "function_call", "function_call_output", "item_reference"}
    known |= {"custom_tool_call", "custom_tool_call_output"} | OTHER_ITEM_TYPES
    types = set(_types(document, document.schemas[union]))
    assert types and types <= known


def test_every_type_of_tool_is_taken() -> None:
    types = set(_types(OPENAI, OPENAI.schemas["Tool"]))
    assert types and types <= {"function", "custom", "namespace"} | OTHER_TOOL_TYPES
