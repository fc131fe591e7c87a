"""UsageWatch: tells the UsageLedger of each Response and each request that is answered in another way."""

from __future__ import annotations

from antiphon.access.usage import UsageLedger
from antiphon.telemetry.observers import Observed
from antiphon.telemetry.request_record import Record, current


class UsageWatch:
    """An `observers.Observer` and a `request_record.Watcher`."""

    def __init__(self, ledger: UsageLedger) -> None:
        self._ledger = ledger

    def started(self, run: Observed) -> None:
        """Do nothing."""

    def ended(self, run: Observed) -> None:
        """Note a Response. Its key is the one of the request that made it, where that is known in this process."""
        response, owner, record = run.plan.response, run.plan.owner, current.get()
        caller = record.caller if record is not None else None
        key = caller.meter if caller is not None and caller.owner == owner else ""
        failed = response.status == "failed" or run.error is not None
        self._ledger.answered(owner, key, response.model, response.usage, failed=failed)

    def answered(self, record: Record) -> None:
        """Note a request that made no Response and used tokens."""
        caller = record.caller
        if record.usage is not None and caller is not None and record.run is None:
            model, usage, _ = record.outcome()
            self._ledger.answered(caller.owner, caller.meter, model, usage, failed=record.status >= 400)
