"""Two threads side by side, and how the page is laid out: panes, theme, title, phone."""

from __future__ import annotations

from tests.page.browser import Page
from tests.page.steps import BUSY, ask, ask_and_wait, listen, sent, until_done


def test_two_settings_are_compared(page: Page) -> None:
    ask_and_wait(page, "Before")
    page.click("#compare")
    page.wait("document.querySelectorAll('#thread-b .turn').length === 1")
    page.type("#differences", '{"instructions": "B", "temperature": 0.1, "store": false}')
    page.type("#instructions", "A")
    listen(page)
    ask_and_wait(page, "/delay 0.01\nHello there")
    page.wait("document.querySelectorAll('#thread-b .item.assistant').length === 2")
    page.wait(f"!({BUSY})")
    one, other = sent(page)
    assert (one["instructions"], other["instructions"]) == ("A", "B")
    assert other["temperature"] == 0.1 and "temperature" not in one
    assert one["previous_response_id"] == other["previous_response_id"]
    assert "total" in page.text("#lane-b .figures") and "total" in page.text("#figures")
    page.js("document.querySelector('#watch-lane').value = 'b'")
    page.js("document.querySelector('#watch-lane').dispatchEvent(new Event('change'))")
    until_done(page)
    page.reload()
    page.wait("document.querySelectorAll('#thread-b .item.assistant').length === 2")
    ask_and_wait(page, "On")  # the second thread goes on by itself
    page.wait("document.querySelectorAll('#thread-b .item.assistant').length === 3")
    page.wait(f"!({BUSY})")
    page.click("#compare")
    assert page.js("document.querySelector('#lane-b')") is None
    page.reload()
    assert page.js("document.querySelector('#lane-b')") is None


def test_differences_that_are_no_json_are_told(page: Page) -> None:
    page.click("#compare")
    page.type("#differences", "[1]")
    ask(page, "Hi")
    page.wait("document.querySelector('#differences-problem').innerText")
    assert page.js("document.querySelector('.item')") is None


def test_panes_are_resized_and_closed(page: Page) -> None:
    width = "document.querySelector('#settings').getBoundingClientRect().width"
    before = page.js(width)
    page.js("document.querySelector('#divide-settings').focus()")
    page.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    page.wait(f"{width} > {before}")
    page.click("#toggle-events")
    assert not page.js("document.querySelector('#events').checkVisibility()")
    page.reload()
    assert not page.js("document.querySelector('#events').checkVisibility()") and page.js(width) > before
    page.click("#toggle-events")
    assert page.js("document.querySelector('#events').checkVisibility()")


def test_the_answer_has_more_room_than_the_events(page: Page) -> None:
    for width in (980, 1100, 1440):
        page.look(width, 800)
        answer, events = (
            page.js(f"document.querySelector('{pane}').getBoundingClientRect().width")
            for pane in ("#thread", "#events")
        )
        assert answer > events, width
        assert page.js("document.documentElement.scrollWidth") <= width


def test_the_theme_is_chosen_and_kept(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.js(paper)
    page.js("document.querySelector('#theme').value = 'dark'")
    page.js("document.querySelector('#theme').dispatchEvent(new Event('change'))")
    dark = page.js(paper)
    assert dark != light
    page.reload()
    assert page.js(paper) == dark


def test_the_tab_is_named_after_the_thread(page: Page) -> None:
    ask_and_wait(page, "A question")
    assert page.js("document.title") == "A question · Antiphon"
    page.click("#fresh")
    assert page.js("document.title") == "Antiphon"


def test_on_a_phone_the_end_of_the_answer_is_in_view(page: Page) -> None:
    page.look(390, 800)
    ask(page, "/repeat 80 A line of words that is long enough to fill the width of a phone.\nThe end.")
    page.wait("document.querySelector('.turn-actions')")
    bottom = "document.querySelector('.turn-actions').getBoundingClientRect().bottom"
    page.wait(f"{bottom} <= document.querySelector('#composer').getBoundingClientRect().top + 1")
    assert page.js("document.querySelector('#composer').getBoundingClientRect().height") < 0.3 * 800
    assert page.js("document.querySelector('.top').getBoundingClientRect().height") < 0.12 * 800  # one row of views
    page.js("document.querySelector('.menu').open = true")
    assert page.js("document.querySelector('#key').checkVisibility()")
    page.js("document.querySelector('.menu').open = false")
    assert page.js("document.documentElement.scrollWidth") <= 390


def test_a_person_who_reads_further_up_is_left_there(page: Page) -> None:
    page.look(1000, 500)
    ask_and_wait(page, "\n".join(["line"] * 100))
    page.js("document.querySelector('#thread').scrollTop = 0")
    page.js("new Promise((done) => setTimeout(done, 50))")
    ask(page, "/delay 0.01\n/repeat 50 word")
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.js("document.querySelector('#thread').scrollTop = 0")
    page.wait(f"!({BUSY})")
    assert page.js("document.querySelector('#thread').scrollTop") == 0
