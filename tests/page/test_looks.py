"""Can everybody use it, and how does it look: axe-core, the keyboard, pictures (`--screenshots` renews docs/images)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.page.browser import Page
from tests.page.steps import ask_and_wait

IMAGES = Path(__file__).parents[2] / "docs" / "images"

PROMPT = """Compare the parts of an antiphon. Script for the demonstration backend:
/think The person wants a comparison: a short list and a table will do.
/delay 0.01
An **antiphon** is a short chant, sung as a *refrain*. Two halves of a choir answer each other:

1. the cantor intones it
2. one side sings the `verse`
3. the other side responds

| part | sung by |
| --- | --- |
| intonation | cantor |
| verse | one side |
| response | the other side |"""
VIEWS = ("play", "library", "activity")


def fill(page: Page) -> None:
    """Bring something of everything onto the page."""
    page.click("[data-example=tools]")
    ask_and_wait(page, PROMPT.partition("\n")[2])
    ask_and_wait(page, '/call get_weather {"city": "Paris"}')
    page.wait("document.querySelector('.outputs')")


def show(page: Page, view: str) -> None:
    """Go to a view and wait until it has something to show."""
    page.js(f"location.hash = '{view}'")
    ready = {"play": ".outputs", "library": "#shelf a", "activity": "#activity .sheet"}[view]
    page.wait(f"document.querySelector('{ready}')?.checkVisibility()")
    if view == "library":
        page.click("#shelf a")
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


def test_all_can_be_done_from_the_keyboard(page: Page) -> None:
    page.press("Tab")
    assert page.js("document.activeElement.className") == "skip"
    page.press("Enter")
    page.wait("document.activeElement.id === 'input'")
    page.send("Input.insertText", text="Hi")
    page.press("Enter", control=True)
    page.wait("document.querySelector('.item.assistant')?.innerText.includes('Hi')")
    reached = set()
    for _ in range(60):
        page.press("Tab")
        reached.add(page.js("document.activeElement.id || document.activeElement.tagName"))
    assert {"key", "model", "tools", "background", "thread", "input", "send", "code", "rows"} <= reached


def test_nothing_is_cut_off_where_the_window_is_narrow(page: Page) -> None:
    fill(page)
    page.look(360)
    for view in VIEWS:
        show(page, view)
        assert page.js("document.documentElement.scrollWidth") <= 360, view


def test_pictures(page: Page, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    folder = IMAGES if pytestconfig.getoption("--screenshots") else tmp_path
    ask_and_wait(page, PROMPT.partition("\n")[2])
    page.wait("!document.querySelector('#continues').hidden")
    page.look(1280, 800)
    page.wait("document.querySelector('#rows').scrollTop > 0")
    for name, width, dark in (
        ("playground-light", 1280, False),
        ("playground-dark", 1280, True),
        ("playground-narrow", 400, False),
    ):
        page.look(width, 800, dark=dark)
        page.screenshot(folder / f"{name}.png")
    page.look(1280, 800)
    for view in ("library", "activity"):
        page.js(f"location.hash = '{view}'")
        page.wait("[...document.querySelectorAll('#shelf a, #activity .sheet')].some((one) => one.checkVisibility())")
        if view == "library":
            page.click("#shelf a")
            page.wait("document.querySelector('#reading dl')")
        page.wait(f"!document.querySelector('#{view}').hidden")
        page.screenshot(folder / f"{view}.png")
    assert len(list(folder.glob("*.png"))) >= 5
