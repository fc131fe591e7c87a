"""States of a ResponseStream, and the calls that each of them allows.

    NEW → QUEUED → TURN ⇄ TOOLS → DONE → ENDED

Any other call raises IllegalCall. Checks are made where something begins or ends, not for each Delta of an open item.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from antiphon.core.stream.terms import Action
from antiphon.errors import AntiphonError


class IllegalCall(AntiphonError):
    """A call that the ResponseStream's state does not allow: a bug of its driver, not of a client or a backend."""


class State(Enum):
    """State of a response; `action` is what its driver has to do next."""

    NEW = ("new", Action.CALL_MODEL)
    """Nothing is told yet."""
    QUEUED = ("queued", Action.CALL_MODEL)
    """A background response waits."""
    TURN = ("turn", Action.CALL_MODEL)
    """A model call is to be made, or under way."""
    TOOLS = ("tools", Action.CALL_TOOLS)
    """Calls of tools that this server runs wait for their results."""
    DONE = ("done", Action.DONE)
    """Nothing is left to do but to end it."""
    ENDED = ("ended", Action.DONE)
    """It has its terminal event, which may not be sent yet."""

    def __init__(self, word: str, action: Action) -> None:
        self.word = word
        self.action = action


_NEW, _QUEUED, _TURN, _TOOLS, _DONE, _ENDED = State
_WORKING = (_TURN, _TOOLS, _DONE)
_OPEN = (_NEW, _QUEUED, *_WORKING)

LEGAL: dict[str, tuple[State, ...]] = {
    "queued": (_NEW,),
    "restore": (_NEW,),
    "close_restored": (_NEW,),
    "start": (_NEW, _QUEUED),
    "keepalive": _OPEN,
    "feed": (_TURN,),  # looked at with the first piece of an item
    "end_turn": (_TURN,),
    "add_item": (_TURN,),
    "end_without_model": (_TURN,),
    "end_steered": (_TURN,),
    "open_item": _WORKING,
    "begin_call": (_TURN, _DONE),
    "tool_result": _WORKING,
    "inner_call": (_TURN, _TOOLS),
    "tool_progress": (_TURN, _TOOLS),
    "ask_instead": (_TOOLS,),
    "finish": (_TURN, _DONE),
    "fail": (*_OPEN, _ENDED),  # also behind `finish`: the commit may fail
    "cancel": _OPEN,
}
"""Call → the states that allow it. `take`, `note`, `snapshot` and the properties are allowed in all of them."""


class Stage(msgspec.Struct, eq=False):
    """The state of one response, which its parts share."""

    state: State = _NEW

    def check(self, call: str) -> None:
        """Raise IllegalCall where the state does not allow a call."""
        if self.state not in LEGAL[call]:
            raise IllegalCall(f"{call}() is not allowed in the state '{self.state.word}'.")
