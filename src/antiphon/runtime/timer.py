"""One shared timer for periodic work: a timer per Response would cost a short one 2 %."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Look = Callable[[], None]


class Pulse:
    """Calls its members every so many seconds, while there are any."""

    def __init__(self) -> None:
        self._members: dict[Look, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def join(self, look: Look, seconds: float) -> None:
        """Call `look`, which raises nothing, from now on; the first time comes within `seconds`."""
        self._members[look] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._beat, seconds)

    def leave(self, look: Look) -> None:
        """Call it no more. Idempotent."""
        self._members.pop(look, None)

    def _beat(self, seconds: float) -> None:
        self._timer = None
        for look in list(self._members):
            look()
        if self._members:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._beat, seconds)
