"""What a check is, and what can come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from antiphon.errors import AntiphonError

if TYPE_CHECKING:
    from antiphon.conformance.talk import CheckTalk

Run = Callable[["CheckTalk"], Awaitable[None]]


class Mark(StrEnum):
    """What came of a check. PART: it works, but something is missing. NOT_TRIED: the run was over before."""

    YES = "yes"
    PART = "part"
    NO = "no"
    NOT_OFFERED = "not offered"
    NOT_TRIED = "not tried"


class NonConforming(AntiphonError):
    """An answer that is not what the API says."""


class NotOffered(AntiphonError):
    """The server says that it does not have what the check asks for."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `asks`: what it asks of the server; `section`: where the API says so.

    `optional`: a server may refuse what is asked for with a 4xx; then it is not offered, and nothing is wrong.
    """

    area: str
    name: str
    asks: str
    section: str
    optional: bool
    run: Run


class Area:
    """The checks of one part of the API, in their order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checks: list[Check] = []

    def check(self, name: str, asks: str, section: str, *, optional: bool = True) -> Callable[[Run], Run]:
        """Put a function into the table."""

        def add(run: Run) -> Run:
            one = Check(area=self.name, name=name, asks=asks, section=section, optional=optional, run=run)
            self.checks.append(one)
            return run

        return add


class SeenExchange(msgspec.Struct, frozen=True):
    """A request and what came of it, each cut to what a person reads."""

    request: str
    answer: str


class CheckOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a check: its mark, the reasons for it, and the last exchanges before it ended."""

    area: str
    name: str
    asks: str
    section: str
    mark: Mark
    reasons: list[str] = []
    exchanges: list[SeenExchange] = []
    seconds: float = 0.0


class ServerUnderTest(msgspec.Struct, frozen=True, kw_only=True):
    """The server that is held against the API. `url`: its base URL; `timeout`: seconds for one answer."""

    url: str
    key: str = ""
    model: str = ""
    embedding_model: str = ""
    moderation_model: str = ""
    timeout: float = 60.0
