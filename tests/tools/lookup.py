"""A hosted tool for tests: looks a query up. Its item says how many hits there are; what they say only the model sees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
from msgspec import Raw

from antiphon.core.tools.offers import Offer, Target
from antiphon.errors import InvalidRequest, NotFound
from antiphon.tools.base import Declaration, HostedUse, Progress, ToolBounds, ToolResult, ToolServerError
from antiphon.tools.hosted import hosted_kind

LOOKUP = hosted_kind(
    "lookup",
    prefix="lk",
    opening={"query": "", "hits": None},
    arguments=["query"],
    declared=("lookup", "lookup_preview"),
)

_PARAMETERS = Raw(b'{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}')


class Settings(msgspec.Struct):
    """The declaration."""

    shelf: str | None = None


class Query(msgspec.Struct):
    """The arguments of a call."""

    query: str


class Lookup:
    """The tool. A query may ask for its failure: `bad`, `broken`, `slow`, `long`."""

    kind = LOOKUP
    bounds = ToolBounds(seconds=5.0, bytes=10_000)

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Raise a 400 for a declaration without a shelf, a 404 for a shelf that there is not."""
        shelves = []
        for one in declared:
            settings = msgspec.json.decode(one.raw, type=Settings)
            if settings.shelf is None:
                raise InvalidRequest("'shelf' is required.", param=f"{one.param}.shelf")
            if settings.shelf == "nowhere":
                raise NotFound("There is no shelf 'nowhere'.", param=f"{one.param}.shelf")
            shelves.append(settings.shelf)
        return LookupUse(shelves)


class LookupUse(HostedUse):
    """The tool within one response."""

    calls: ClassVar[list[str]] = []
    cancelled: ClassVar[list[str]] = []
    closed: ClassVar[int] = 0

    def __init__(self, shelves: Sequence[str]) -> None:
        self._shelves = shelves

    def offers(self) -> Sequence[Offer]:
        """Offer one function."""
        return [Offer(target=Target("lookup", "lookup"), description="Looks it up.", parameters=_PARAMETERS)]

    def provider(self) -> str:
        """Return whose shelves they are."""
        return "shelves"

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """A call counts as a search."""
        return {"searches": 1}

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Look it up."""
        try:
            query = msgspec.json.decode(arguments, type=Query).query
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise ToolServerError("The query cannot be read.") from None
        self.calls.append(query)
        progress("searching")
        try:
            await asyncio.sleep(30 if query == "slow" else 0.01)
        except asyncio.CancelledError:
            self.cancelled.append(query)
            raise
        if query == "bad":
            raise ToolServerError("The shelf fell down.")
        if query == "broken":
            raise RuntimeError("http://10.0.0.1/secret")
        text = f"SECRET of {query} in {'+'.join(self._shelves)}"
        return ToolResult(
            fields={"query": query, "hits": 1},
            model_text=text * (1000 if query == "long" else 1),
        )

    async def close(self) -> None:
        """Count."""
        type(self).closed += 1
