"""UsageWatch: tells the UsageLedger, and the counts by owner, of each Response and each request answered in another way."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.access.usage import RELAYED_KINDS, UsageLedger
from antiphon.telemetry.observers import Observed, RequestRecord
from antiphon.telemetry.prometheus import OTHER, Bounded, Samples
from antiphon.telemetry.request_record import Record, current
from antiphon.types.response import Usage

MOST_OWNERS = 1000
"""Pairs of owner and key that are told apart in `/metrics`."""


class OwnerCounts:
    """Answers and tokens by owner and key, for `/metrics`, where the operator asks for them."""

    def __init__(self) -> None:
        self._known = Bounded(MOST_OWNERS)
        self._answers = Samples(
            "antiphon_owner_answers_total", "Answers by owner and key (`metrics_by_owner`).", ("owner", "key")
        )
        self._tokens = Samples(
            "antiphon_owner_tokens_total", "Tokens by owner and key (`metrics_by_owner`).", ("owner", "key", "kind")
        )

    def count(self, owner: str, key: str, usage: Usage | None) -> None:
        """Count an answer."""
        labels = (owner, key) if self._known(f"{owner}\0{key}") != OTHER else (OTHER, OTHER)
        self._answers.add(labels)
        if usage is not None:
            self._tokens.add((*labels, "input"), usage.input_tokens)
            self._tokens.add((*labels, "output"), usage.output_tokens)

    def __call__(self) -> Iterable[Samples]:
        """Return the families as they are now."""
        yield self._answers
        yield self._tokens


class UsageWatch:
    """An observer and a `request_record.Watcher`."""

    def __init__(self, ledger: UsageLedger, counts: OwnerCounts | None = None) -> None:
        self._ledger = ledger
        self._counts = counts

    def ended(self, run: Observed, record: RequestRecord) -> None:
        """Note a Response. Its key is the one of the request that made it, where that is known in this process."""
        owner, request = record.owner, current.get()
        caller = request.caller if request is not None else None
        key = caller.meter if caller is not None and caller.owner == owner else ""
        failed = record.status == "failed" or record.error is not None
        self._ledger.answered(owner, key, record.model, record.usage, failed=failed)
        if self._counts is not None:
            self._counts.count(owner, key, record.usage)

    def answered(self, record: Record) -> None:
        """Note a request that made no Response and used tokens, or was passed on to a model."""
        caller = record.caller
        if caller is None or record.made_response:
            return
        model, usage = record.model, record.usage
        kind = RELAYED_KINDS.get(record.route, "")
        if usage is not None or (kind and model):
            failed = record.status >= 400
            units = 0 if failed else record.units
            self._ledger.answered(caller.owner, caller.meter, model, usage, failed=failed, kind=kind, units=units)
            if self._counts is not None:
                self._counts.count(caller.owner, caller.meter, usage)
