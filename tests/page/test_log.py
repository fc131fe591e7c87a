"""The view of stored responses: filters in the address, rows while it is scrolled, deletion, an open response, Fork."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.page.steps import until_done
from tests.server.test_captures import recording
from tests.server.whole import Client, Json, whole_server

ROWS = "document.querySelectorAll('#log-rows .entry').length"
FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with a store of its own."""
    with whole_server(store=str(tmp_path_factory.mktemp("store") / "store.db")) as client:
        yield client


def made(server: Client, text: str, **fields: Any) -> str:
    return str(server.create(model="scripted", input=text, **fields)["id"])


def go(page: Page, address: str = "library") -> None:
    page.js(f"location.hash = {json.dumps(address)}")


def questions(page: Page) -> list[str]:
    return list(page.js("[...document.querySelectorAll('#log-rows .question')].map(one => one.innerText)"))


def test_words_and_filters_stand_in_the_address(page: Page, server: Client) -> None:
    made(server, "What is a nightingale?", metadata={"team": "birds"})
    made(server, "What is a violin?")
    server.post("/v1/responses", model="scripted", input="/error 400 violins are out")
    go(page)
    page.wait(f"{ROWS} >= 3")
    page.type("#log-q", "NIGHTINGALE")
    page.wait(f"{ROWS} === 1")
    assert questions(page) == ["What is a nightingale?"]
    assert page.js("location.hash") == "#library?q=NIGHTINGALE"
    page.js("document.querySelector('#log-clear').click()")
    page.wait(f"{ROWS} >= 3 && location.hash === '#library'")
    go(page, "library?status=failed&q=violins")
    page.wait(f"{ROWS} === 1")
    assert "violins are out" in page.text("#log-rows .reason")
    go(page, "library?metadata=team%3Dbirds")
    page.wait(f"{ROWS} === 1 && document.querySelector('#log-more').open")
    go(page, "library?q=nothing-like-it")
    page.wait("document.querySelector('#log-note').innerText === 'Nothing found.'")


def test_an_open_response_shows_what_was_asked_and_said(page: Page, server: Client) -> None:
    picture = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
    content = [{"type": "input_text", "text": "Look at this picture"}, {"type": "input_image", "image_url": picture}]
    asked = {"instructions": "Be a painter.", "temperature": 0.5, "tools": [FUNCTION], "metadata": {"run": "7"}}
    id = server.create(model="scripted", input=[{"role": "user", "content": content}], **asked)["id"]
    go(page)
    page.wait(f"document.querySelector('#entry-{id} a')")
    page.click(f"#entry-{id} a")
    page.wait("document.querySelector('#reading-body .instructions')")
    shown = page.text("#reading-body")
    for words in (
        "Be a painter.",
        "temperature",
        "0.5",
        "get_weather",
        "run=7",
        "Look at this picture",
        "completed",
        "input,",
    ):
        assert words in shown, words
    assert page.js("document.querySelector('#reading-body .picture').naturalWidth") == 1
    assert page.js("document.querySelector('#reading-body h3').innerText") == "System prompt"
    page.click("#reading-close")
    page.wait("location.hash === '#library' && !document.querySelector('#reading').checkVisibility()")


def test_what_failed_and_what_was_stopped_can_be_opened(page: Page, server: Client) -> None:
    page.type("#input", "/delay 0.05\n/repeat 500 word\nA long tale")
    page.press("Enter", control=True)
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.click("#stop")
    until_stopped(page)
    server.post("/v1/responses", model="scripted", input="/error 400 the well is dry", instructions="Dig.")
    for words, row, reason, kept in (
        ("long tale", "A long tale", "The client left", "A long tale"),
        ("well dry", "the well is dry", "the well is dry", "Dig."),
    ):
        go(page, f"library?q={words.replace(' ', '+')}")
        page.wait(
            f"{ROWS} === 1 && document.querySelector('#log-rows')?.innerText.includes('{row}')"
            " || (document.querySelector('#log-note')?.innerText === 'Nothing found.' && location.reload())"
        )
        page.click("#log-rows a")
        page.wait("document.querySelector('#reading-body .problem')")
        assert reason in page.text("#reading-body .problem")
        assert kept in page.text("#reading-body")


def until_stopped(page: Page) -> None:
    page.wait("document.querySelector('#stop').hidden")


def test_rows_come_while_it_is_scrolled_and_are_deleted_together(visit: Open) -> None:
    with whole_server() as client:
        for number in range(130):
            made(client, f"Question {number}")
        page = visit(client)
        go(page)
        page.wait(f"{ROWS} >= 50")
        page.js("document.querySelector('.shelf').scrollTop = 1e6")
        page.wait(f"{ROWS} >= 100")
        page.js("document.querySelector('.shelf').scrollTop = 1e6")
        page.wait(f"{ROWS} === 130")
        assert questions(page) == [f"Question {number}" for number in range(129, -1, -1)]
        page.click("#log-all")
        assert page.text("#log-delete") == "Delete 130"
        page.click("#log-delete")
        assert page.text("#log-delete") == "Delete 130 permanently?"
        page.click("#log-delete")
        page.wait(f"{ROWS} === 0")
        assert client.get("/v1/responses")[1]["data"] == []


def test_five_hundred_are_searched_fast(visit: Open, tmp_path: Any) -> None:
    with whole_server(store=str(tmp_path / "store.db")) as client:
        for number in range(500):
            made(client, f"Entry {number} of {'the rare heron' if number == 250 else 'many'}")
        client.get("/v1/responses?q=warm")
        took = []
        for _ in range(5):
            began = time.perf_counter()
            found = client.get("/v1/responses?q=heron")[1]["data"]
            took.append(time.perf_counter() - began)
            assert len(found) == 1
        assert min(took) < 0.2
        page = visit(client)
        go(page, "library?q=heron")
        page.wait(f"{ROWS} === 1")


# Fork


def same(bodies: list[bytes]) -> None:
    """Check that the second half of the requests is the first half once more; streamed or not is another matter."""
    asked = [json.loads(body) for body in bodies]
    for one in asked:
        one.pop("stream", None)
        one.pop("stream_options", None)
    half = len(asked) // 2
    assert asked
    assert json.dumps(asked[half:]) == json.dumps(asked[:half])


SETTINGS: Json = {
    "instructions": "Speak like a sailor.",
    "tools": [FUNCTION],
    "temperature": 0.3,
    "frequency_penalty": 0.25,
    "max_output_tokens": 77,
    "metadata": {"a": "b"},
    "reasoning": {"effort": "low"},
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "top_k": 12,
    "text": {
        "format": {
            "type": "json_schema",
            "name": "thing",
            "schema": {"type": "object", "properties": {}, "additionalProperties": False, "required": []},
            "strict": True,
        }
    },
}


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Ahoy?"},
        {"input": "Ahoy?", "temperature": 1.0},
        {"input": "Ahoy?", **SETTINGS},
        {
            "input": [
                {"type": "message", "role": "developer", "content": "Be short."},
                {"type": "message", "role": "user", "content": "First"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Aye"}]},
                {"type": "message", "role": "user", "content": "Second"},
            ],
            "instructions": "Sing.",
        },
    ],
    ids=["plain", "a default that was said", "everything", "a thread"],
)
def test_a_fork_sends_the_same_request(visit: Open, fields: Json) -> None:
    with recording() as (url, bodies):
        backends = {"b": BackendConfig(url=url)}
        with whole_server(backends=backends, models={"m": ModelConfig(backends=["b"])}) as client:
            response = client.stream(model="m", **fields)[-1]["response"]
            page = visit(client)
            page.wait("document.querySelector('#model').value === 'm'")
            fork(page, response["id"])
            page.click("#send")
            page.wait("!document.querySelector('#continues').hidden || document.querySelector('#thread .problem')")
            page.wait("document.querySelector('#stop').hidden")
            same(bodies)
            again = client.get("/v1/responses?limit=1")[1]["data"][0]
            assert again["metadata"] == fields.get("metadata", {})


def fork(page: Page, id: str) -> None:
    go(page, f"library/{id}")
    page.wait("document.querySelector('#reading-body .actions button')?.innerText === 'Fork'")
    page.click("#reading-body .actions button")
    page.wait("location.hash === '#play' && document.querySelector('#input').value")


def test_a_fork_can_be_changed(page: Page, server: Client) -> None:
    id = made(server, "Original words", instructions="Old.", temperature=0.4, metadata={"x": "y"})
    fork(page, id)
    assert page.js("document.querySelector('#input').value") == "Original words"
    assert page.js("document.querySelector('#instructions').value") == "Old."
    assert page.js("document.querySelector('#temperature').value") == "0.4"
    page.js("document.querySelector('#instructions').value = 'New.'")
    page.click("#send")
    until_done(page)
    newest = server.get("/v1/responses?limit=1")[1]["data"][0]
    response = server.get(f"/v1/responses/{newest['id']}")[1]
    assert (response["instructions"], response["temperature"], response["metadata"]) == ("New.", 0.4, {"x": "y"})


def test_a_fork_of_a_later_turn_continues_the_same_response(page: Page, server: Client) -> None:
    first = made(server, "One")
    second = made(server, "Two", previous_response_id=first)
    fork(page, second)
    page.click("#send")
    until_done(page)
    newest = server.get("/v1/responses?limit=1")[1]["data"][0]
    assert (newest["previous_response_id"], newest["question"]) == (first, "Two")


def test_what_was_sent_is_shown_and_copied_as_curl(visit: Open) -> None:
    with recording() as (url, _):
        backends = {"b": BackendConfig(url=url, key="sk-hidden-key")}
        with whole_server(backends=backends, models={"m": ModelConfig(backends=["b"])}) as client:
            id = client.create(model="m", input="It's here", instructions="Quote 'this'.")["id"]
            page = visit(client)
            go(page, f"library/{id}")
            page.wait("document.querySelector('.sent .code')")
            assert "/v1/chat/completions" in page.text(".sent summary")
            assert "It's here" in page.text(".sent .code")
            read = f"fetch('/admin/responses/{id}').then((answer) => answer.json())"
            command = page.js(f"import('./playground/log/sent.mjs').then(async (m) => m.curl((await {read}).sent[0]))")
            assert command.startswith(f"curl '{url}/chat/completions'")
            assert "$BACKEND_API_KEY" in command
            assert "sk-hidden" not in command
            words = shlex.split(command.replace("\\\n", " "))
            assert json.loads(words[words.index("-d") + 1])["messages"][1]["content"] == "It's here"


def test_an_ordinary_key_sees_its_own(visit: Open) -> None:
    keys = {"ann": KeyConfig(key="ann"), "bob": KeyConfig(key="bob")}
    with whole_server(keys=keys) as client:
        id = made(Client(client.url, "ann"), "Ann's own")
        made(Client(client.url, "bob"), "Bob's own")
        page = visit(client)
        page.type("#key", "ann")
        page.press("Tab")
        page.wait("document.querySelector('#model').value === 'scripted'")
        go(page)
        page.wait(f"{ROWS} === 1")
        assert questions(page) == ["Ann's own"]
        assert not page.js("document.querySelector('#log-owner-field').checkVisibility()")
        page.click("#log-rows a")
        page.wait("document.querySelector('#reading-body dl')")
        assert "Sent to the backend" not in page.text("#reading-body")
        page.click("#reading-body .danger")
        page.click("#reading-body .danger")
        page.wait(f"{ROWS} === 0")
        assert Client(client.url, "ann").get(f"/v1/responses/{id}")[0] == 404
        page.leave()
        page.problems.clear()  # the browser itself tells of every 401 and 403
