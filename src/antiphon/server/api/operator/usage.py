"""`/admin/usage`, and OpenAI's `/organization/usage/…` and `/organization/costs`: what the whole server used."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from antiphon.access.usage import DAY, UsageLedger
from antiphon.access.usage_report import as_csv, columns, row, usage_query
from antiphon.errors import InvalidRequest
from antiphon.server.api.paging import whole_number
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.stores.base import UsageStore
from antiphon.stores.usage_records import UsageGroup, UsageQuery, UsageSum

PRIVATE = ((b"cache-control", b"no-store"),)
OPENAI_GROUPS: dict[str, UsageGroup] = {
    "model": "model",
    "api_key_id": "key",
    "user_id": "owner",
    "project_id": "owner",
}
"""What OpenAI's `group_by` names here: a user and a project are an owner."""
MOST_BUCKETS = 180
FARTHEST = 1 << 33
"""Unix time that is far enough."""


class UsageRoutes:
    """The handlers. What was used a moment ago is written first."""

    def __init__(self, store: UsageStore, ledger: UsageLedger, clock: Callable[[], float]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def report(self, request: Request) -> Reply:
        """GET /admin/usage: `group_by`, `start`, `end`, `owner`, `key`, `model`; `format` is `json` or `csv`."""
        words = {name: values[-1] for name, values in request.query.items() if values}
        form = words.get("format", "json")
        if form not in ("json", "csv"):
            raise InvalidRequest("Invalid 'format': must be 'json' or 'csv'.", param="format")
        try:
            query = usage_query(words, datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).date())
        except ValueError as error:
            raise InvalidRequest(f"Invalid {error}.", param=str(error).split("'")[1]) from None
        await self._ledger.flush()
        sums = await self._store.read(query)
        if form == "csv":
            return Reply(
                as_csv(sums, query).encode(errors="replace"), content_type="text/csv; charset=utf-8", headers=PRIVATE
            )
        names = columns(query)
        return json_reply({"object": "list", "data": [row(one, names) for one in sums]}, headers=PRIVATE)

    async def completions(self, request: Request) -> Reply:
        """GET /organization/usage/completions, in OpenAI's shape, by days."""
        return json_reply(await self._buckets(request, _completions), headers=PRIVATE)

    async def costs(self, request: Request) -> Reply:
        """GET /organization/costs, in OpenAI's shape, by days."""
        return json_reply(await self._buckets(request, _costs), headers=PRIVATE)

    async def _buckets(self, request: Request, result: Callable[[UsageSum, frozenset[str]], Any]) -> dict[str, Any]:
        now = int(self._clock())
        if request.query.get("start_time") is None:
            raise InvalidRequest(
                "Missing required parameter: 'start_time'.", param="start_time", code="missing_required_parameter"
            )
        start = whole_number(request, "start_time", 0, 0, FARTHEST) // DAY
        end = -(-whole_number(request, "end_time", now, 0, FARTHEST) // DAY)
        width = (request.query.get("bucket_width") or ["1d"])[-1]
        if width != "1d":
            raise InvalidRequest("Invalid 'bucket_width': only '1d' is kept here.", param="bucket_width")
        limit = whole_number(request, "limit", 7, 1, MOST_BUCKETS)
        page = whole_number(request, "page", start, 0, FARTHEST)
        last = min(page + limit, max(end, page + 1)) - 1
        groups = frozenset(
            name
            for word in (*request.query.get("group_by", ()), *request.query.get("group_by[]", ()))
            for name in word.split(",")
        )
        for name in groups - OPENAI_GROUPS.keys():
            if name not in ("line_item", "batch", "service_tier"):
                raise InvalidRequest(f"Invalid 'group_by': '{name[:64]}' is not known.", param="group_by")
        await self._ledger.flush()
        mine = frozenset(OPENAI_GROUPS[name] for name in groups if name in OPENAI_GROUPS)
        sums = await self._store.read(UsageQuery(first=page, last=last, groups=mine | {"day"}))
        by_day = {day: list(some) for day, some in groupby(sums, lambda one: one.day)}
        data = [_bucket(day, [result(one, groups) for one in by_day.get(day, ())]) for day in range(page, last + 1)]
        more = last + 1 < end
        return {"object": "page", "data": data, "has_more": more, "next_page": str(last + 1) if more else None}


def _bucket(day: int, results: Sequence[Any]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": day * DAY, "end_time": (day + 1) * DAY, "results": results}


def _named(one: UsageSum, groups: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(one, ours) if name in groups else None for name, ours in OPENAI_GROUPS.items()}


def _completions(one: UsageSum, groups: frozenset[str]) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": one.input_tokens,
        "input_cached_tokens": one.cached_tokens,
        "output_tokens": one.output_tokens,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": one.requests,
        "batch": None,
        "service_tier": None,
        **_named(one, groups),
    }


def _costs(one: UsageSum, groups: frozenset[str]) -> dict[str, Any]:
    named = _named(one, groups)
    return {
        "object": "organization.costs.result",
        "amount": {"value": round(one.cost, 6), "currency": "usd"},
        "line_item": None,
        "quantity": None,
        "project_id": named["project_id"],
        "api_key_id": named["api_key_id"],
    }
