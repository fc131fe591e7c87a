"""`antiphon` with a scripted backend that kills its own process where the prompt says so."""

from __future__ import annotations

import asyncio
import os
import signal

from antiphon.backends import scripted
from antiphon.cli import main
from antiphon.core.turn import Turn
from antiphon.types.items import Message

KILL = "KILL"
SECONDS = 0.3  # until it dies: the client that starts the run is answered first

_open = scripted.ScriptedBackend.open


async def _open_or_die(self: scripted.ScriptedBackend, turn: Turn) -> scripted.ScriptedStream:
    if any(isinstance(item, Message) and KILL in str(item.content) for item in turn.items):
        await asyncio.sleep(SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
    return await _open(self, turn)


if __name__ == "__main__":
    scripted.ScriptedBackend.open = _open_or_die  # type: ignore[method-assign]
    main()
