"""Hosted tools on the page: searches and sources, hits, code with plots, shell output, pictures, citations, vector stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import ToolsConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.page.steps import add_tool, ask_and_wait, tools
from tests.server.whole import Client, upstream, whole_server
from tests.tools.web.site import web
from tests.tools.web.test_web_search import SEARCH, Planned, plan, settings

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MARKED = "document.querySelector('.item.assistant sup.cited')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with web search and code, before a model by rule."""
    store = str(tmp_path_factory.mktemp("store") / "antiphon.db")
    with web() as base, upstream(Planned) as model:
        tools: ToolsConfig = settings(base)
        with whole_server(model, store=store, tools=tools) as client:
            yield client


def prompt(*calls: Any, say: str = "Done.") -> str:
    return str(plan(*calls, say=say)["input"])


def test_a_search_with_its_sources_and_citations(page: Page) -> None:
    add_tool(page, "web_search")
    assert json.loads(page.js("document.querySelector('#tools').value")) == [{"type": "web_search"}]
    ask_and_wait(page, prompt(SEARCH, ["open_page", {"url": "1"}], say="It did lapse【1】 again【1】."))
    searched, opened = page.js("[...document.querySelectorAll('.item.call')].map((one) => one.innerText)")
    assert "Searched for “fund”" in searched and "Opened http" in opened
    assert page.js("document.querySelectorAll('.item.call .sources a').length") >= 1
    assert page.js("document.querySelectorAll('.item.assistant .footnotes li').length") == 1
    link = "document.querySelector('.item.assistant .footnotes a')"
    assert page.js(f"{link}.rel") == "noopener noreferrer" and page.js(f"{link}.href").startswith("http")
    assert "【" not in page.text(".item.assistant")


@pytest.mark.needs("bwrap")
def test_code_with_what_it_printed_its_plot_and_its_file(page: Page) -> None:
    add_tool(page, "code_interpreter")
    code = (
        f"import base64\nclass Plot:\n    def _repr_png_(self): return base64.b64decode('{DOT}')\n"
        "open('/mnt/data/out.csv', 'w').write('a,b')\nprint('hello')\nPlot()"
    )
    ask_and_wait(page, prompt(["python", {"code": code}], say="See [out.csv](sandbox:/mnt/data/out.csv)."))
    labels = page.js("[...document.querySelectorAll('.item.call pre')].map((one) => one.ariaLabel)")
    assert labels == ["python", "output"]
    assert "hello" in page.text(".item.call")
    assert page.js("document.querySelector('.item.call img.picture').naturalWidth") == 1
    assert page.text(".item.assistant .footnotes button") == "out.csv"
    page.js("window.saved = []; HTMLAnchorElement.prototype.click = function () { saved.push(this.download) }; 1")
    page.click(".item.assistant .footnotes button")
    page.wait("saved.length")
    assert page.js("saved") == ["out.csv"]


def test_a_tool_that_is_off_is_told(visit: Open) -> None:
    with whole_server() as client:
        page = visit(client)
        tools(
            page,
            '[{"type": "computer_use_preview", "display_width": 1, "display_height": 1, "environment": "linux"}]',
        )
        ask_and_wait(page, "Hi")
        assert page.text(".answer .ignored") == "Not in effect here: computer_use_preview"
        page.leave()


def test_files_become_a_vector_store_that_is_searched(page: Page, tmp_path: Path) -> None:
    (tmp_path / "manual.txt").write_text("The filter is changed on Monday.\n")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    page.click(".top nav a[href='#stores']")
    page.type("#store-name", "Manuals")
    node = page.send("Runtime.evaluate", expression="document.querySelector('#store-files')")["result"]["objectId"]
    paths = [str(tmp_path / name) for name in ("manual.txt", "broken.pdf")]
    page.send("DOM.setFileInputFiles", files=paths, objectId=node)
    page.click("#store-add")
    page.wait("document.querySelector('.store')?.innerText.includes('1 of 2 files are ready, 1 failed')")
    assert page.text(".store h3") == "Manuals"
    assert page.js("document.querySelector('.store progress').position") == 1
    assert page.text(".store li.failed").partition(" ")[2].startswith("invalid_file: ")
    page.click(".store .actions button")
    page.wait("document.querySelector('#play').checkVisibility()")
    assert json.loads(page.js("document.querySelector('#tools').value"))[0]["type"] == "file_search"
    ask_and_wait(page, prompt(["file_search", {"queries": ["filter"]}], say="On Monday【1】."))
    assert "Searched for “filter”" in page.text(".item.call")
    assert page.text(".item.call .sources summary").startswith("manual.txt")
    assert page.js(f"{MARKED}.innerText") == "1"
    assert page.js(f"{MARKED}.previousSibling.data") == "On Monday"
    assert page.text(".item.assistant .footnotes") == "manual.txt"
    page.js("location.hash = 'stores'")
    page.click(".store .danger")
    page.wait("!document.querySelector('.store')")


def events(*given: tuple[int, dict[str, Any]]) -> str:
    return json.dumps([{"output_index": index, **event} for index, event in given])


SHELL = {"type": "shell_call", "status": "in_progress", "action": {"commands": []}}
PRINTED = {"type": "shell_call_output", "status": "in_progress", "output": []}
PICTURE = {"type": "image_generation_call", "status": "in_progress", "result": None}
GROWING = events(
    (0, {"type": "response.output_item.added", "item": SHELL}),
    (0, {"type": "response.shell_call_command.delta", "command_index": 0, "delta": "ls "}),
    (0, {"type": "response.shell_call_command.delta", "command_index": 0, "delta": "/mnt"}),
    (1, {"type": "response.output_item.added", "item": PRINTED}),
    (1, {"type": "response.shell_call_output_content.delta", "command_index": 0, "delta": {"stdout": "da"}}),
    (1, {"type": "response.shell_call_output_content.delta", "command_index": 0, "delta": {"stdout": "ta"}}),
    (2, {"type": "response.output_item.added", "item": PICTURE}),
    (2, {"type": "response.image_generation_call.generating"}),
    (2, {"type": "response.image_generation_call.partial_image", "partial_image_b64": DOT, "output_format": "png"}),
)
DONE = events(
    (0, {"type": "response.output_item.done", "item": {**SHELL, "status": "completed", "action": {"commands": ["ls /mnt"]}}}),
    (1, {"type": "response.output_item.done", "item": {**PRINTED, "status": "completed", "output": [
        {"stdout": "data", "stderr": "oh", "outcome": {"type": "exit", "exit_code": 2}}]}}),
    (2, {"type": "response.output_item.done", "item": {**PICTURE, "status": "completed", "result": DOT}}),
)  # fmt: skip


def test_shell_output_and_pictures_grow(page: Page) -> None:
    page.js(
        "import('/playground/items.mjs').then(({AnswerView}) => { window.view = new AnswerView();"
        " document.querySelector('#thread').replaceChildren(view.element); })"
    )
    page.js(f"{GROWING}.forEach((one) => view.take(one)); 1")
    page.wait(
        "['ls /mnt', 'data', 'generating'].every((one) => document.querySelector('#thread').innerText.includes(one))"
    )
    told = page.js("[...document.querySelectorAll('#thread .item .body')].map((one) => one.innerText)")
    assert "ls /mnt" in told[0] and "data" in told[1] and "generating…" in told[2]
    page.js(f"{DONE}.forEach((one) => view.take(one)); 1")
    told = page.js("[...document.querySelectorAll('#thread .item .body')].map((one) => one.innerText)")
    assert "…" not in "".join(told) and "exit code 2" in told[1] and "oh" in told[1]
    assert page.js("document.querySelector('#thread .picture').src") == f"data:image/png;base64,{DOT}"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_generation_call", "status": "completed", "result": '"><img src=http://192.0.2.1/>'},
        {"type": "code_interpreter_call", "status": "completed", "code": "", "outputs": [{"type": "image", "url": "http://192.0.2.1/a.png"}]},
        {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "javascript:alert(1)"}},
        {"type": "web_search_call", "status": "failed"},
        {"type": "file_search_call", "status": "completed", "queries": [], "results": [{}]},
        {"type": "shell_call_output", "output": "text"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "😀a", "annotations": [
            {"type": "file_citation", "file_id": "file-1", "filename": "<b>", "index": 99}, {"type": "odd"}]}]},
    ],
)  # fmt: skip
def test_odd_and_hostile_items(page: Page, item: dict[str, Any]) -> None:
    page.js(
        "import('/playground/items.mjs').then(({itemView}) =>"
        f" document.querySelector('#thread').replaceChildren(itemView({json.dumps(item)})))"
    )
    assert page.js("document.querySelectorAll('#thread .item a, #thread .item img[src^=http]').length") == 0
    assert page.js("document.querySelectorAll('#thread .item').length") == 1
