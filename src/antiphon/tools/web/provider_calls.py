"""SearchClient: asks one provider. Its URL is the operator's and may be private; what it finds is data."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from json import dumps
from typing import Any, Protocol

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import has_more_containers
from antiphon.errors import AntiphonError, BackendError, InvalidRequest
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient, Timeouts
from antiphon.net.proxies import proxy_for
from antiphon.tools.base import McpTool, ToolServerError, ToolServers
from antiphon.tools.web.providers import MOST_READ, Hit, Provider, Wish, body, hits, target, usual_hint

MOST_ANSWER = 4 * 1024 * 1024
"""Bytes of a provider's answer."""

MOST_VALUES = 20_000
"""Arrays and objects of an answer: some for each result are real."""

READ_INLINE = 64 * 1024
"""Bytes of an answer from which on it is read in a thread."""

MOST_FOUND = 20
"""URLs that are taken from the text of an MCP tool's answer."""

_URL = re.compile(r"https?://[^\s<>\"'`()\[\]{}|\\^]{1,2000}")


class SearchFailed(AntiphonError):
    """A provider cannot be reached, refuses, or answers with something else; `hint` is for the operator."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SearchClient(Protocol):
    """Searches."""

    async def search(self, wish: Wish) -> Sequence[Hit]:
        """Return what is found, the best first. Raises SearchFailed."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class HttpSearch:
    """A provider of the table `providers.PROVIDERS`. Its connections belong to the event loop that makes the first search."""

    def __init__(self, name: str, provider: Provider, url: str, key: str, timeout: float) -> None:
        self._name = name
        self._provider = provider
        self._url = url or provider.url
        self._key = key
        self._timeout = timeout
        self._clients: dict[str, HttpClient] = {}

    async def search(self, wish: Wish) -> Sequence[Hit]:
        """Ask the provider. Raises SearchFailed."""
        client = self._client(wish.language)
        path = client.address.target(target(self._provider, wish))
        try:
            async with asyncio.timeout(self._timeout):
                sent = to_json(body(self._provider, wish)) if self._provider.post else b""
                response = await client.send("POST" if self._provider.post else "GET", path, sent)
                answer = await response.read_all(MOST_ANSWER)
        except TimeoutError:
            raise SearchFailed(f"The search provider did not answer within {self._timeout:g} seconds.") from None
        except BackendError as error:
            raise SearchFailed("The search provider cannot be reached.", error.message) from None
        if response.status != 200:
            hint = self._provider.hints.get(response.status) or usual_hint(response.status)
            raise SearchFailed(f"The search provider answered with status {response.status}.", hint)
        if len(answer) < READ_INLINE:
            return self._found(answer, wish)
        return await asyncio.to_thread(self._found, answer, wish)

    def _found(self, answer: bytes, wish: Wish) -> Sequence[Hit]:
        found = hits(self._provider, _decoded(answer), wish)
        if found is None:
            raise SearchFailed(
                "The search provider's answer is not the expected JSON.", f"is there {self._name} at this URL?"
            )
        return found

    def _client(self, language: str) -> HttpClient:
        url = self._url.replace("{language}", language)
        client = self._clients.get(url)
        if client is None:
            address = parse_url(url)
            headers = {"accept": "application/json", "accept-encoding": "gzip"}
            if self._key and self._provider.key:
                headers[self._provider.key] = f"{self._provider.scheme}{self._key}"
            timeouts = Timeouts(connect=self._timeout, first_byte=self._timeout, idle=self._timeout)
            client = HttpClient(address, headers=headers, timeouts=timeouts, max_idle=4, proxy=proxy_for(address))
            self._clients[url] = client
        return client

    async def close(self) -> None:
        """Close its connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()


def _decoded(answer: bytes) -> Any:
    """Return an answer, None for what is no JSON or has too many values for one."""
    if has_more_containers(MOST_VALUES, answer):
        return None
    try:
        return msgspec.json.decode(answer)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


class McpSearch:
    """A tool of a configured MCP server that takes a `query`: what it says is read for results, or for URLs."""

    def __init__(self, servers: ToolServers, label: str, tool: str) -> None:
        self._servers = servers
        self._label = label
        self._tool = tool

    async def search(self, wish: Wish) -> Sequence[Hit]:
        """Call the tool. Raises SearchFailed."""
        declared = McpTool(server_label=self._label, require_approval="never")
        try:
            await self._servers.check(declared, "tools")
            server = self._servers.connect(declared)
            try:
                output = await server.call(self._tool, dumps({"query": wish.query}))
            finally:
                await server.close()
        except (ToolServerError, InvalidRequest) as error:
            message = error.message if isinstance(error, InvalidRequest) else str(error)
            raise SearchFailed("The search tool failed.", message) from None
        if output.failed:
            raise SearchFailed("The search tool failed.", output.text[:200])
        return _listed(output.text)[: wish.results] or _named(output.text)

    async def close(self) -> None:
        """Do nothing: a connection lasts for one search."""


def _listed(text: str) -> list[Hit]:
    """Return the results of a JSON answer: a list of objects with a URL, or an object that holds one."""
    answer = _decoded(text.encode(errors="replace"))
    if isinstance(answer, dict):
        answer = next((value for value in answer.values() if isinstance(value, list)), [])
    found: list[Hit] = []
    for entry in answer[:MOST_READ] if isinstance(answer, list) else []:
        if isinstance(entry, dict):
            url = next((entry[name] for name in ("url", "link", "href") if isinstance(entry.get(name), str)), "")
            names = ("text", "content", "snippet", "description")
            about = next((entry[name] for name in names if isinstance(entry.get(name), str)), "")
            title = entry.get("title")
            if _URL.fullmatch(url):
                found.append(Hit(url, title if isinstance(title, str) else "", about))
    return found


def _named(text: str) -> list[Hit]:
    """Return the URLs of a text; the first one has the text."""
    urls = list(dict.fromkeys(found[0].rstrip(".,;:!?") for found in _URL.finditer(text)))[:MOST_FOUND]
    return [Hit(url, "", text if index == 0 else "") for index, url in enumerate(urls)]
