"""Where a request tells the server to cache its prompt: the policy of the setting `cache`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.types.items import CacheBreakpoint
from antiphon.types.request import PromptCacheOptions

_AUTO = {"5m": b',"cache_control":{"type":"ephemeral"}}', "1h": b',"cache_control":{"type":"ephemeral","ttl":"1h"}}'}
USER_MESSAGES = 2
"""The last user messages that end with a breakpoint: the API takes four, two stand behind the tools and the system text."""

_NEVER = (b'{"type":"thinking"', b'{"type":"redacted_thinking"')


MOST_MARKS = 4
"""Breakpoints of a request that the API takes."""


class Breakpoint(bytes):
    """A block, as JSON, behind which a client wants the prompt to be cached. `lasting`: for longer than by default."""

    lasting = False


def breakpoint_of(block: bytes, mark: CacheBreakpoint) -> Breakpoint:
    """Return a block as a breakpoint."""
    found = Breakpoint(block)
    found.lasting = isinstance(mark.ttl, str)
    return found


class CachePolicy(msgspec.Struct, frozen=True):
    """Whether breakpoints are set, and for how long a prompt is kept. `explicit`: only those that the client has set."""

    on: bool = True
    ttl: str = "5m"
    explicit: bool = False

    def asked(self, options: PromptCacheOptions | None, marks: Sequence[Breakpoint]) -> CachePolicy:
        """Return the policy for a request: one lifetime for all its breakpoints, as the API wants longer ones to come first."""
        lasting = any(mark.lasting for mark in marks) or (options is not None and options.ttl is not None)
        explicit = options is not None and options.mode == "explicit"
        if not lasting and not explicit:
            return self
        return msgspec.structs.replace(self, ttl="1h" if lasting else self.ttl, explicit=explicit)

    def kept(self, marks: Sequence[Breakpoint]) -> frozenset[int]:
        """Return the identities of the client's breakpoints that are sent: the last ones, one less beside one of this server."""
        most = MOST_MARKS if self.explicit else MOST_MARKS - 1
        return frozenset(map(id, marks[-most:] if self.on else ()))

    def at(self, block: bytes) -> bytes:
        """Return a block as a breakpoint of the API."""
        return block[:-1] + _AUTO.get(self.ttl, _AUTO["5m"])

    def marked(self, blocks: Sequence[bytes]) -> Sequence[bytes]:
        """Return blocks, the last of which is a breakpoint. Nothing else of them changes, so that the prefix stays the same."""
        if not self.on or self.explicit or not blocks or blocks[-1].startswith(_NEVER):
            return blocks
        return [*blocks[:-1], self.at(blocks[-1])]


NO_CACHE = CachePolicy(on=False)
