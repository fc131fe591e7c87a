"""Every search provider: what it is asked, and what is read of its answer, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.config.web_search import KEYED, PROVIDER_NAMES
from antiphon.tools.base import McpTool, ToolOutput, ToolServer, ToolServerError
from antiphon.tools.web.provider_calls import HttpSearch, McpSearch, SearchFailed
from antiphon.tools.web.providers import PROVIDERS, Wish, hits
from tests.tools.web.site import Web, hits_of, web

ASKED: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "searxng": ("/search", {"q": "fund news site:a.example", "format": "json"}, {}),
    "brave": (
        "/res/v1/web/search",
        {"q": "fund news site:a.example", "count": "5", "country": "de", "extra_snippets": "true"},
        {"x-subscription-token": "k"},
    ),
    "tavily": (
        "/search",
        {"query": "fund news", "max_results": 5, "include_domains": ["a.example"]},
        {"authorization": "Bearer k"},
    ),
    "exa": (
        "/search",
        {
            "query": "fund news",
            "numResults": 5,
            "includeDomains": ["a.example"],
            "contents": {"text": {"maxCharacters": 8000}},
        },
        {"x-api-key": "k"},
    ),
    "serper": ("/search", {"q": "fund news site:a.example", "num": 5, "gl": "de"}, {"x-api-key": "k"}),
    "kagi": ("/api/v0/search", {"q": "fund news site:a.example", "limit": "5"}, {"authorization": "Bot k"}),
    "wikipedia": (
        "/w/api.php",
        {
            "action": "query",
            "list": "search",
            "format": "json",
            "srsearch": "fund news",
            "srlimit": "5",
        },
        {},
    ),
}
WISH = Wish(query="fund news", results=5, domains=["a.example"], country="de")


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with web() as url:
        yield url


def client(name: str, url: str, timeout: float = 10.0) -> HttpSearch:
    return HttpSearch(name, PROVIDERS[name], url, "k", timeout)


def test_the_table_and_the_settings_name_the_same() -> None:
    assert set(PROVIDERS) == set(PROVIDER_NAMES) == set(ASKED)
    assert {name for name, provider in PROVIDERS.items() if provider.key} == KEYED


@pytest.mark.parametrize("name", PROVIDER_NAMES)
async def test_a_provider(name: str, base: str) -> None:
    search = client(name, base)
    found = await search.search(WISH)
    await search.close()
    path, query, headers = ASKED[name]
    asked = Web.asked[-1]
    assert (asked["path"], asked["query"]) == (path, query)
    sent = {key.lower(): value for key, value in asked["headers"].items()}
    assert {key: sent.get(key) for key in headers} == headers
    texts = [" ".join(hit.text.split()) for hit in found]
    assert texts == [text for _, _, text in hits_of(base)]
    if name == "wikipedia":
        assert [hit.url for hit in found] == [
            f"https://en.wikipedia.org/wiki/{title}" for title in ("Fund_(finance)", "More")
        ]
    else:
        assert [(hit.url, hit.title) for hit in found] == [(url, title) for url, title, _ in hits_of(base)]


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("status 403", "status 403", "search.formats"),
        ("status 429", "status 429", "limiter"),
        ("status 500", "status 500", "fails at present"),
        ("status 401", "status 401", "`key` in"),
        ("status 402", "status 402", "no credit"),
        ("status 404", "status 404", "set `url`"),
        ("status 302", "status 302", "another address"),
        ("status 418", "status 418", ""),
        ("nonsense", "not the expected JSON", "searxng"),
        ("slow", "within 0.5 seconds", ""),
    ],
)
async def test_a_search_that_fails(query: str, message: str, hint: str, base: str) -> None:
    search = client("searxng", base, 0.5)
    with pytest.raises(SearchFailed, match=message) as failed:
        await search.search(Wish(query=query))
    await search.close()
    assert hint in failed.value.hint


async def test_a_provider_that_is_not_there() -> None:
    search = client("searxng", "http://127.0.0.1:9", 2.0)
    with pytest.raises(SearchFailed, match="cannot be reached"):
        await search.search(Wish(query="x"))
    await search.close()


@pytest.mark.parametrize("answer", [None, 7, [], {}, {"results": {}}, {"results": None}])
def test_answers_of_other_shapes_are_no_results(answer: Any) -> None:
    assert not hits(PROVIDERS["searxng"], answer, Wish(query="x"))


def test_hits_that_are_no_pages_are_left_out() -> None:
    wrong = [
        {"url": url, "title": "t", "content": "c"}
        for url in ("ftp://a", "javascript:x", 7, None, "https://" + "a" * 3000)
    ]
    good = {"url": "https://a.example/", "title": ["t"], "content": {"a": 1}}
    (hit,) = hits(PROVIDERS["searxng"], {"results": [*wrong, "x", good]}, Wish(query="x")) or []
    assert (hit.url, hit.title, hit.text) == ("https://a.example/", "", "")


class Server:
    """An MCP server's tool that says what it is told to."""

    def __init__(self, text: str, failed: bool = False) -> None:
        self.text, self.failed, self.calls = text, failed, []  # type: ignore[var-annotated]

    async def check(self, tool: McpTool, param: str) -> None:
        assert tool.server_label == "label"

    def connect(self, tool: McpTool, *, session: bool = False) -> ToolServer:
        return self

    async def list(self) -> list[Any]:
        return []

    async def call(self, name: str, arguments: str) -> ToolOutput:
        self.calls.append((name, arguments))
        if self.text == "down":
            raise ToolServerError("It is down.")
        return ToolOutput(self.text, self.failed)

    async def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ('[{"url": "https://a.example/", "title": "A", "snippet": "s"}, {"link": "https://b.example/"}]', ["a", "b"]),
        ('{"results": [{"href": "https://a.example/", "content": "s"}]}', ["a"]),
        ("Found https://a.example/, and (https://b.example/).", ["a", "b"]),
        ("Nothing.", []),
    ],
)
async def test_a_tool_of_an_mcp_server(text: str, urls: list[str]) -> None:
    server = Server(text)
    found = await McpSearch(server, "label", "find").search(Wish(query="x"))
    assert server.calls == [("find", '{"query": "x"}')]
    assert [hit.url for hit in found] == [f"https://{name}.example/" for name in urls]


@pytest.mark.parametrize("server", [Server("down"), Server("It broke.", failed=True)])
async def test_a_tool_that_fails(server: Server) -> None:
    with pytest.raises(SearchFailed, match="The search tool failed"):
        await McpSearch(server, "label", "find").search(Wish(query="x"))
