"""Providers of web search, as data: each is one request and a mapping of its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from antiphon.core.text.html_pieces import unescaped

LONGEST_SNIPPET = 20_000
"""Characters of one result's text that are read."""

MOST_READ = 100
"""Results of an answer that are read; no more than 20 are wanted."""

MOST_TEXTS = 20
"""Texts of one result."""

_MARKUP = re.compile(r"<[^<>]{0,200}>")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A search: the query, how many results, where they may come from, where the user is."""

    query: str
    results: int = 8
    domains: Sequence[str] = ()
    country: str = ""
    language: str = "en"


class Hit(msgspec.Struct, frozen=True):
    """A page that a provider found."""

    url: str
    title: str
    text: str


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is asked, and where its answer has what.

    `url` is its base URL, `{language}` in it the wish's. `fields` are those of the query, with `post` of a JSON body; of their
    values `query`, `results`, `domains`, `country` and `language` stand for the wish's, any other is sent as it is. `key` is
    the header with the key, `scheme` what stands before it. `hits` leads to the list of hits, whose fields are `link`,
    `title` and `texts`. `page` makes the URL of a hit that has none. `sites`: it
    knows `site:` in a query. `most` are the results it gives at most.
    """

    url: str = ""
    path: str
    post: bool = False
    fields: Mapping[str, Any]
    key: str = ""
    scheme: str = ""
    hits: Sequence[str]
    link: str = "url"
    title: str = "title"
    texts: Sequence[str]
    only: tuple[str, Any] | None = None
    page: str = ""
    most: int = 20
    own_domains: bool = False
    sites: bool = True
    hints: Mapping[int, str] = {}


_WRONG_KEY = "its key is missing or wrong: set `key` in [tools.web_search]"

_USUAL: Mapping[int, str] = {
    400: "it refuses the request: is `url` that of its API?",
    401: _WRONG_KEY,
    402: "its account has no credit left",
    403: "it does not let this key or this server's address in",
    404: "there is no search at this address: set `url` to the base of its API, without a path of its own",
    405: "there is no search at this address: set `url` to the base of its API, without a path of its own",
    429: "too many requests, or the plan's limit is reached",
}


def usual_hint(status: int) -> str:
    """Return what a status says of most providers."""
    if 300 <= status < 400:
        return "it sends to another address, which is not followed: set `url` to that"
    return _USUAL.get(status, "the provider itself fails at present" if status >= 500 else "")


PROVIDERS: Mapping[str, Provider] = {
    "searxng": Provider(
        path="/search",
        fields={"q": "query", "format": "=json"},
        hits=("results",),
        texts=("content",),
        hints={
            403: "add `json` to `search.formats` in its settings.yml: SearXNG refuses JSON until then",
            429: "its limiter refuses this server: set `limiter: false`, or let this server's address through",
        },
    ),
    "brave": Provider(
        url="https://api.search.brave.com",
        path="/res/v1/web/search",
        fields={"q": "query", "count": "results", "country": "country", "extra_snippets": "=true"},
        key="x-subscription-token",
        hits=("web", "results"),
        texts=("description", "extra_snippets"),
        hints={401: _WRONG_KEY, 403: _WRONG_KEY, 422: _WRONG_KEY},
    ),
    "tavily": Provider(
        url="https://api.tavily.com",
        path="/search",
        post=True,
        fields={"query": "query", "max_results": "results", "include_domains": "domains"},
        key="authorization",
        scheme="Bearer ",
        hits=("results",),
        texts=("content",),
        own_domains=True,
        hints={401: _WRONG_KEY, 432: "its plan's limit is reached"},
    ),
    "exa": Provider(
        url="https://api.exa.ai",
        path="/search",
        post=True,
        fields={
            "query": "query",
            "numResults": "results",
            "includeDomains": "domains",
            "contents": {"text": {"maxCharacters": 8000}},
        },
        key="x-api-key",
        hits=("results",),
        texts=("text",),
        own_domains=True,
        hints={401: _WRONG_KEY},
    ),
    "serper": Provider(
        url="https://google.serper.dev",
        path="/search",
        post=True,
        fields={"q": "query", "num": "results", "gl": "country"},
        key="x-api-key",
        hits=("organic",),
        link="link",
        texts=("snippet",),
        hints={401: _WRONG_KEY, 403: _WRONG_KEY},
    ),
    "kagi": Provider(
        url="https://kagi.com",
        path="/api/v0/search",
        fields={"q": "query", "limit": "results"},
        key="authorization",
        scheme="Bot ",
        hits=("data",),
        texts=("snippet",),
        only=("t", 0),
        hints={401: _WRONG_KEY},
    ),
    "wikipedia": Provider(
        url="https://{language}.wikipedia.org",
        path="/w/api.php",
        fields={
            "action": "=query",
            "list": "=search",
            "format": "=json",
            "srsearch": "query",
            "srlimit": "results",
        },
        hits=("query", "search"),
        texts=("snippet",),
        page="https://{language}.wikipedia.org/wiki/{title}",
        sites=False,
    ),
}
"""Name → how it is asked. Beside these there is `mcp:LABEL/TOOL`: a tool of an MCP server."""


def target(provider: Provider, wish: Wish) -> str:
    """Return the path and query of a request."""
    if provider.post:
        return provider.path
    pairs = [(name, _value(value, provider, wish)) for name, value in provider.fields.items()]
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs if value not in ("", [], None))
    return f"{provider.path}?{query}"


def body(provider: Provider, wish: Wish) -> dict[str, Any]:
    """Return the body of a POST."""
    pairs = {name: _value(value, provider, wish) for name, value in provider.fields.items()}
    return {name: value for name, value in pairs.items() if value not in ("", [], None)}


def _value(value: Any, provider: Provider, wish: Wish) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith("="):
        return value[1:]
    if value == "query" and wish.domains and provider.sites and not provider.own_domains:
        sites = " OR ".join(f"site:{domain}" for domain in wish.domains[:10])
        return f"{wish.query} {sites}"
    found = {
        "query": wish.query,
        "results": min(wish.results, provider.most),
        "domains": list(wish.domains),
        "country": wish.country,
        "language": wish.language,
    }
    return found[value]


def hits(provider: Provider, answer: Any, wish: Wish) -> list[Hit] | None:
    """Return what an answer has found; None for one of another shape."""
    for step in provider.hits:
        if not isinstance(answer, dict):
            return None
        answer = answer.get(step, [] if step == provider.hits[-1] or step == "web" else None)
        if step == "web" and answer == []:
            return []
    if not isinstance(answer, list):
        return None
    found = [_hit(provider, entry, wish) for entry in answer[:MOST_READ] if isinstance(entry, dict)]
    return [hit for hit in found if hit is not None][: wish.results]


def _hit(provider: Provider, entry: dict[str, Any], wish: Wish) -> Hit | None:
    if provider.only is not None and entry.get(provider.only[0]) != provider.only[1]:
        return None
    title = _plain(entry.get(provider.title))
    url = entry.get(provider.link)
    if provider.page:
        url = provider.page.format(language=wish.language, title=quote(title.replace(" ", "_"), safe="/:()',"))
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > 2048:
        return None
    texts: list[str] = []
    for name in provider.texts:
        value = entry.get(name)
        texts += [_plain(one) for one in (value[:MOST_TEXTS] if isinstance(value, list) else [value])]
    return Hit(url, title, "\n".join(text for text in texts if text)[:LONGEST_SNIPPET])


def _plain(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join(unescaped(_MARKUP.sub("", value[:LONGEST_SNIPPET])).split())
