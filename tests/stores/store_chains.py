"""Responses in chains, and items of stored responses."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.stores.records import StoredResponse


def arrays(*responses: StoredResponse) -> Sequence[bytes]:
    return [part for each in responses for part in (each.input, each.output)]
