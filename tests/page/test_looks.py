"""Can everybody use it, and how does it look: axe-core, the keyboard, pictures (`--screenshots` renews docs/images)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.browser import Page
from tests.page.steps import ask_and_wait, until_done
from tests.page.upstream import paced_upstream
from tests.server.whole import Client, whole_server

IMAGES = Path(__file__).parents[2] / "docs" / "images"

VIEWS = ("play", "library", "stores", "activity")


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    """A server whose model answers in earnest."""
    with paced_upstream() as url, whole_server(url) as client:
        yield client


def fill(page: Page) -> None:
    """Bring something of everything onto the page."""
    ask_and_wait(page, "What is an antiphon, and who sings which part?")
    page.click("[data-example=tools]")
    ask_and_wait(page, "And what is the weather where they sing it?")
    page.wait("document.querySelector('.outputs')")


def show(page: Page, view: str) -> None:
    """Go to a view and wait until it has something to show."""
    page.js(f"location.hash = '{view}'")
    ready = {"play": ".outputs", "library": "#log-rows a", "stores": "#store-form", "activity": "#activity .sheet"}[
        view
    ]
    page.wait(f"document.querySelector('{ready}')?.checkVisibility()")
    if view == "library":
        page.click("#log-rows a")
        page.wait("document.querySelector('#reading dl')")


@pytest.mark.parametrize(
    ("width", "dark"), [(1440, False), (1440, True), (400, False)], ids=["light", "dark", "narrow"]
)
def test_axe_finds_nothing_serious(page: Page, axe: str, width: int, dark: bool) -> None:
    fill(page)
    page.look(width, dark=dark)
    page.js(axe + "; 1")
    for view in VIEWS:
        show(page, view)
        found = page.js("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, f"{view}\n" + "\n".join(
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in serious for node in one["nodes"]
        )


def test_axe_finds_nothing_serious_in_dialogs_and_beside_a_second_thread(page: Page, axe: str) -> None:
    ask_and_wait(page, "What is an antiphon?")
    page.click("#compare")
    page.js("document.querySelectorAll('#settings details').forEach((one) => (one.open = true)); 1")
    page.js("document.querySelector('.menu').open = true")
    page.js(axe + "; 1")
    for kind in ("", "function", "mcp"):
        if kind:
            page.js(f"document.querySelector('#tool-add').value = '{kind}'")
            page.js("document.querySelector('#tool-add').dispatchEvent(new Event('change', {bubbles: true}))")
        found = page.js("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)")
        assert not [
            (one["id"], [node["html"][:200] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        page.js("document.querySelector('#tool-dialog').close()")


def test_all_can_be_done_from_the_keyboard(page: Page) -> None:
    assert page.js("document.activeElement.id") == "input"  # one may type at once
    page.js("document.querySelector('.skip').focus()")
    page.press("Enter")
    page.wait("document.activeElement.id === 'input'")
    page.send("Input.insertText", text="Hi")
    page.press("Enter", control=True)
    page.wait("document.querySelector('.item.assistant')?.innerText.includes('antiphon')")
    until_done(page)
    page.js("document.querySelector('.skip').focus()")
    reached = set()
    for _ in range(90):
        page.press("Tab")
        reached.add(page.js("document.activeElement.id || document.activeElement.tagName"))
    assert {"key", "model", "tool-add", "background", "thread", "input", "send", "code", "rows"} <= reached


def test_nothing_is_cut_off_where_the_window_is_narrow(page: Page) -> None:
    fill(page)
    page.look(360)
    for view in VIEWS:
        show(page, view)
        assert page.js("document.documentElement.scrollWidth") <= 360, view


def test_pictures(page: Page, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    folder = IMAGES if pytestconfig.getoption("--screenshots") else tmp_path
    page.look(1280, 800)
    ask_and_wait(page, "What is an antiphon, and who sings which part?")
    page.wait("!document.querySelector('#continues').hidden && document.querySelector('#rows').scrollTop > 0")
    page.screenshot(folder / "playground-light.png")
    page.look(400, 800)
    page.wait("!document.querySelector('#events').open")
    page.js("document.querySelector('#thread').scrollTop = 1e6")
    page.screenshot(folder / "playground-narrow.png")
    page.look(1440, 900)
    page.click("#compare")
    page.type("#differences", '{"temperature": 1.2}')
    page.type("#input", "Say it as a poem.")
    page.press("Enter")
    page.wait("document.querySelectorAll('.turn-actions').length === 4")
    page.screenshot(folder / "compare.png")
    page.click("#compare")
    page.look(1280, 800, dark=True)
    page.click("[data-example=tools]")
    page.js("document.querySelector('#settings').scrollTop = 0")
    ask_and_wait(page, "And what is the weather where they sing it?")
    page.wait("document.querySelector('.outputs')")
    page.screenshot(folder / "playground-dark.png")
    page.look(1280, 800)
    for view in ("library", "activity"):
        show(page, view)
        page.screenshot(folder / f"{view}.png")
    assert len(list(folder.glob("*.png"))) >= 6
