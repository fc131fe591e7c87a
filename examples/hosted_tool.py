"""A tool that your program adds to the server: a search in a handbook, within the response that asks for it.

    uvicorn examples.hosted_tool:app
    curl http://127.0.0.1:8000/v1/responses -H 'content-type: application/json' -d '{
        "model": "…", "input": "How many days of leave do I have?", "tools": [{"type": "handbook", "language": "en"}]}'

The response has an item `handbook_call` for each search, and the events `response.handbook_call.in_progress`, `.searching` and
`.completed`. The client sees what was searched for and how many pages were found; only the model sees the pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon import (
    BackendConfig,
    Config,
    Declaration,
    HostedUse,
    InvalidRequest,
    Offer,
    Progress,
    Target,
    ToolBounds,
    ToolResult,
    ToolServerError,
    create_app,
    hosted_kind,
)

HANDBOOK = hosted_kind("handbook", prefix="hb", opening={"query": "", "pages": None}, arguments=["query"])

PAGES = {
    "en": {"leave": "Everybody has 30 days of leave a year.", "travel": "Trains are booked by the office."},
    "de": {"urlaub": "Alle haben 30 Tage Urlaub im Jahr."},
}

_PARAMETERS = Raw(b'{"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}')


class HandbookSettings(msgspec.Struct):
    """The fields of `{"type": "handbook", …}` in a request's `tools`."""

    language: str = "en"


class Query(msgspec.Struct):
    """The arguments of a call, as the model writes them."""

    query: str


class Handbook:
    """The tool: a HostedTool. The server asks it once for each request that declares it, before anything is streamed."""

    kind = HANDBOOK
    bounds = ToolBounds(seconds=10.0, bytes=100_000)

    def __init__(self, pages: Mapping[str, Mapping[str, str]]) -> None:
        self._pages = pages

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HandbookUse:
        """Check the declarations of one request. Raises InvalidRequest: a 400 that names the field."""
        found: dict[str, str] = {}
        for declaration in declared:
            try:
                language = msgspec.json.decode(declaration.raw, type=HandbookSettings).language
            except msgspec.ValidationError as error:
                raise InvalidRequest(str(error), param=declaration.param) from None
            if language not in self._pages:
                known = ", ".join(self._pages)
                raise InvalidRequest(
                    f"Unknown language '{language}'. Known: {known}.", param=f"{declaration.param}.language"
                )
            found |= self._pages[language]
        return HandbookUse(found)


class HandbookUse(HostedUse):
    """The tool within one response: a HostedUse."""

    def __init__(self, pages: Mapping[str, str]) -> None:
        self._pages = pages

    def offers(self) -> Sequence[Offer]:
        """Return the functions that the model may call."""
        return [
            Offer(
                target=Target("handbook", "handbook"),
                description="Search the company's handbook by a word.",
                parameters=_PARAMETERS,
            )
        ]

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Make a call. Its error is told to client and model, and the response goes on."""
        try:
            query = msgspec.json.decode(arguments, type=Query).query
        except msgspec.MsgspecError as error:
            raise ToolServerError(f"The arguments are not as described: {error}") from None
        progress("searching")
        await asyncio.sleep(0)  # where a real tool asks its search engine
        found = [text for word, text in self._pages.items() if word in query.lower()]
        return ToolResult(
            fields={"query": query, "pages": len(found)}, model_text="\n".join(found) or "No page has this word."
        )

    async def close(self) -> None:
        """Free what the calls have opened, at the end of the response."""


app = create_app(
    Config(store="memory", backends={"gpu": BackendConfig(url="http://127.0.0.1:8001/v1")}),
    hosted_tools=[Handbook(PAGES)],
)
