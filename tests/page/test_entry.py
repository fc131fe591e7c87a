"""The first look: a server that asks for a key, one whose backend is down; links of Activity."""

from __future__ import annotations

import socket

from antiphon.config import BackendConfig, ModelConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.page.steps import ask_and_wait
from tests.server.whole import Client, whole_server


def test_a_server_with_keys_asks_for_one_in_the_middle(visit: Open) -> None:
    with whole_server(api_keys=["sk-plain"]) as client:
        page = visit(client)
        page.wait("document.querySelector('#locked').checkVisibility() && document.activeElement.id === 'locked-key'")
        assert not page.js("document.querySelector('#play').checkVisibility()")
        assert "API key" not in page.text("#health")
        page.type("#locked-key", "sk-wrong")
        page.press("Enter")
        page.wait("document.querySelector('#locked-note').innerText.includes('does not know')")
        page.type("#locked-key", "sk-plain")
        page.press("Enter")
        page.wait(
            "!document.querySelector('#locked').checkVisibility() && document.querySelector('#play').checkVisibility()"
        )
        page.wait("document.querySelector('#model').value === 'scripted'")
        ask_and_wait(page, "Thanks")
        page.problems.clear()  # the browser itself tells of every 401


def test_a_backend_that_is_down_is_told_with_its_reason(visit: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    backends = {"gone": BackendConfig(url=f"http://127.0.0.1:{port}/v1")}
    with whole_server(backends=backends, models={"m": ModelConfig(backends=["gone"])}, retries=0) as client:
        client.post("/v1/responses", model="m", input="Is anybody there?")
        page = visit(client)
        page.wait("document.querySelector('#health').innerText.startsWith('No backend is up')")
        assert page.text("#health") == "No backend is up: gone does not answer"
        assert page.js("document.querySelector('#health').className") == "down"
        page.problems.clear()  # the browser itself tells of the 503 of /ready


def test_activity_links_only_to_what_can_be_read(page: Page, server: Client) -> None:
    kept = server.create(model="scripted", input="kept")["id"]
    server.create(model="scripted", input="not kept", store=False)
    server.post("/v1/responses", model="scripted", input="/error 400 broken")
    page.js("location.hash = 'activity'")
    page.wait("document.querySelectorAll('#activity .sheet tbody tr').length >= 3")
    links = page.js("[...document.querySelectorAll('#activity tbody a')].map(one => one.hash.split('/')[1])")
    assert len(links) == 2
    assert links[1] == kept
    for id in links:
        assert server.get(f"/v1/responses/{id}")[0] == 200
