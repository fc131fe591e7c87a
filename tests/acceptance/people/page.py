"""Rows of the prompt debugger: the page of the real command, in Chromium. `PICTURES`: a folder that keeps what was seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.people.serve import SCRIPTED, served
from tests.page.browser import Page, chromium
from tests.page.steps import BUSY, act, add_tool, ask, ask_and_wait, listen, prompts, sent, until_done

PICTURES: Path | None = None
TOUR = r"""# Tour

- one
  - two
    - three

| left | mid | right |
|:--|:-:|--:|
| x\|y | `p\|q` | 3 |

> a
>
> > nested

~~gone~~ &amp; done, see https://example.com/a. A note[^1].

- [ ] open
- [x] done

```python
def sing(part: str) -> int:
    return len(part)
```

$$\sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}$$

[^1]: The note.
"""
SHOWN = {
    "ul ul ul": 1,
    "tbody td": 3,
    "td.center": 1,
    "td.right": 1,
    "td code": 1,
    "blockquote blockquote": 1,
    "s": 1,
    "li > input[type=checkbox]": 2,
    "ol.notes li": 1,
    "a[href='https://example.com/a']": 1,
    ".math.display": 1,
}
ENTITY = "& done"


@contextmanager
def opened(folder: Path, name: str, *arguments: str) -> Iterator[Page]:
    """Open the page of a running command; in the end nothing was complained of, and its picture is kept."""
    with (
        served(folder, *SCRIPTED, "--store", str(folder / "s.db"), *arguments) as server,
        chromium(folder / "profile") as tabs,
        tabs() as page,
    ):
        page.look()
        page.goto(f"{server.url}/")
        page.wait("document.querySelector('#model').value === 'scripted'")
        yield page
        picture(page, name)
        assert page.problems == [], page.problems
        assert all(url.startswith((server.url, "data:", "blob:")) for url in page.requests)


def picture(page: Page, name: str) -> None:
    if PICTURES is not None:
        page.screenshot(PICTURES / f"{name}.png")


def a8_the_page_tells(folder: Path) -> str:
    """A web_search that is off: the turn says so, and Activity does."""
    with opened(folder, "a8", "--web-search", "off") as page:
        add_tool(page, "web_search")
        ask_and_wait(page, "What is new?")
        assert page.text(".answer .ignored") == "Not in effect here: web_search"
        picture(page, "a8-turn")
        page.js("location.hash = 'activity'")
        page.wait("document.querySelector('#activity .completed .state')?.innerText.includes('without web_search')")
    return "the turn and Activity name it"


def d9_markdown(folder: Path) -> str:
    """The tour of Markdown that had nine faults, with code and a formula; and the text as the model wrote it."""
    with opened(folder, "d9") as page:
        ask_and_wait(page, TOUR)
        answer = "#thread .item.assistant .text"
        for selector, count in SHOWN.items():
            found = page.js(f"document.querySelectorAll({json.dumps(f'{answer} {selector}')}).length")
            assert found == count, f"{selector}: {found}"
        assert ENTITY in page.text(answer)
        page.wait(f"document.querySelectorAll('{answer} .hl-keyword').length >= 2")
        act(page, -1, "Raw")
        assert r"x\|y" in page.text("#thread .item.assistant")
        act(page, -1, "Raw")
        page.js(f"document.querySelector('{answer}').scrollIntoView()")
    return f"{len(SHOWN)} constructs, coloured code, a formula, raw text"


def d12_two_calls_at_once(folder: Path) -> str:
    """Two calls of one tool are told apart by their arguments, before and after they are answered."""
    with opened(folder, "d12") as page:
        page.click("[data-example=tools]")
        ask_and_wait(page, '/call get_weather {"city": "Paris"}\n/call get_weather {"city": "Rome"}')
        page.wait("document.querySelectorAll('.outputs textarea').length === 2")
        labels = page.js("[...document.querySelectorAll('.outputs label')].map((one) => one.innerText)")
        assert labels == [f'Output of get_weather(city="{city}")' for city in ("Paris", "Rome")]
    return " and ".join(labels)


def d14_a_window_of_1000_pixels(folder: Path) -> str:
    """At 1000 px the answer has more room than the events, which can be made smaller and closed."""
    with opened(folder, "d14") as page:
        page.look(1000, 800)
        ask_and_wait(page, "/repeat 200 word")
        width = "document.querySelector('{}').getBoundingClientRect().width"
        answer, events = page.js(width.format("#thread")), page.js(width.format("#events"))
        assert answer > events, (answer, events)
        assert page.js("document.documentElement.scrollWidth") <= 1000
        picture(page, "d14-open")
        page.click("#toggle-events")
        assert not page.js("document.querySelector('#events').checkVisibility()")
        wider = page.js(width.format("#thread"))
    return f"answer {answer:.0f} px, events {events:.0f} px; {wider:.0f} px without them"


def d15_enter_sends(folder: Path) -> str:
    """The prompt has the focus, Enter sends, Shift+Enter does not, and few stops of Tab lead to it."""
    with opened(folder, "d15") as page:
        assert page.js("document.activeElement.id") == "input"
        page.send("Input.insertText", text="one")
        page.press("Enter")
        page.wait("document.querySelectorAll('#thread .item.assistant').length === 1")
        until_done(page)
        assert prompts(page) == ["one"] and page.js("document.activeElement.id") == "input"
    return "typed and sent at once"


def d17_two_settings_compared(folder: Path) -> str:
    """Two threads side by side with other settings, saved as a preset and as a link."""
    with opened(folder, "d17") as page:
        page.click("#compare")
        page.wait("document.querySelector('#thread-b')?.checkVisibility()")
        page.type("#differences", '{"temperature": 0.1}')
        listen(page)
        ask_and_wait(page, "Which is better?")
        page.wait(f"!({BUSY}) && document.querySelectorAll('#thread-b .item.assistant').length === 1")
        one, other = sent(page)
        assert "temperature" not in one and other["temperature"] == 0.1
        assert page.js("document.querySelector('#preset-save, #presets') !== null"), "no presets"
        assert page.js("[...document.querySelectorAll('button')].some((one) => /link/i.test(one.innerText))"), "no link"
    return "two answers beside each other, each with its figures"


def d19_what_can_be_done_with_a_message(folder: Path) -> str:
    """Copy, edit, regenerate, delete: at each turn; export of the thread."""
    with opened(folder, "d19") as page:
        ask_and_wait(page, "first")
        ask_and_wait(page, "second")
        buttons = page.js(
            "[...document.querySelectorAll('#thread .turn:last-child .turn-actions button')].map((b) => b.innerText)"
        )
        assert {"Copy", "Raw", "Edit", "Delete"} <= set(buttons) and {"Retry", "Regenerate"} & set(buttons), buttons
        act(page, 0, "Delete")
        page.wait("document.querySelectorAll('#thread .turn').length === 1")
        assert prompts(page) == ["second"] and page.js("document.querySelector('#export').checkVisibility()")
    return ", ".join(buttons)


def d20_a_reload_keeps_the_thread(folder: Path) -> str:
    """A reload shows the thread again, and goes on with it."""
    with opened(folder, "d20") as page:
        ask_and_wait(page, "before the reload")
        page.reload()
        page.wait("document.querySelectorAll('#thread .item.assistant').length === 1")
        listen(page)
        ask_and_wait(page, "after it")
        assert prompts(page) == ["before the reload", "after it"] and sent(page)[0]["previous_response_id"]
    return "the thread is there, and continued"


def d23_theme_and_title(folder: Path) -> str:
    """A theme is chosen and kept; the tab is named after the thread."""
    with opened(folder, "d23") as page:
        ask_and_wait(page, "Who sings?")
        assert page.js("document.title") == "Who sings? · Antiphon"
        paper = "getComputedStyle(document.body).backgroundColor"
        light = page.js(paper)
        page.js("document.querySelector('#theme').value = 'dark'")
        page.js("document.querySelector('#theme').dispatchEvent(new Event('change'))")
        page.reload()
        assert page.js(paper) != light
        ask(page, "And now?")
        until_done(page)
    return "dark is kept over a reload; the tab is named after the thread"
