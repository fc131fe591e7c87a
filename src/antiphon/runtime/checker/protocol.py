"""What the server and a checking process say to each other: frames of a 4-byte length and a MessagePack struct."""

from __future__ import annotations

from struct import Struct
from typing import Literal

import msgspec

LENGTH = Struct("<I")
MOST_FRAME = 64 * 1024 * 1024  # bytes

Outcome = Literal["fits", "fault", "unchecked"]


class CheckTask(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work.

    `inspect`: look at a schema without compiling it. `compile`: inspect and compile it. `check`: hold `text` against it.
    `seconds` is the time after which the process ends itself, should nobody end it before.
    """

    kind: Literal["inspect", "compile", "check"]
    schema: bytes
    text: str = ""
    seconds: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a CheckTask. `reason` is one sentence, "" where the outcome is `fits`.

    `fault`: the schema is wrong, or the text does not fit it. `unchecked`: it cannot be told within the bounds.
    `last`: the process ends after this one.
    """

    outcome: Outcome = "fits"
    reason: str = ""
    last: bool = False


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of a process: it has loaded what it needs, and is limited."""

    pid: int
