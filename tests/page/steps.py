"""What a person does on the page."""

from __future__ import annotations

from typing import Any

from tests.page.browser import Page

BUSY = "!document.querySelector('#stop').hidden"


def ask(page: Page, prompt: str) -> None:
    """Type a prompt and send it with the keyboard."""
    page.type("#input", prompt)
    page.press("Enter", control=True)


def ask_and_wait(page: Page, prompt: str) -> None:
    """Ask and wait for the end of the answer."""
    ask(page, prompt)
    page.wait("!document.querySelector('.welcome')")
    until_done(page)


def until_done(page: Page) -> None:
    """Wait for the end of what runs, and until its events are shown."""
    page.wait(f"!({BUSY})")
    page.wait(
        "['completed', 'incomplete', 'failed'].includes([...document.querySelectorAll('#rows .type')].at(-1)?.innerText)"
    )


def rows(page: Page) -> list[dict[str, Any]]:
    """Return the timeline: `time`, `number` ("←" for a word of the backend), `type`, `glimpse`."""
    names = "time number type glimpse".split()
    cells = ", ".join(
        f"{name}: row.querySelector('{'time' if name == 'time' else '.' + name}').innerText" for name in names
    )
    return list(page.js(f"[...document.querySelectorAll('#rows > li')].map((row) => ({{{cells}}}))"))


def events(page: Page) -> list[dict[str, Any]]:
    """Return the timeline without the words of the backend."""
    return [row for row in rows(page) if row["number"] != "←"]
