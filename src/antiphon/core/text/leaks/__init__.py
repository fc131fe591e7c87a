"""Tool calls that a backend leaks as text: streaming filters that turn them back into calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw

from antiphon.core.text.leaks.base import Found, LeakedCall, LeakFilter, Meant, Offered
from antiphon.core.text.leaks.families import CHANNELS, FAMILIES, NAMES, Families, Row
from antiphon.core.text.leaks.harmony import HarmonyFilter
from antiphon.core.text.leaks.reader import NO_FAMILIES, CallReader, forms_of

__all__ = [
    "CHANNELS",
    "FAMILIES",
    "NAMES",
    "NO_FAMILIES",
    "Families",
    "Found",
    "LeakFilter",
    "LeakedCall",
    "Row",
    "holds_none",
    "open_filters",
]


def open_filters(
    leaks: Sequence[str], schemas: Mapping[str, Raw], meant: Meant | None = None, own: Families = NO_FAMILIES
) -> list[LeakFilter]:
    """Return the filters for these families, the users' `own` among them; only functions with one of `schemas` are called.

    `meant` finds the function that a name means which was not offered.
    """
    offered = Offered(schemas, meant) if meant is not None else Offered(schemas)
    filters: list[LeakFilter] = [HarmonyFilter(offered)] if CHANNELS in leaks else []
    if schemas and any(name != CHANNELS for name in leaks):
        filters.append(CallReader(forms_of(leaks, own), offered))
    return filters


def holds_none(text: str, leaks: Sequence[str], own: Families = NO_FAMILIES) -> bool:
    """Tell whether a whole answer, which is not all blanks, holds nothing that such filters would look at."""
    if not leaks:
        return True
    forms = forms_of(leaks, own)
    return not (forms.is_marked(text) or forms.may_start(text.lstrip()[:1]) or (CHANNELS in leaks and "<" in text))
