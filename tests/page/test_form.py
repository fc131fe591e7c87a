"""The request form: every field, extra JSON, the tool builder, presets, links."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.page.browser import Page
from tests.page.conftest import Open
from tests.page.steps import ask, ask_and_wait, listen, sent, tools
from tests.server.whole import Client

READ = "import('/playground/form.mjs').then(({readForm}) => readForm())"
MCP = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp", "authorization": "sesame"}
KEYED = {**MCP, "server_url": "https://bob:sesame@example.com/mcp?key=sesame#sesame"}
WHOLE: dict[str, Any] = {
    "model": "scripted",
    "instructions": "Be brief.",
    "tools": [{"type": "web_search"}, MCP],
    "text": {"format": {"type": "json_schema", "name": "answer", "schema": {}, "strict": True}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "temperature": 0.3,
    "max_output_tokens": 9,
    "tool_choice": "required",
    "top_p": 0.5,
    "top_logprobs": 2,
    "frequency_penalty": -1,
    "presence_penalty": 1,
    "truncation": "auto",
    "parallel_tool_calls": False,
    "max_tool_calls": 3,
    "include": ["web_search_call.action.sources", "reasoning.encrypted_content"],
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "user": "u",
    "metadata": {"a": "b"},
    "prompt": {"id": "pmpt_1"},
    "store": False,
    "background": True,
    "stream_options": {"include_obfuscation": False},
    "anything": [1],
}  # fmt: skip


def fill(page: Page, body: dict[str, Any]) -> None:
    page.js(f"import('/playground/form.mjs').then(({{fillForm}}) => fillForm({json.dumps(body)}))")


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        {"model": "scripted"},
        {"model": "scripted", "tools": [{"type": "x"}], "tool_choice": {"type": "function", "name": "f"}},
        {"model": "scripted", "text": {"format": {"type": "json_object"}}, "reasoning": {"effort": "odd", "x": 1}},
    ],
    ids=["all", "none", "choice by name", "values without a control"],
)
def test_a_request_is_shown_and_read_again(page: Page, body: dict[str, Any]) -> None:
    fill(page, body)
    assert page.js(READ) == body


def test_every_field_of_the_api_has_a_control_or_goes_into_extra_json(page: Page, server: Client) -> None:
    known = server.get("/openapi.json")[1]["components"]["schemas"]["CreateResponse"]["properties"]
    names = {
        *page.js(
            "import('/playground/form/fields.mjs').then((one) => one.FIELDS.map((field) => field.path.split('.')[0]))"
        )
    }
    assert names <= {*known} | {"prompt"}
    listen(page)
    fill(page, {"model": "scripted", "client_metadata": {"a": "b"}})
    ask_and_wait(page, "Hi")
    assert sent(page)[0]["client_metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Invalid JSON"),
        ("[]", "expected an object"),
        ('{"stream": false}', "set by the thread"),
        ("3", "expected an object"),
    ],
)
def test_extra_json_that_is_wrong_is_told_and_nothing_is_sent(page: Page, text: str, words: str) -> None:
    page.js("document.querySelector('#extra').closest('details').open = true")
    page.type("#extra", text)
    page.js("document.querySelector('#extra').closest('details').open = false")
    ask(page, "Hi")
    page.wait(f"document.querySelector('#extra-problem').innerText.includes({json.dumps(words)})")
    assert page.js("document.activeElement.id") == "extra" and page.js("document.querySelector('.item')") is None
    assert page.js("document.querySelector('#input').value") == "Hi"


def choose(page: Page, kind: str) -> None:
    page.js(f"document.querySelector('#tool-add').value = '{kind}'")
    page.js("document.querySelector('#tool-add').dispatchEvent(new Event('change', {bubbles: true}))")
    page.wait("document.querySelector('#tool-dialog').open")


def declared(page: Page) -> list[dict[str, Any]]:
    return list(json.loads(page.js("document.querySelector('#tools').value || '[]'")))


def test_a_function_is_built_changed_and_removed(page: Page) -> None:
    choose(page, "function")
    page.type("#tool-name", "get_weather")
    page.type("#tool-description", "Tell the weather.")
    page.js("[...document.querySelectorAll('#tool-fields button')].at(-1).click()")
    page.js("document.querySelector('.parameter input').value = 'unit'")
    page.js("document.querySelector('.parameter [aria-label=values]').value = 'C, F'")
    page.click("#tool-keep")
    unit = {"type": "string", "enum": ["C", "F"]}
    schema = {"type": "object", "properties": {"unit": unit}, "required": ["unit"], "additionalProperties": False}
    function = {
        "type": "function",
        "name": "get_weather",
        "description": "Tell the weather.",
        "parameters": schema,
        "strict": True,
    }
    assert declared(page) == [function]
    page.click("#tool-list .tool")
    page.type("#tool-name", "weather")
    page.click("#tool-keep")
    assert declared(page) == [{**function, "name": "weather"}]
    tools(page, json.dumps([{**function, "parameters": {**schema, "$defs": {"x": {"type": "string"}}}}]))
    page.click("#tool-list .tool")
    assert "$defs" in page.js("document.querySelector('#tool-schema').value")  # more than the rows can say
    page.click("#tool-cancel")
    page.js("document.querySelector('#tool-list li button:last-child').click()")
    assert declared(page) == []


def test_hosted_tools_are_built(page: Page) -> None:
    for kind in ("web_search", "code_interpreter", "shell", "image_generation"):
        choose(page, kind)
        page.click("#tool-keep")
    choose(page, "mcp")
    for place, text in enumerate(["docs", "https://example.com/mcp", "sesame"]):
        page.type(f"#tool-field-{place}", text)
    page.click("#tool-keep")
    assert declared(page) == [
        {"type": "web_search"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "image_generation"},
        MCP,
    ]
    assert "sesame" not in page.js("JSON.stringify(localStorage)")
    page.reload()
    assert declared(page)[-1] == MCP  # in this tab


def test_presets_are_kept_without_credentials(page: Page) -> None:
    fill(page, WHOLE)
    page.click("#preset-save")
    page.type("#preset-name", "Mine")
    page.press("Enter")
    fill(page, {"model": "scripted"})
    page.reload()
    page.js("document.querySelector('#preset').value = 'Mine'")
    page.js("document.querySelector('#preset').dispatchEvent(new Event('change'))")
    plain = {key: value for key, value in MCP.items() if key != "authorization"}
    assert page.js(READ) == {**WHOLE, "tools": [{"type": "web_search"}, plain]}
    page.click("#preset-remove")
    assert page.js("document.querySelectorAll('#preset option').length") == 1


def fragment(body: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")


def test_a_link_carries_the_settings_and_no_secret(visit: Open, server: Client) -> None:
    page = visit(server)
    page.js("sessionStorage.setItem('antiphon-key', 'sk-secret'); 1")
    fill(page, {**WHOLE, "tools": [KEYED]})
    page.js(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => (window.copied = text)}})"
    )
    page.click("#share")
    page.wait("window.copied")
    link = page.js("copied")
    text = base64.urlsafe_b64decode(link.partition("#play/")[2] + "==").decode()
    assert "sesame" not in text and "sk-secret" not in text and "Be brief." in text
    assert "https://example.com/mcp" in text
    page.js("sessionStorage.removeItem('antiphon-key'); 1")
    other = visit(server)
    other.js("location.hash = '" + link.partition("#")[2] + "'")
    other.wait("document.querySelector('#instructions').value === 'Be brief.'")
    assert other.js("location.hash") == "#play" and "nothing was sent" in other.text("#share-note")
    other.click("#share-note button")
    assert other.js("document.querySelector('#instructions').value") == ""


HOSTILE = [
    fragment([1]),
    fragment(None),
    fragment({"tools": 3, "text": 4, "include": "x", "__proto__": {"a": 1}}),
    "A" * 20_000,
]


@pytest.mark.parametrize("text", ["!!", "AAAA", *HOSTILE])
def test_links_that_nobody_made_do_no_harm(page: Page, text: str) -> None:
    page.js(f"location.hash = 'play/{text}'")
    page.js("new Promise((done) => setTimeout(done, 50))")
    assert page.js(READ)["model"] == "scripted" and page.js("({}).a") is None
    fill(page, {"model": "scripted"})
    assert page.js(READ) == {"model": "scripted"}


def test_no_part_of_the_form_is_wider_than_its_pane(page: Page) -> None:
    page.js("document.querySelectorAll('#settings details').forEach((one) => (one.open = true)); 1")
    inside = "document.querySelector('#settings form').getBoundingClientRect().right - 20"
    all = "[...document.querySelectorAll('#settings :is(input, select, textarea, label)')]"
    fields = f"{all}.filter((one) => one.checkVisibility())"
    assert (
        page.js(
            f"{fields}.filter((one) => one.getBoundingClientRect().right > {inside} + 1).map((one) => one.id || one.textContent)"
        )
        == []
    )
