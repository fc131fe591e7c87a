"""The thread: sending by keyboard, turns that are edited, repeated, deleted; failures; a reload; copies."""

from __future__ import annotations

import json

from tests.page.browser import Page
from tests.page.steps import BUSY, act, ask, ask_and_wait, listen, prompts, rows, sent, until_done
from tests.server.whole import Client

LAST = "document.querySelector('#continues a').hash.split('/')[1]"


def test_enter_sends_and_a_setting_changes_it(page: Page) -> None:
    page.type("#input", "One")
    page.press("Enter")
    page.wait("document.querySelector('.item.assistant')")
    until_done(page)
    page.js("document.querySelector('.menu').open = true")
    page.click("#enter")
    page.js("document.querySelector('.menu').open = false")
    page.type("#input", "Two")
    page.press("Enter")
    assert page.js("document.querySelector('#input').value") == "Two\n"
    page.press("Enter", control=True)
    page.wait("document.querySelectorAll('.item.assistant').length === 2")
    until_done(page)
    page.reload()
    assert page.js("document.querySelector('#enter').checked") is False


def test_a_turn_in_the_middle_is_deleted_and_what_stays_is_sent(page: Page) -> None:
    ids = []
    for text in ("First", "Second", "Third"):
        ask_and_wait(page, text)
        ids.append(page.js(LAST))
    listen(page)
    act(page, 1, "Delete")
    assert prompts(page) == ["First", "Third"]
    ask_and_wait(page, "Fourth")
    (body,) = sent(page)
    assert body["previous_response_id"] == ids[0]
    assert [item["content"] if item["role"] == "user" else item["content"][0]["text"] for item in body["input"]] == [
        "Third",
        "Third",
        "Fourth",
    ]
    ask_and_wait(page, "Fifth")  # the last response stands for all before it
    assert sent(page)[1]["input"] == "Fifth" and "previous_response_id" in sent(page)[1]


def test_it_is_told_what_the_next_request_goes_on_from(page: Page) -> None:
    standing = "document.querySelector('#continues').innerText"
    ask_and_wait(page, "first")
    ask_and_wait(page, "second")
    assert page.js(standing).startswith("continues resp")
    act(page, 0, "Delete")
    page.wait(f"{standing} === 'sends the thread again'")
    ask_and_wait(page, "third")
    assert page.js(standing).startswith("continues resp")
    page.click("#store")
    ask_and_wait(page, "fourth")
    assert page.js(standing).endswith(", sends what came after it again")


def test_a_turn_is_repeated_and_edited(page: Page) -> None:
    ask_and_wait(page, "First")
    ask_and_wait(page, "Second")
    listen(page)
    act(page, -1, "Regenerate")
    until_done(page)
    page.wait("sent.length === 1")
    until_done(page)
    first = sent(page)[0]
    assert first["input"] == "Second" and prompts(page) == ["First", "Second"]
    act(page, 0, "Edit")
    assert page.js("document.querySelector('#input').value") == "First"
    assert page.js("document.querySelector('#editing').checkVisibility()")
    ask(page, "Uno")
    page.wait("sent.length === 2")
    until_done(page)
    assert prompts(page) == ["Uno"] and "previous_response_id" not in sent(page)[1]
    assert not page.js("document.querySelector('#editing').checkVisibility()")


def test_a_failed_turn_keeps_its_prompt_and_is_not_sent_on(page: Page) -> None:
    listen(page)
    ask(page, "/error 503 Away.")
    page.wait("document.querySelector('#thread .problem')")
    assert prompts(page) == ["/error 503 Away."]
    page.wait("document.querySelectorAll('#rows li').length === 2")
    assert [(row["number"], row["type"]) for row in rows(page)] == [("→", "request"), ("←", "HTTP 503")]
    page.click("#rows li:first-child summary")  # what was sent can be read beside what came back
    page.wait("document.querySelector('#rows li:first-child pre')?.innerText.includes('/error 503 Away.')")
    assert page.text("#figures").endswith("total") and "–" not in page.text("#figures")
    ask_and_wait(page, "On")
    assert sent(page)[1]["input"] == "On"
    act(page, 0, "Edit")
    ask(page, "Better")
    page.wait("sent.length === 3")
    until_done(page)
    assert prompts(page) == ["Better"]
    page.problems.clear()  # the browser itself tells of the 503


def test_a_stopped_turn_is_retried(page: Page) -> None:
    ask(page, "/delay 0.05\n/repeat 2000 word")
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.press("Escape")
    page.wait(f"!({BUSY})")
    assert "not sent on" in page.text(".answer")
    listen(page)
    act(page, 0, "Retry")
    page.wait("sent.length === 1")
    page.click("#stop")
    page.wait(f"!({BUSY})")
    assert page.js("document.querySelectorAll('#thread .turn').length") == 1


def test_a_reload_keeps_the_thread(page: Page, server: Client) -> None:
    ask_and_wait(page, "/think Hm.\n**Stored**")
    page.click("#store")
    ask_and_wait(page, "Not stored")
    ask(page, "/error 500 Oh.")
    page.wait("document.querySelector('#thread .problem')")
    page.reload()
    page.wait("document.querySelectorAll('#thread .turn').length === 3")
    assert page.text(".item.assistant strong") == "Stored"
    assert page.text("#thread .problem").startswith("Oh.")
    listen(page)
    ask_and_wait(page, "On")
    (body,) = sent(page)
    assert [item["type"] for item in body["input"]] == ["message", "message", "message"] and body[
        "previous_response_id"
    ]
    page.click("#fresh")
    page.reload()
    assert page.js("document.querySelectorAll('#thread .turn').length") == 0
    page.problems.clear()  # the browser itself tells of the 500


def test_a_request_that_ran_while_the_page_was_left_is_kept_as_stopped(page: Page) -> None:
    ask(page, "/delay 0.05\n/repeat 2000 word")
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.reload()
    page.wait("document.querySelector('#thread .turn')")
    assert "not sent on" in page.text("#thread .answer")
    act(page, 0, "Edit")
    assert page.js("document.querySelector('#input').value").startswith("/delay")


def test_answers_are_copied_shown_raw_and_exported(page: Page) -> None:
    ask_and_wait(page, "Some **bold** words")
    page.js(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => (window.copied = text)}})"
    )
    act(page, 0, "Copy")
    page.wait("window.copied")
    assert page.js("copied") == "Some **bold** words"
    act(page, 0, "Raw")
    assert page.text(".item.assistant .raw-text") == "Some **bold** words"
    act(page, 0, "Raw")
    assert page.text(".item.assistant strong") == "bold"
    page.js("HTMLAnchorElement.prototype.click = () => {}; 1")
    page.js("URL.createObjectURL = (blob) => { window.saved = blob.text(); return '#' }; 1")
    page.click("#export")
    items = json.loads(page.js("saved"))
    assert [item["role"] for item in items] == ["user", "assistant"]


def test_parallel_calls_are_told_apart_by_their_arguments(page: Page) -> None:
    page.click("[data-example=tools]")
    calls = '/call get_weather {"city": "Paris"}\n/call get_weather {"city": "Rome"}'
    ask_and_wait(page, calls)
    page.wait("document.querySelectorAll('.outputs textarea').length === 2")
    labels = page.js("[...document.querySelectorAll('.outputs label')].map((one) => one.innerText)")
    assert labels == ['Output of get_weather(city="Paris")', 'Output of get_weather(city="Rome")']
    page.js(
        "document.querySelectorAll('.outputs textarea').forEach((one, index) => (one.value = ['sun', 'rain'][index]))"
    )
    page.click(".outputs button")
    page.wait("document.querySelectorAll('.item.assistant').length")
    until_done(page)
    heads = page.js("[...document.querySelectorAll('#thread .item.call .who')].map((one) => one.innerText)")
    assert heads[2:] == ['output of get_weather(city="Paris")', 'output of get_weather(city="Rome")']
    act(page, -1, "Delete")  # with the turn that called
    assert page.js("document.querySelectorAll('#thread .turn').length") == 0
