"""Circuit breaker of a backend: after failures in a row it gets no calls, except for a probe from time to time."""

from __future__ import annotations

from time import monotonic

MOST_SECONDS = 120.0  # between two probes of a backend that goes on failing
UNANSWERED = (503, 504)


class Breaker:
    """Closed: calls pass. Open: none does. Half open: one at a time, and its end decides.

    It opens after `after` failures in a row (0: never) for `seconds`; each probe that fails doubles them.
    """

    def __init__(self, after: int, seconds: float) -> None:
        self._after = after
        self._seconds = seconds
        self._failures = 0
        self._probes = 0
        self._open_until = 0.0
        self._probing = False
        self._status = 0

    @property
    def broken(self) -> bool:
        """Tell whether it is not closed."""
        return self._open_until > 0

    @property
    def admits(self) -> bool:
        """Tell whether a call may be made now."""
        return not self._open_until or (not self._probing and monotonic() >= self._open_until)

    @property
    def dead(self) -> bool:
        """Tell whether it is not closed because nobody answered."""
        return self.broken and self._status in UNANSWERED

    @property
    def silent(self) -> bool:
        """Tell whether a call now would be in vain."""
        return self.dead and not self.admits

    @property
    def seconds_left(self) -> float:
        """The time until a probe may be made."""
        return max(0.0, self._open_until - monotonic())

    @property
    def state(self) -> str:
        """Return "closed", "open" or "half_open"."""
        if not self.broken:
            return "closed"
        return "half_open" if self._probing or self.admits else "open"

    def begin(self) -> None:
        """Note that a call is made."""
        self._probing = self._open_until > 0

    def succeeded(self) -> bool:
        """Close. Return whether it was open."""
        was_open = self._open_until > 0
        self._failures = self._probes = 0
        self._open_until = 0.0
        self._probing = False
        return was_open

    def failed(self, status: int) -> None:
        """Count a failure, with its HTTP status; open if there were too many, or if it was the probe."""
        self._failures += 1
        self._status = status
        if self._after and self._failures >= self._after and (self._probing or not self.broken):
            self._open_until = monotonic() + min(MOST_SECONDS, self._seconds * 2**self._probes)
            self._probes += 1
        self._probing = False

    def ended(self) -> None:
        """Note that a call ended without telling anything: its client left."""
        self._probing = False
