"""Records of the response log: an entry per stored response, which entries are wanted, a page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from antiphon.stores.records import StoredConversation

SCANNED = 50_000
"""Entries that one page looks at, at most: what is rare is found over several pages."""
SORTED = 100_000
"""The newest entries that are sorted by something else than their age."""
MOST_WORDS = 6
"""Words of a search."""

LogSort = Literal["created_at", "cost", "total_tokens", "duration"]


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the log says of a response. `question` and `answer` are first words; `reason` tells why it is not complete.

    `tools` are names of the tools that were called, each between two spaces; `pairs` the metadata's, each as a JSON array.
    `duration` and `first_token` in seconds, None where nobody measured them. `parameters` are what the request set, as JSON,
    without what is found elsewhere (input, instructions, tools); "" where nobody knows them.
    """

    id: str
    owner: str
    model: str
    status: str
    created_at: int
    background: bool = False
    previous_response_id: str | None = None
    conversation_id: str | None = None
    question: str = ""
    answer: str = ""
    reason: str = ""
    error_code: str = ""
    tools: str = ""
    pairs: tuple[str, ...] = ()
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    duration: float | None = None
    first_token: float | None = None
    parameters: str = ""

    @property
    def folded(self) -> str:
        """What is searched: all its words without upper and lower case, and without the marks where texts were cut."""
        words = f"{_uncut(self.question)}\n{_uncut(self.answer)}\n{_uncut(self.reason)}\n{self.error_code}"
        return words.casefold()


def _uncut(text: str) -> str:
    """Return a text without the mark at its end: what is ASCII then is folded and encoded ten times faster."""
    return text[:-1] if text.endswith("…") else text


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted, and in which order. An `owner` of None: everybody's. `words`: all of them, without case.

    `since` and `until` are Unix times of creation, the second one not included. `after` is the id of the entry before the page.
    """

    owner: str | None = None
    words: Sequence[str] = ()
    model: str | None = None
    status: str | None = None
    tool: str | None = None
    metadata: Mapping[str, str] = {}
    conversation: str | None = None
    background: bool | None = None
    since: int = 0
    until: int = 1 << 62
    sort: LogSort = "created_at"
    ascending: bool = False
    after: str | None = None
    limit: int = 20

    @property
    def by_age(self) -> bool:
        """Tell whether the newest come first: that order an index has."""
        return self.sort == "created_at" and not self.ascending


class LogPage(msgspec.Struct, frozen=True):
    """Entries, and the `after` of the next page, which may be no entry's of this one; None: there are no more."""

    entries: Sequence[LogEntry] = ()
    next: str | None = None


COUNTED = 1_000
"""Items of a conversation that a list counts."""
SHOWN_ITEM = 16 * 1024
"""Bytes of an item that a list reads; a larger one is shown without words."""
FIRST_ITEMS = 4
"""Items among which the first message of the user is looked for."""


class ConversationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in a list: how many items it has, COUNTED at most, its first FIRST_ITEMS and its last one.

    Items are JSON; "" stands for one that is larger than SHOWN_ITEM.
    """

    conversation: StoredConversation
    items: int
    first: Sequence[bytes] = ()
    last: bytes = b""
