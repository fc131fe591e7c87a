"""The playground in a real browser: answers, events, calls, background, errors."""

from __future__ import annotations

import json

from antiphon.config import GuardConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.page.steps import BUSY, ask, ask_and_wait, events, rows, tools, until_done
from tests.server.whole import Client, whole_server

HOSTILE = '<img src="http://192.0.2.1/x.png" onerror="document.title=1"> <script>document.title = 2</script>'


def test_a_streamed_answer_with_its_timeline(page: Page) -> None:
    ask_and_wait(page, "/think Hm.\n/delay 0.01\nThe **answer** is:\n\n- one\n- two")
    assert page.text(".item.assistant strong") == "answer"
    assert page.js("[...document.querySelectorAll('.item.assistant li')].map(one => one.innerText)") == ["one", "two"]
    shown = events(page)
    assert [row["number"] for row in shown] == [str(number) for number in range(len(shown))]
    assert [shown[0]["type"], shown[-1]["type"]] == ["created", "completed"]
    times = [float(row["time"]) for row in shown]
    assert times == sorted(times)
    assert times[-1] > 0.05
    assert "".join(row["glimpse"] for row in shown if row["type"] == "output_text.delta").split()[:2] == [
        "The",
        "**answer**",
    ]
    assert page.text("#count") == f"{len(shown)} events"
    assert "first token" in page.text("#figures") and "tokens/s" in page.text("#figures")


def test_what_the_backend_said_stands_before_the_events_made_of_it(page: Page) -> None:
    ask_and_wait(page, "/delay 0.01\nOne two")
    said = [row["glimpse"].strip() for row in rows(page) if row["number"] == "←"]
    assert said[:2] == ["One", "two"]
    names = [row["type"] if row["number"] != "←" else "←" for row in rows(page)]
    assert names.index("←") < names.index("output_item.added")
    page.click("#show-said")
    assert page.js("document.querySelector('#rows .said').checkVisibility()") is False


def test_an_event_opens_to_its_json(page: Page) -> None:
    ask_and_wait(page, "Hi")
    page.click("#rows li:last-child summary")
    page.wait("document.querySelector('#rows li:last-child pre')")
    event = json.loads(page.text("#rows li:last-child pre"))
    assert event["type"] == "response.completed" and event["response"]["output"][0]["content"][0]["text"] == "Hi"


def test_what_the_model_says_is_never_html(page: Page) -> None:
    ask_and_wait(page, f"{HOSTILE}\n[click](javascript:alert(1)) ![x](http://192.0.2.1/y.png)")
    assert HOSTILE in page.text(".item.assistant")
    assert page.js("document.querySelectorAll('.item img, .item script, .item a[href^=javascript]').length") == 0
    assert page.js("document.title").endswith("· Antiphon")


def test_a_function_call_is_answered(page: Page) -> None:
    page.click("[data-example=tools]")
    ask_and_wait(page, '/call get_weather {"city": "Paris"}')
    assert '"city": "Paris"' in page.text(".item.call pre")
    page.wait("document.activeElement.matches('.outputs textarea')")
    page.send("Input.insertText", text="sunny")
    page.click(".outputs button")
    page.wait("document.querySelectorAll('.item.assistant').length")
    until_done(page)
    assert page.text(".item.assistant").strip() == "sunny"
    assert page.js("document.querySelector('.outputs')") is None


def test_a_thread_goes_on_and_can_be_begun_anew(page: Page, server: Client) -> None:
    ask_and_wait(page, "First")
    first = page.js("document.querySelector('#continues a').hash.split('/')[1]")
    ask_and_wait(page, "Second")
    page.wait(f"document.querySelector('#continues a').hash.split('/')[1] !== '{first}'")
    second = page.js("document.querySelector('#continues a').hash.split('/')[1]")
    assert server.get(f"/v1/responses/{second}")[1]["previous_response_id"] == first
    page.click("#fresh")
    assert page.js("document.querySelector('.item')") is None


def test_what_is_not_stored_is_sent_again(page: Page, server: Client) -> None:
    page.click("#store")
    ask_and_wait(page, "First")
    ask_and_wait(page, "Second")
    assert page.js("[...document.querySelectorAll('.item .body')].map(one => one.innerText.trim())") == [
        "First",
        "First",
        "Second",
        "Second",
    ]
    assert page.js("localStorage.getItem('antiphon-responses')") is None


def test_a_background_response_goes_on_after_a_reload(page: Page) -> None:
    page.click("#background")
    ask(page, "/delay 0.02\n/repeat 80 word")
    page.wait("JSON.parse(sessionStorage.getItem('antiphon-run') ?? '{}').log?.length > 20")
    page.reload()
    page.wait("document.querySelector('.item.assistant')")
    until_done(page)
    resumed = [url.rpartition("=")[2] for url in page.requests if "starting_after" in url]
    assert len(resumed) == 1 and int(resumed[0]) > 10
    shown = events(page)
    assert [row["number"] for row in shown] == [str(number) for number in range(len(shown))]
    assert page.text(".item.assistant").split() == ["word"] * 80
    assert page.js("sessionStorage.getItem('antiphon-run')") is None


def test_stop_lets_go_of_the_response(page: Page, server: Client) -> None:
    ask(page, "/delay 0.05\n/repeat 2000 word")
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.press("Escape")
    page.wait(f"!({BUSY})")
    assert "stopped" in page.text(".answer")
    page.wait("fetch('admin/requests').then(a => a.json()).then(list => list.data[0].status === 'abandoned')")


def test_a_background_response_is_cancelled(page: Page) -> None:
    page.click("#background")
    ask(page, "/delay 0.05\n/repeat 2000 word")
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.click("#stop")
    page.wait(f"!({BUSY})")
    assert "Cancelled" in page.text(".answer")


def test_a_failure_in_mid_answer_is_told(page: Page) -> None:
    ask_and_wait(page, "Well\n/delay 0.01\n/error 400 The GPU is on fire.")
    assert "The GPU is on fire." in page.text(".answer .problem")


def test_what_a_guard_has_blocked_is_told(visit: Open) -> None:
    guards = {"codes": GuardConfig(words=["nightjar"], looks_at=["text"], window=32, refusal="Not that.")}
    with whole_server(guards=guards) as client:
        page = visit(client)
        ask_and_wait(page, "It is the nightjar.")
        assert page.text(".item.assistant .body").split("\n") == ["It is the", "", "Not that."]
        assert "content_filter · output: codes" in page.text(".answer .problem")


def test_a_field_that_is_no_json_is_refused(page: Page) -> None:
    tools(page, "[{")
    ask(page, "Hi")
    page.wait("document.querySelector('#tools-problem').innerText")
    assert page.js("document.activeElement.id") == "tools"
    assert page.js("document.querySelector('.item')") is None


def test_the_request_as_code(page: Page) -> None:
    page.type("#instructions", "Be brief.")
    page.type("#input", "Don't stop")
    page.click("#code")
    assert "'{" in page.text("#snippet") and "Don'\\''t stop" in page.text("#snippet")
    page.click("[data-language=python]")
    code = page.text("#snippet")
    compile(code, "snippet", "exec")
    assert 'input="Don\'t stop"' in code and "stream=True" in code and 'instructions="Be brief."' in code
    page.click("[data-language=javascript]")
    assert 'import OpenAI from "openai"' in page.text("#snippet")
    page.press("Escape")
    page.wait("!document.querySelector('#snippets').open")


def test_a_key_is_asked_for_and_kept_in_this_session_only(visit: Open) -> None:
    with whole_server(api_keys=["sk-secret"]) as client:
        page = visit(client)
        page.wait("document.querySelector('#key').ariaInvalid === 'true'")
        page.problems.clear()  # the browser itself tells of every 401
        page.type("#key", "sk-secret")
        page.press("Enter")
        page.press("Tab")
        page.wait("document.querySelector('#model').value === 'scripted'")
        ask_and_wait(page, "Hi")
        assert page.text(".item.assistant").strip() == "Hi"
        assert "sk-secret" not in page.js("JSON.stringify(localStorage)")
        page.click("#code")
        assert "sk-secret" not in page.text("#snippet")
        page.leave()
