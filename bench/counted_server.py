"""The command as callgrind runs it, some fifty times slower: without what would act on that slowness, or count by the clock."""

from __future__ import annotations

from antiphon import cli
from antiphon.server.process import loop_watch
from antiphon.telemetry import access_log, log

SLOWER = 20.0
"""Seconds are so much longer here: as many lines go into one write of the log as without callgrind."""


def _not_watched(watch: object) -> None:
    """Do nothing: each callback would be late."""


vars(access_log)["BEAT"] *= SLOWER
vars(log)["BEAT"] *= SLOWER
loop_watch.LoopWatch.start = _not_watched  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    cli.main()
