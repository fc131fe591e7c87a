"""`include` of requests that read: what was hidden comes back, nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.results import ModelText
from antiphon.responses.included import response_with_included, wanted, with_included
from antiphon.responses.stored_response import output_span
from antiphon.stores.records import StoredResponse

SEARCH = {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "a"}, "status": "completed"}
WHOLE = {"type": "search", "query": "a", "sources": [{"type": "url", "url": "https://a.example"}]}
HIDDEN = {"action": Raw(to_json(WHOLE)), "results": Raw(b'[{"title":"A"}]')}


async def texts(ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
    """Keep the texts of Ann's one search."""
    return {id: to_json(ModelText("A", hidden=HIDDEN)) for id in ids if owner == "ann" and id == "ws_1"}


async def shown(item: object, *include: str, owner: str = "ann") -> Any:
    (found,) = await with_included([Raw(to_json(item))], wanted({"include": include}), owner, texts)
    return msgspec.json.decode(found)


async def test_only_what_is_asked_for_is_shown() -> None:
    assert await shown(SEARCH) == SEARCH
    assert await shown(SEARCH, "web_search_call.action.sources") == {**SEARCH, "action": WHOLE}
    assert await shown(SEARCH, "web_search_call.results") == {**SEARCH, "results": [{"title": "A"}]}
    assert await shown(SEARCH, "file_search_call.results", "reasoning.encrypted_content") == SEARCH


async def test_what_is_not_kept_stays_as_it_is() -> None:
    name = "web_search_call.action.sources"
    for item in ({**SEARCH, "id": "ws_2"}, {"type": "message", "id": "ws_1"}, {"id": 7}, {"type": ["a"], "id": "ws_1"}):
        assert await shown(item, name) == item
    assert await shown(SEARCH, name, owner="bob") == SEARCH


async def test_a_response_keeps_all_else() -> None:
    output = [to_json(SEARCH), to_json({"type": "message", "id": "msg_1", "text": "a"})]
    body = to_json({"id": "resp_1", "output": [Raw(item) for item in output], "text": "\udfff"})
    stored = StoredResponse(
        id="resp_1",
        owner="ann",
        model="m",
        status="completed",
        created_at=1,
        body=body,
        output_span=output_span(body, output),
    )
    include = wanted({"include[]": ["web_search_call.results"]})
    read = json.loads(await response_with_included(stored, include, texts))
    assert read == {
        "id": "resp_1",
        "output": [{**SEARCH, "results": [{"title": "A"}]}, json.loads(output[1])],
        "text": "\udfff",
    }
    foreign = msgspec.structs.replace(stored, owner="bob")
    assert await response_with_included(foreign, include, texts) == body
    assert await response_with_included(stored, wanted({}), texts) is body
