"""Frames: all of a chat request but its messages, kept for requests that differ from an earlier one in these alone.

Only requests without tools, formats and wishes that are rare have one: most of what is decided for the others depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter

import msgspec

from antiphon.backends.chat.emulation import Emulation
from antiphon.backends.chat.opaque.fields import NOBODY, Origin
from antiphon.backends.chat.opaque.sending import Carried
from antiphon.backends.chat.profiles import Profile, ThinkPolicy
from antiphon.core.deltas import InputRemoved
from antiphon.core.request.text_format import PLAIN
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import NO_OPTIONS, Turn
from antiphon.types.items import Message

MOST_FRAMES = 256
LONGEST_EFFORT = 16  # characters; longer ones are no known value

Key = tuple[str, bool, float | None, float | None, int | None, str | None]


class ChatCall(msgspec.Struct, frozen=True):
    """What a request has set up for its answer: the functions, and how a call or format is brought about.

    `ignored`: the client's wishes that the request does not have. `forced`: the answer must be a call. `think`: how thoughts are
    told from the answer. `removed` are thoughts, or signatures of such, that are not for this backend. `origin` is who makes
    the answer. `keep_ids`: calls keep their ids.
    """

    tools: ToolMap
    emulation: Emulation | None = None
    ignored: tuple[str, ...] = ()
    forced: bool = False
    think: ThinkPolicy = "auto"
    removed: Sequence[InputRemoved] = ()
    origin: Origin = NOBODY
    keep_ids: bool = False


class Frame(msgspec.Struct, frozen=True):
    """What stands before and behind a request's messages, how these are made, and what is known of its answer."""

    head: bytes
    tail: bytes
    profile: Profile
    carried: Carried
    call: ChatCall


class Frames:
    """The frames of one backend, for each way in which a model of it is spoken to."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[object, Frame]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Key, options: object) -> Frame | None:
        """Return the frame that was made by the same options."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] is options else None

    def keep(self, key: Key, options: object, frame: Frame) -> None:
        """Keep a frame; with too many others, all begin anew."""
        if len(self._known) >= MOST_FRAMES:
            self._known.clear()
        self._known[key] = options, frame


def frame_key(turn: Turn, forward: frozenset[str]) -> Key | None:
    """Return what a Turn's frame depends on; None for a Turn with more. `forward`: further request fields that are sent."""
    if turn.tools or turn.server_tools or turn.extra or turn.opaque or turn.tool_choice != "auto":
        return None
    rare = _rare(forward)(turn.request)
    if (
        turn.text is not PLAIN
        or turn.options is not NO_OPTIONS
        or turn.tool_instructions
        or rare.count(None) < len(rare)
    ):
        return None
    effort = turn.reasoning_effort
    if (effort is not None and len(effort) > LONGEST_EFFORT) or not _MESSAGES.issuperset(map(type, turn.items)):
        return None
    return turn.model, turn.stream, turn.temperature, turn.top_p, turn.max_output_tokens, effort


_MESSAGES = frozenset((Message,))


@lru_cache(64)
def _rare(forward: frozenset[str]) -> attrgetter[tuple[object, ...]]:
    """Return what reads the fields of a request that few have, and its body may have to have."""
    names = {"presence_penalty", "frequency_penalty", "top_logprobs", "include", "prompt_cache_options"}
    return attrgetter(*sorted(names | (forward - {"verbosity"})))
