"""Browsing: stored responses and conversations, forks, deletion; what the server does."""

from __future__ import annotations

from antiphon.config import KeyConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.page.steps import ask, ask_and_wait, until_done
from tests.server.whole import Client, whole_server


def made_by_another(server: Client, text: str, **fields: object) -> str:
    return str(server.create(model="scripted", input=text, **fields)["id"])


def test_a_stored_response_is_read_continued_and_deleted(page: Page, server: Client) -> None:
    first = made_by_another(server, "How are you?")
    page.js("location.hash = 'library'")
    page.wait(f"document.querySelector('#entry-{first} a')")
    page.click(f"#entry-{first} a")
    page.wait("document.querySelectorAll('#reading .item').length === 2")
    assert page.text("#reading .item.user .plain") == "How are you?"
    page.click("#reading .actions .quiet")
    page.wait("document.querySelector('#thread .item')")
    assert page.js("document.activeElement.id") == "input"
    ask_and_wait(page, "And now?")
    second = page.js("document.querySelector('#continues a').hash.split('/')[1]")
    assert server.get(f"/v1/responses/{second}")[1]["previous_response_id"] == first
    page.js(f"location.hash = 'library/{first}'")
    page.wait("document.querySelector('#reading .danger')?.checkVisibility()")
    page.click("#reading .danger")
    assert server.get(f"/v1/responses/{first}")[0] == 200
    page.click("#reading .danger")
    page.wait(f"location.hash === '#library' && !document.querySelector('#entry-{first}')")
    assert server.get(f"/v1/responses/{first}")[0] == 404


def test_a_conversation_is_begun_read_and_gone_on_with(page: Page, server: Client) -> None:
    page.js("document.querySelector('#conversation').value = 'new'")
    ask_and_wait(page, "Once upon a time")
    ask_and_wait(page, "there was a choir.")
    conversation = page.js("document.querySelector('#conversation').value")
    assert len(server.get(f"/v1/conversations/{conversation}/items")[1]["data"]) == 4
    page.js("location.hash = 'library'")
    page.click("#list-conversations")
    page.click(f"#talk-rows a[href$={conversation}]")
    page.wait("document.querySelectorAll('#reading .item').length === 4")
    page.click("#reading .actions button")
    assert page.js("document.querySelector('#conversation').value") == conversation


def test_conversations_of_the_store_are_listed_and_found_by_a_word(page: Page, server: Client) -> None:
    for number in range(60):
        item = {"role": "user", "content": f"{'Carmen' if number == 7 else 'Faust'}, rehearsal {number}"}
        assert server.post("/v1/conversations", items=[item])[0] == 200
    page.js("location.hash = 'library/conversations'")
    page.wait("document.querySelectorAll('#talk-rows a').length === 50")
    page.js("document.querySelector('.shelf').scrollTo(0, 1e6)")
    page.wait("document.querySelectorAll('#talk-rows a').length >= 60")
    assert "Faust, rehearsal 59" in page.text("#talk-rows li")
    page.js("const q = document.querySelector('#talk-q'); q.value = 'carmen 7'; q.dispatchEvent(new Event('input'))")
    page.wait("document.querySelectorAll('#talk-rows a').length === 1")
    assert page.text("#talk-note") == "1 total" and page.js("location.hash") == "#library/conversations?q=carmen+7"
    page.click("#talk-rows a")
    page.wait("document.querySelectorAll('#reading .item').length === 1")
    assert page.js("document.querySelector('#talk-rows [aria-current]') !== null")
    page.js("q.value = 'opera'; q.dispatchEvent(new Event('input'))")
    page.wait("document.querySelector('#talk-note').textContent === 'Nothing found.'")


def test_a_background_response_of_another_is_watched(page: Page, server: Client) -> None:
    id = made_by_another(server, "/delay 0.03\n/repeat 60 word", background=True)
    page.js(f"location.hash = 'library/{id}'")
    page.wait("document.querySelector('#reading .actions button')?.innerText === 'Watch it'")
    page.click("#reading .actions button")
    until_done(page)
    assert page.text("#thread .item.assistant").split() == ["word"] * 60


def test_what_runs_and_what_ran(page: Page) -> None:
    ask(page, "/delay 0.05\n/repeat 2000 word")
    page.wait("document.querySelectorAll('#rows .delta').length > 3")
    page.js("location.hash = 'activity'")
    page.wait("Number(document.querySelector('#activity .in_progress td:last-child')?.innerText) > 1")
    page.js("location.hash = 'play'")
    page.click("#stop")
    page.js("location.hash = 'activity'")
    page.wait("document.querySelector('#activity .abandoned')")
    assert page.js("document.querySelector('#activity .in_progress')") is None


def test_who_is_no_operator_sees_what_was_made_here(visit: Open) -> None:
    with whole_server(api_keys=["sk-secret"]) as client:
        client.headers = {"authorization": "Bearer sk-secret"}
        page = visit(client)
        page.type("#key", "sk-secret")
        page.press("Tab")
        page.wait("document.querySelector('#model').value === 'scripted'")
        ask_and_wait(page, "here")
        page.js("location.hash = 'activity'")
        page.wait("document.querySelectorAll('#activity .completed').length === 1")
        page.leave()
        page.problems.clear()  # the browser itself tells of every 401 and 403


def test_an_operator_reads_what_another_owner_said_and_forks_it(visit: Open) -> None:
    keys = {
        "ann": KeyConfig(key="ann", owner="team-ann"),
        "root": KeyConfig(key="root", scopes=["responses", "admin"]),
    }
    with whole_server(keys=keys) as server:
        ann, root = Client(server.url, "ann"), Client(server.url, "root")
        first = ann.create(model="scripted", input="Who sings?")
        second = ann.create(model="scripted", input="And who plays?", previous_response_id=first["id"])
        talk = ann.post("/v1/conversations", items=[{"role": "user", "content": "Which hall?"}])[1]["id"]
        inside = ann.create(model="scripted", input="And when?", conversation=talk)["id"]
        page = visit(server)
        page.type("#key", "root")
        page.press("Tab")
        page.wait("document.querySelector('#model').value === 'scripted'")
        page.js(f"location.hash = 'library/{talk}'")
        page.wait("document.querySelectorAll('#reading .item').length === 3")
        shown = page.text("#reading")
        assert "Which hall?" in shown and "team-ann" in shown and "Continue" not in shown
        page.js(f"location.hash = 'library/{second['id']}'")
        page.wait("document.querySelector('#reading h2')?.innerText === 'And who plays?'")
        assert page.js("[...document.querySelectorAll('#reading .actions button')].map((one) => one.innerText)") == [
            "Fork",
            "Delete",
        ]
        page.click("#reading .actions button")
        page.wait("document.querySelector('#input').value === 'And who plays?'")
        page.js("location.hash = 'play'")
        page.click("#send")
        until_done(page)
        forked = page.js("document.querySelector('#continues a').hash.split('/')[1]")
        sent = root.get(f"/v1/responses/{forked}/input_items?order=asc")[1]["data"]
        assert [one["role"] for one in sent] == ["user", "assistant", "user"]
        page.js(f"location.hash = 'library/{inside}'")
        page.wait("document.querySelector('#reading h2')?.innerText === 'And when?'")
        page.click("#reading .actions button")
        page.wait("document.querySelector('#thread .note')")
        assert "belongs to another owner" in page.text("#thread .note")
        page.js(f"location.hash = 'library/{talk}'")
        page.wait("document.querySelector('#reading h2')?.innerText !== 'And when?'")  # its Delete is a response's
        page.wait("document.querySelectorAll('#reading .item').length === 3")
        page.wait("document.querySelector('#reading .danger')?.checkVisibility()")
        page.click("#reading .danger")
        page.click("#reading .danger")
        page.wait("location.hash === '#library/conversations'")
        assert ann.get(f"/v1/conversations/{talk}")[0] == 404
        page.leave()
        page.problems.clear()  # the browser itself tells of the 401 before the key was entered


def test_what_a_fork_of_another_owner_s_thread_lacks_is_told(visit: Open) -> None:
    keys = {"ann": KeyConfig(key="ann"), "root": KeyConfig(key="root", scopes=["responses", "admin"])}
    with whole_server(keys=keys) as server:
        ann = Client(server.url, "ann")
        talk = ann.post("/v1/conversations", items=[{"role": "user", "content": "Which hall?"}])[1]["id"]
        inside = ann.create(model="scripted", input="And when?", conversation=talk)["id"]
        threads = []
        for before, length in ((None, 50), (None, 51), (inside, 1)):
            for _ in range(length):
                before = ann.create(model="scripted", input="On", previous_response_id=before)["id"]
            threads.append(ann.create(model="scripted", input=f"After {length}", previous_response_id=before)["id"])
        page = visit(server)
        page.type("#key", "root")
        page.press("Tab")
        page.wait("document.querySelector('#model').value === 'scripted'")
        for thread, question, told in zip(
            threads, ("After 50", "After 51", "After 1"), ("", "the last 50", "belongs to another owner"), strict=True
        ):
            page.js(f"location.hash = 'library/{thread}'")
            page.wait(f"document.querySelector('#reading h2')?.innerText === '{question}'")
            page.click("#reading .actions button")
            page.wait(f"document.querySelector('#input').value === '{question}'")
            assert page.js("document.querySelectorAll('#thread .note').length") == bool(told), question
            assert not told or told in page.text("#thread .note")
        page.leave()
        page.problems.clear()  # the browser itself tells of the 401 before the key was entered
