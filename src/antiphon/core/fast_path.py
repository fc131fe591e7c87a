"""FastPath: the seam between a backend's read and a client's write for pieces of one text."""

from __future__ import annotations

from typing import Protocol

from antiphon.core.deltas import RelayedText


class Straight(Protocol):
    """Writes further pieces of a text that is open at the client. Both methods return False to pause."""

    def one(self, text: str, string: bytes) -> bool:
        """Write a piece; `string` is its JSON."""
        ...

    def several(self, texts: list[str], strings: list[bytes]) -> bool:
        """Write some pieces at once."""
        ...


class FastPath(Protocol):
    """The way past Deltas and Events for pieces of one text: from the backend's read to the client's write.

    A TurnStream may have `offer(path)`: who watches or changes Deltas passes none on. What it returns is good until
    the next Delta.
    """

    def text(self) -> Straight | None:
        """Return what takes further pieces of the answer's text; None where none is open, or something has to see it."""
        ...

    def thoughts(self) -> Straight | None:
        """Return the same for the model's thoughts."""
        ...

    def arguments(self, key: str) -> Straight | None:
        """Return the same for the arguments of a call (`CallStart.key`)."""
        ...

    def relayed(self, like: RelayedText) -> Straight | None:
        """Return the same for the text of another server that a Delta like this one goes on with."""
        ...


def unwatch(stream: object) -> None:
    """Tell a stream that nobody looks at its Deltas, or sees them one by one: an answer may come as a `PlainAnswer`.

    A TurnStream may have `unwatched()`; as with `offer`, who watches or changes Deltas does not pass it on.
    """
    tell = getattr(stream, "unwatched", None)
    if tell is not None:
        tell()


def offer(stream: object, path: FastPath) -> None:
    """Offer the fast path to a stream, if it knows of such a thing."""
    take = getattr(stream, "offer", None)
    if take is not None:
        take(path)
