"""How the view of stored responses looks, and that everybody can use it (`--screenshots` renews docs/images)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.server.whole import Client, upstream, whole_server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MODEL = "hypernova-60b"
TALKS = {
    "Which psalm is sung at Compline on Sundays?": "Psalm 91 (90 in the Vulgate), *Qui habitat*.",
    "List three antiphons of Advent with their first words.": "1. **O Sapientia**\n2. **O Adonai**\n3. **O Radix Jesse**",
    "How long should the rest between two verses be?": "One breath: the length of the last note, or a little more.",
    "Translate 'Venite, exsultemus Domino' into English.": "O come, let us sing unto the Lord.",
    "Explain the difference between an antiphon and a responsory.": "An antiphon frames a psalm; a responsory answers a reading.",
    "Write a programme note for tonight's vespers.": "",
}


class Singer(BaseHTTPRequestHandler):
    """Answers what is known, and refuses the rest."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked, said = next(talk for talk in TALKS.items() if talk[0] in json.dumps(body["messages"]))
        if not said:
            return self._send(
                {"error": {"message": "The model is overloaded: try again later.", "code": "overloaded"}}, 400
            )
        read, written = 40 + len(asked), len(said) // 3
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        message = {"message": {"role": "assistant", "content": said}, "index": 0, "finish_reason": "stop"}
        return self._send({"id": "c", "object": "chat.completion", "choices": [message], "usage": usage})

    def _send(self, answer: object, status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with upstream(Singer) as url:
        models = {MODEL: ModelConfig(backends=["choir"], price_input=150.0, price_output=600.0)}
        with whole_server(backends={"choir": BackendConfig(url=url)}, models=models) as client:
            for _ in range(2):
                for number, text in enumerate(TALKS):
                    fields = {"instructions": "You are the librarian of a choir. Answer briefly.", "temperature": 0.2}
                    metadata = {"team": "choir"} if number % 2 else {}
                    client.post("/v1/responses", model=MODEL, input=text, metadata=metadata, **fields)
            yield client


def show(page: Page, width: int, height: int, *, dark: bool = False, opened: str = "") -> None:
    page.look(width, height, dark=dark)
    page.js("location.hash = 'library'")
    page.wait("document.querySelectorAll('#log-rows .entry').length === 12")
    if opened:
        entry = (
            f"[...document.querySelectorAll('#log-rows a')].find((one) => one.innerText.includes({json.dumps(opened)}))"
        )
        page.js(f"{entry}.click()")
        page.wait(
            "document.querySelector('#reading-body dl')?.checkVisibility() && document.querySelector('.sent .code')"
        )


LOOKS = [(1440, 900, False), (1440, 900, True), (400, 800, False)]


@pytest.mark.parametrize(("width", "height", "dark"), LOOKS, ids=["light", "dark", "phone"])
@pytest.mark.parametrize("opened", ["", "three antiphons", "programme note"], ids=["list", "open", "failed"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    visit: Open, server: Client, axe: str, width: int, height: int, dark: bool, opened: str
) -> None:
    page = visit(server)
    show(page, width, height, dark=dark, opened=opened)
    page.js("document.querySelector('#log-more').open = true")
    page.js(axe + "; 1")
    found = page.js("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)")
    told = [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]
    assert not told, "\n".join(told)
    assert page.js("document.documentElement.scrollWidth") <= width


def test_first_words_are_shown_without_marks_of_markdown(visit: Open, server: Client) -> None:
    page = visit(server)
    show(page, 1280, 800)
    said = page.text("#log-rows")
    assert "O Sapientia" in said and "**" not in said and "*Qui" not in said
    assert "cost 0." in said


def test_pictures(visit: Open, server: Client, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    folder = IMAGES if pytestconfig.getoption("--screenshots") else tmp_path
    page = visit(server)
    show(page, 1280, 800)
    page.screenshot(folder / "responses-light.png")
    show(page, 1280, 800, dark=True, opened="three antiphons")
    page.screenshot(folder / "responses-dark.png")
    page.js("document.querySelector('#reading-close').click()")
    show(page, 400, 800)
    page.screenshot(folder / "responses-phone.png")
    assert len(list(folder.glob("responses-*.png"))) == 3
