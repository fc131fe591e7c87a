"""The tool `file_search`, in every mode: a model asks, passages come from vector stores, its marks become citations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import openai
import pytest

from antiphon.config import FileSearchConfig, KeyConfig, ToolsConfig
from tests.golden.rules import check_stream
from tests.server.chat_model import ChatModel, call, last_question, told
from tests.server.test_matrix import MODES, essence, not_stored, replayed
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

ANN_KEY, BOB_KEY = "ann-key-0123456789", "bob-key-0123456789"
NONE: list[Json] = []


class Model(ChatModel):
    """Searches for the words of the user's message (divided by `/`), then answers with the first source as a citation."""

    models = ("m", "text")
    arguments: ClassVar[str] = ""

    def deltas(self, request: Json) -> list[Json]:
        messages = request["messages"]
        last = last_question(messages)
        if results := told(messages[last:]):
            pieces = ["They do", " 【", "1】", "."] if "【1†" in results[-1] else ["Nothing", " is known."]
            return [{"content": piece} for piece in pieces]
        if not request.get("tools"):
            return [{"content": "Hm."}]
        arguments = self.arguments or json.dumps({"queries": messages[last]["content"].split("/")})
        return [{"tool_calls": [call("file_search", arguments, "call_1")]}]


class Library:
    """A server with two vector stores of Ann's and one of Bob's."""

    def __init__(self, url: str) -> None:
        self.client = Client(url, ANN_KEY)
        self.ann = openai.OpenAI(base_url=f"{url}/v1", api_key=ANN_KEY, max_retries=0)
        self.bob = bob = openai.OpenAI(base_url=f"{url}/v1", api_key=BOB_KEY, max_retries=0)
        self.files: dict[str, str] = {}
        self.birds = self._filled("birds", penguins="Penguins live in the south.", owls="Owls hunt at night.")
        self.fish = self._filled("fish", eels="Eels swim to the Sargasso Sea at night.")
        self.foreign = bob.vector_stores.create().id

    def _filled(self, name: str, **texts: str) -> str:
        store = self.ann.vector_stores.create(name=name)
        for title, text in texts.items():
            file = self.ann.files.create(file=(f"{title}.txt", text.encode()), purpose="assistants")
            done = self.ann.vector_stores.files.create_and_poll(
                file.id, vector_store_id=store.id, attributes={"name": title}
            )
            assert done.status == "completed"
            self.files[title] = file.id
        return store.id

    def fields(self, input: str, *stores: str, include: bool = False, **tool: Any) -> Json:
        declared = {"type": "file_search", "vector_store_ids": list(stores or (self.birds,)), **tool}
        wanted = {"include": ["file_search_call.results"]} if include else {}
        return {"model": "m", "input": input, "tools": [declared], **wanted}

    def search(self, input: str, *stores: str, **tool: Any) -> list[Json]:
        call = self.client.create(**self.fields(input, *stores, include=True, **tool))["output"][0]
        assert call["type"] == "file_search_call" and call["status"] == "completed"
        found: list[Json] = call["results"]
        return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    keys = {"ann": KeyConfig(key=ANN_KEY), "bob": KeyConfig(key=BOB_KEY)}
    with upstream(Model) as url, whole_server(url, store=str(store), keys=keys) as client:
        found = Library(client.url)
        with found.ann, found.bob:
            yield found


def test_its_events(library: Library) -> None:
    events = library.client.stream(**library.fields("where do penguins live/penguin"))
    check_stream(events)
    kinds = [event["type"] for event in events]
    start = kinds.index("response.output_item.added")
    assert kinds[start : start + 5] == [
        "response.output_item.added",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.file_search_call.completed",
        "response.output_item.done",
    ]
    opened, done = events[start]["item"], events[start + 4]["item"]
    assert {**opened, "id": ""} == {
        "id": "",
        "type": "file_search_call",
        "status": "in_progress",
        "queries": [],
        "results": None,
    }
    assert {**done, "id": ""} == {
        "id": "",
        "type": "file_search_call",
        "status": "completed",
        "queries": ["where do penguins live", "penguin"],
        "results": None,
    }
    cited = next(event for event in events if event["type"] == "response.output_text.annotation.added")
    citation = {
        "type": "file_citation",
        "file_id": library.files["penguins"],
        "filename": "penguins.txt",
        "index": len("They do "),
    }
    assert cited["annotation"] == citation
    content = events[-1]["response"]["output"][1]["content"][0]
    assert (content["text"], content["annotations"]) == ("They do .", [citation])


@pytest.mark.parametrize("mode", MODES)
def test_its_response_in_every_mode(library: Library, mode: Any) -> None:
    fields = library.fields("penguins", include=True)
    expected = essence(library.client.stream(**fields)[-1]["response"])
    assert expected["output"][0]["results"][0]["text"] == "Penguins live in the south."
    assert essence(mode(library.client, fields)) == expected


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in (not_stored, replayed)])
def test_what_was_hidden_is_included_when_it_is_read(library: Library, mode: Any) -> None:
    made = mode(library.client, library.fields("penguins"))
    assert made["output"][0]["results"] is None
    shown = library.ann.responses.retrieve(made["id"], include=["file_search_call.results"])
    call = shown.output[0]
    assert call.type == "file_search_call" and call.results is not None
    (hit,) = call.results
    assert (hit.text, hit.filename, hit.attributes) == (
        "Penguins live in the south.",
        "penguins.txt",
        {"name": "penguins"},
    )
    assert hit.score is not None and hit.score > 0
    plain = library.client.get(f"/v1/responses/{made['id']}")[1]
    whole = library.client.get(f"/v1/responses/{made['id']}?include[]=file_search_call.results")[1]
    whole["output"][0]["results"] = None
    assert whole == plain and list(whole) == list(plain)
    other = library.client.get(f"/v1/responses/{made['id']}?include=code_interpreter_call.outputs&include=nothing")[1]
    assert other == plain


def test_what_was_hidden_is_included_in_items_that_are_listed(library: Library) -> None:
    conversation = library.ann.conversations.create()
    fields = {**library.fields("penguins"), "conversation": conversation.id}
    first = library.client.create(**fields)
    second = library.client.create(**library.fields("owls"), previous_response_id=first["id"])
    name = "file_search_call.results"
    plain: Any = library.ann.responses.input_items.list(second["id"], order="asc")
    assert [item.results for item in plain if item.type == "file_search_call"] == [None]
    listed: Any = library.ann.responses.input_items.list(second["id"], order="asc", include=[name])
    assert [item.results[0].filename for item in listed if item.type == "file_search_call"] == ["penguins.txt"]
    items: Any = library.ann.conversations.items.list(conversation.id, include=[name])
    calls = [item for item in items if item.type == "file_search_call"]
    assert [item.results[0].text for item in calls] == ["Penguins live in the south."]
    one: Any = library.ann.conversations.items.retrieve(calls[0].id, conversation_id=conversation.id, include=[name])
    assert one.results == calls[0].results
    bare: Any = library.ann.conversations.items.retrieve(calls[0].id, conversation_id=conversation.id)
    assert bare.results is None


def test_what_the_model_sees(library: Library) -> None:
    Model.asked.clear()
    first = library.client.create(**library.fields("penguins"))
    assert first["output"][0]["results"] is None
    offered = Model.asked[0]["tools"][0]["function"]
    assert offered["name"] == "file_search" and "queries" in offered["parameters"]["properties"]
    assert "【1】" in Model.asked[0]["messages"][0]["content"]
    told = Model.asked[-1]["messages"][-1]["content"]
    assert told == "【1†penguins.txt】\nPenguins live in the south."
    Model.asked.clear()
    library.client.create(**library.fields("owls"), previous_response_id=first["id"])
    tools = [message["content"] for message in Model.asked[-1]["messages"] if message["role"] == "tool"]
    assert tools == [told, "【2†owls.txt】\nOwls hunt at night."]


def test_results_are_ranked_over_all_vector_stores(library: Library) -> None:
    found = library.search("night/Sargasso night", library.birds, library.fish)
    assert [(one["filename"], one["file_id"]) for one in found] == [
        ("eels.txt", library.files["eels"]),
        ("owls.txt", library.files["owls"]),
    ]
    assert 1 >= found[0]["score"] >= found[1]["score"] > 0 and round(found[0]["score"], 4) == found[0]["score"]
    assert found[0]["attributes"] == {"name": "eels"}
    assert len(library.search("night", library.birds, library.fish, max_num_results=1)) == 1
    only = {"type": "eq", "key": "name", "value": "owls"}
    assert [one["filename"] for one in library.search("night", library.birds, library.fish, filters=only)] == [
        "owls.txt"
    ]
    assert library.search("night", ranking_options={"ranker": "auto", "score_threshold": 1}) == []


def test_nothing_found_is_told(library: Library) -> None:
    Model.asked.clear()
    answer = library.client.create(**library.fields("zebras"))
    assert answer["output"][1]["content"][0]["text"] == "Nothing is known."
    assert Model.asked[-1]["messages"][-1]["content"].startswith("Nothing was found.")


@pytest.mark.parametrize(
    ("arguments", "queries"),
    [
        ('{"query": "owls"}', ["owls"]),
        ('{"queries": "owls"}', ["owls"]),
        ('{"queries": ["a", "b", "c", "d", "e"]}', ["a", "b", "c", "d"]),
        ('{"queries": ["", " owls "]}', ["owls"]),
        ('{"queries": []}', None),
        ("{}", None),
        ("owls", None),
        ("[" * 5000, None),
    ],
)
def test_arguments_as_models_write_them(
    library: Library, monkeypatch: pytest.MonkeyPatch, arguments: str, queries: list[str] | None
) -> None:
    monkeypatch.setattr(Model, "arguments", arguments)
    call = library.client.create(**library.fields("x"))["output"][0]
    assert call["status"] == ("failed" if queries is None else "completed")
    assert call["queries"] == (queries or [])


@pytest.mark.parametrize(
    ("change", "status", "param", "code"),
    [
        ({"vector_store_ids": ["vs_none"]}, 404, "tools[0].vector_store_ids[0]", "vector_store_not_found"),
        ({"vector_store_ids": []}, 400, "tools[0].vector_store_ids", "invalid_value"),
        ({"vector_store_ids": ["vs_1"] * 11}, 400, "tools[0].vector_store_ids", "invalid_value"),
        ({"max_num_results": 0}, 400, "tools[0].max_num_results", "invalid_value"),
        ({"max_num_results": 51}, 400, "tools[0].max_num_results", "invalid_value"),
        ({"filters": {"type": "eq"}}, 400, "tools[0].filters.key", "missing_required_parameter"),
        ({"ranking_options": {"score_threshold": 2}}, 400, "tools[0].ranking_options.score_threshold", "invalid_value"),
    ],
)
def test_what_is_refused(library: Library, change: Json, status: int, param: str, code: str) -> None:
    fields = library.fields("x")
    fields["tools"][0].update(change)
    for mode in ({}, {"stream": True}, {"background": True}):
        answered, body = library.client.post("/v1/responses", **fields, **mode)
        error = body["error"]
        assert (answered, error["param"], error["code"]) == (status, param, code)


def test_anothers_vector_store_is_not_found(library: Library) -> None:
    status, body = library.client.post("/v1/responses", **library.fields("x", library.birds, library.foreign))
    assert (status, body["error"]["param"]) == (404, "tools[0].vector_store_ids[1]")


def test_what_was_deleted_is_not_found(library: Library) -> None:
    store = library._filled("more", cats="Cats purr.")
    assert len(library.search("cats", store)) == 1
    library.ann.files.delete(library.files["cats"])
    assert library.search("cats", store) == []


def test_a_server_can_leave_it_out(tmp_path: Path) -> None:
    tools = ToolsConfig(file_search=FileSearchConfig(enabled=False))
    with upstream(Model) as url, whole_server(url, tools=tools) as client:
        answer = client.create(model="m", input="x", tools=[{"type": "file_search", "vector_store_ids": ["vs_none"]}])
    assert answer["output"][0]["content"][0]["text"] == "Hm."
