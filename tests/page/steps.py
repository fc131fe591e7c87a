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


def tools(page: Page, text: str) -> None:
    """Write the tools as JSON."""
    page.js("document.querySelector('#tools').closest('details').open = true")
    page.type("#tools", text)


def add_tool(page: Page, kind: str) -> None:
    """Add a tool with what its form says at first."""
    page.js(f"document.querySelector('#tool-add').value = '{kind}'")
    page.js("document.querySelector('#tool-add').dispatchEvent(new Event('change', {bubbles: true}))")
    page.click("#tool-keep")
    page.wait("!document.querySelector('#tool-dialog').open")


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
    return list(page.js(f"[...document.querySelectorAll('#rows li')].map((row) => ({{{cells}}}))"))


def events(page: Page) -> list[dict[str, Any]]:
    """Return the timeline without the words of the backend."""
    return [row for row in rows(page) if row["number"] != "←"]


def listen(page: Page) -> None:
    """Keep what the page posts from now on in `sent`."""
    page.js(
        "window.sent = []; window.asked = window.fetch; window.fetch = (url, options) => {"
        " if (options?.method === 'POST') sent.push(JSON.parse(options.body)); return asked(url, options) }; 1"
    )


def sent(page: Page) -> list[dict[str, Any]]:
    """Return the bodies that the page has posted since `listen`."""
    return list(page.js("sent"))


def act(page: Page, turn: int, name: str) -> None:
    """Press a button of a turn: "Copy", "Edit", …"""
    found = f"[...document.querySelectorAll('#thread .turn')].at({turn}).querySelectorAll('.turn-actions button')"
    page.wait(f"[...{found}].some((one) => one.textContent === '{name}')")
    page.js(f"[...{found}].find((one) => one.textContent === '{name}').click()")


def prompts(page: Page) -> list[str]:
    """Return what the person has said in the thread, as it is shown."""
    return list(
        page.js("[...document.querySelectorAll('#thread .item.user .body')].map((one) => one.innerText.trim())")
    )
