"""Usage reports: a query in words → sums, as rows of a table, JSON or CSV."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

from antiphon.stores.usage_records import COUNTS, GROUPS, UsageGroup, UsageQuery, UsageSum

EPOCH = datetime.date(1970, 1, 1)
FIRST = datetime.date(1900, 1, 1)
"""Days behind it can be asked for."""
LONGEST = 3_660
"""Days of a report."""
USUAL_DAYS = 30
PERIODS = "today, yesterday, week, last-week, month, last-month, or a number of days up to today, such as 7d"


def usage_query(words: Mapping[str, str], today: datetime.date) -> UsageQuery:
    """Read `group_by` (names with commas), `start`, `end` (days such as 2030-01-31, both included), `owner`, `key`, `model`.

    In the place of `start` and `end` there may be a `period`. Without any it is the last 30 days. Raises ValueError with what is
    wrong.
    """
    groups = [name.strip() for name in words.get("group_by", "owner").split(",") if name.strip()]
    for name in groups:
        if name not in GROUPS:
            raise ValueError(f"'group_by': '{name}' is not one of {', '.join(GROUPS)}")
    if "period" in words:
        if "start" in words or "end" in words:
            raise ValueError("'period': not together with 'start' or 'end'")
        first, last = period_days(words["period"], today)
    else:
        last = _day(words.get("end"), "end", today)
        first = _day(words.get("start"), "start", last - datetime.timedelta(days=USUAL_DAYS - 1))
    if not 0 <= (last - first).days < LONGEST:
        raise ValueError(f"'start' must be before 'end', and at most {LONGEST} days")
    return UsageQuery(
        first=(first - EPOCH).days,
        last=(last - EPOCH).days,
        groups=frozenset(cast(Sequence[UsageGroup], groups)),
        owner=words.get("owner"),
        key=words.get("key"),
        model=words.get("model"),
    )


def period_days(text: str, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """Return the first and the last day of a period of PERIODS; weeks begin on Monday. Raises ValueError."""
    day = datetime.timedelta(days=1)
    week = today - today.weekday() * day
    month = today.replace(day=1)
    named = {
        "today": (today, today),
        "yesterday": (today - day, today - day),
        "week": (week, today),
        "last-week": (week - 7 * day, week - day),
        "month": (month, today),
        "last-month": ((month - day).replace(day=1), month - day),
    }
    if text in named:
        return named[text]
    number = text[:-1] if text.endswith("d") else ""
    if not (number.isascii() and number.isdigit() and len(number) <= 4 and 1 <= int(number) <= LONGEST):
        raise ValueError(f"'period': '{text[:32]}' is not one of {PERIODS}")
    return today - (int(number) - 1) * day, today


def _day(text: str | None, name: str, default: datetime.date) -> datetime.date:
    if text is None:
        return default
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        found = FIRST
    if found <= FIRST:
        raise ValueError(f"'{name}': '{text[:32]}' is not a day such as 2030-01-31")
    return found


def columns(query: UsageQuery) -> list[str]:
    """Return the names of a report's columns."""
    return [*(name for name in GROUPS if name in query.groups), *COUNTS]


def row(one: UsageSum, names: Sequence[str]) -> dict[str, Any]:
    """Return a sum by names of columns; a day as a date, a cost to a millionth."""
    values: dict[str, Any] = {name: getattr(one, name) for name in names}
    if "day" in values:
        values["day"] = day_text(one.day)
    values["cost"] = round(one.cost, 6)
    return values


def day_text(day: int) -> str:
    """Return a day as 2030-01-31."""
    return (EPOCH + datetime.timedelta(days=day)).isoformat()


def as_csv(sums: Sequence[UsageSum], query: UsageQuery) -> str:
    """Return a report as CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    names = columns(query)
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    for one in sums:
        values = row(one, names)
        writer.writerow(
            {
                name: f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
                for name, value in values.items()
            }
        )
    return out.getvalue()
