"""A browser for all tests of the page, and a tab with a fresh storage for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.page.browser import Page, Tabs, chromium
from tests.server.whole import Client, whole_server

Open = Callable[[Client], Page]


@pytest.fixture(scope="session")
def tabs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabs]:
    with chromium(tmp_path_factory.mktemp("chromium")) as tabs:
        yield tabs


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    """A server with the scripted backend, shared by a module's tests."""
    with whole_server() as client:
        yield client


@pytest.fixture
def visit(tabs: Tabs) -> Iterator[Open]:
    """Open a server's page; in the end its console has nothing to complain of, and no other host was asked for anything."""
    opened: list[tuple[Client, Page]] = []

    def open(client: Client) -> Page:
        page = stack.enter_context(tabs())
        opened.append((client, page))
        page.look()
        page.goto(client.url + "/")
        return page

    with ExitStack() as stack:
        yield open
        for client, page in opened:
            page.js("1")  # what the browser has said meanwhile
            assert page.problems == []
            assert [url for url in page.requests if not url.startswith((client.url, "data:"))] == []


@pytest.fixture
def page(visit: Open, server: Client) -> Page:
    """The page of the shared server."""
    return visit(server)


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core; scripts/install fetches it."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__path__[0]) / "axe.min.js").read_text()
