"""Everything in a sandbox but its first process: signalled together, stopped between two calls.

A stop is not the end of it: a process that was on its way out when the others stopped can still start them again as it ends (the
signal of its end, an orphaned group, a terminal that hangs up). So it is looked at again until nothing has been on its way twice.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from antiphon.tools.sandbox.inside.frames import Connection
else:
    import _signal as signal

FIRST_LOOK, LAST_LOOK = 0.002, 1.0  # seconds between two looks; each is twice as long after the one before
MOST_UNINTERRUPTED = 11  # looks, two seconds, at what only waits: the parent of a `vfork` may do so for ever


class Others:
    """`own_processes`: all processes that this one sees and reaches are of its sandbox. `groups` are those that it has begun."""

    def __init__(self, own_processes: bool) -> None:
        self.groups: set[int] = set()
        self._own_processes = own_processes
        self._loose = False

    def signal(self, number: int) -> None:
        """Signal all of them; the first one of a process name space gets none."""
        try:
            if self._own_processes:
                os.kill(-1, number)
                return
        except OSError:
            return
        for group in list(self.groups):
            try:
                os.killpg(group, number)
            except OSError:
                self.groups.discard(group)

    def stop(self) -> None:
        """Stop them."""
        self.signal(signal.SIGSTOP)
        self._loose = True

    def go_on(self) -> None:
        """Let them run."""
        self.signal(signal.SIGCONT)

    def settle(self, until: Connection) -> None:
        """See to it that all are stopped, until something is to be read. Where no processes are shown, none is seen to run."""
        wait, looks, still = FIRST_LOOK, 0, 0
        while self._loose and not select.select([until], [], [], wait)[0]:
            looks += 1
            wait = min(2 * wait, LAST_LOOK)
            states = self._states()
            moving = "RS" if looks > MOST_UNINTERRUPTED else "RSD"
            still = 0 if any(state in moving for state in states) else still + 1
            if still:
                self._loose = still < 2  # what ended during the first look may have started what was looked at before
            else:
                self.signal(signal.SIGSTOP)

    def _states(self) -> set[str]:
        """Return the states of all threads; none where the system tells of no processes, or of those of others, too."""
        found: set[str] = set()
        own = {"1", str(os.getpid())}
        try:
            pids = [name for name in os.listdir("/proc") if name.isdecimal() and name not in own]
        except OSError:
            return found
        for pid in pids if self._own_processes else ():
            try:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                        found.add(chr(file.read().rpartition(b") ")[2][0]))
            except (OSError, IndexError):
                continue
        return found
