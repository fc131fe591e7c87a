"""Where a request tells the server to cache its prompt: the policy of the setting `cache`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_AUTO = {"5m": b',"cache_control":{"type":"ephemeral"}}', "1h": b',"cache_control":{"type":"ephemeral","ttl":"1h"}}'}
USER_MESSAGES = 2
"""The last user messages that end with a breakpoint: the API takes four, two stand behind the tools and the system text."""

_NEVER = (b'{"type":"thinking"', b'{"type":"redacted_thinking"')


class CachePolicy(msgspec.Struct, frozen=True):
    """Whether breakpoints are set, and for how long a prompt is kept."""

    on: bool = True
    ttl: str = "5m"

    def marked(self, blocks: Sequence[bytes]) -> Sequence[bytes]:
        """Return blocks, the last of which is a breakpoint. Nothing else of them changes, so that the prefix stays the same."""
        if not self.on or not blocks or blocks[-1].startswith(_NEVER):
            return blocks
        return [*blocks[:-1], blocks[-1][:-1] + _AUTO.get(self.ttl, _AUTO["5m"])]


NO_CACHE = CachePolicy(on=False)
