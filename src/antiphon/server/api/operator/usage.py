"""`/admin/usage`, and OpenAI's `/organization/usage/…` and `/organization/costs`: what the whole server used."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.access.usage import DAY, UsageLedger
from antiphon.access.usage_report import as_csv, columns, row, usage_query
from antiphon.errors import InvalidRequest
from antiphon.server.api.paging import whole_number
from antiphon.server.http.messages import Handler, Reply, Request, json_reply
from antiphon.stores.base import UsageStore
from antiphon.stores.usage_records import UsageGroup, UsageQuery, UsageSum, plus, whom

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


HELPER = "helper:"
HELPERS_ELSEWHERE = frozenset(("helper:embedding", "helper:moderation", "helper:rerank"))
"""Helpers that are no completions."""


class UsageKind(msgspec.Struct, frozen=True, kw_only=True):
    """What OpenAI tells of a kind of usage: whether a sum belongs to it, by its `tool`; OpenAI's figures → ours, "" for 0."""

    counts: Callable[[str], bool]
    fields: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def _is_completion(tool: str) -> bool:
    return not tool or (tool.startswith(HELPER) and tool not in HELPERS_ELSEWHERE)


KINDS: Mapping[str, UsageKind] = {
    "completions": UsageKind(
        counts=_is_completion,
        fields={
            "input_tokens": "input_tokens",
            "input_cached_tokens": "cached_tokens",
            "output_tokens": "output_tokens",
            "input_audio_tokens": "",
            "output_audio_tokens": "",
        },
        unknown=("batch", "service_tier"),
    ),
    "embeddings": UsageKind(
        counts=lambda tool: tool in ("route:embeddings", "helper:embedding"), fields={"input_tokens": "input_tokens"}
    ),
    "moderations": UsageKind(
        counts=lambda tool: tool in ("route:moderations", "helper:moderation"), fields={"input_tokens": "input_tokens"}
    ),
    "images": UsageKind(
        counts=lambda tool: tool == "route:images", fields={"images": "calls"}, unknown=("source", "size")
    ),
    "audio_speeches": UsageKind(counts=lambda tool: tool == "route:audio_speeches", fields={"characters": "calls"}),
    "audio_transcriptions": UsageKind(
        counts=lambda tool: tool == "route:audio_transcriptions", fields={"seconds": "calls"}
    ),
}
"""`/organization/usage/…` → what it tells."""


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

    def of_kind(self, name: str) -> Handler:
        """Return the handler of GET /organization/usage/NAME, in OpenAI's shape, by days."""
        kind = KINDS[name]

        async def handler(request: Request) -> Reply:
            return json_reply(
                await self._buckets(request, kind.counts, lambda one, groups: _counted(name, kind, one, groups)),
                headers=PRIVATE,
            )

        handler.__doc__ = f"Usage of {name.replace('_', ' ')} by day, in OpenAI's shape."
        return handler

    async def costs(self, request: Request) -> Reply:
        """GET /organization/costs, in OpenAI's shape, by days."""
        return json_reply(await self._buckets(request, lambda tool: True, _costs), headers=PRIVATE)

    async def _buckets(
        self, request: Request, counts: Callable[[str], bool], result: Callable[[UsageSum, frozenset[str]], Any]
    ) -> dict[str, Any]:
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
        read = await self._store.read(UsageQuery(first=page, last=last, groups=mine | {"day", "tool"}))
        sums = _together([one for one in read if counts(one.tool)])
        by_day = {day: list(some) for day, some in groupby(sums, lambda one: one.day)}
        data = [_bucket(day, [result(one, groups) for one in by_day.get(day, ())]) for day in range(page, last + 1)]
        more = last + 1 < end
        return {"object": "page", "data": data, "has_more": more, "next_page": str(last + 1) if more else None}


def _bucket(day: int, results: Sequence[Any]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": day * DAY, "end_time": (day + 1) * DAY, "results": results}


def _named(one: UsageSum, groups: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(one, ours) if name in groups else None for name, ours in OPENAI_GROUPS.items()}


def _together(sums: Sequence[UsageSum]) -> list[UsageSum]:
    """Return sums that are not told apart by their tool; a helper's calls are requests."""
    found: dict[Any, UsageSum] = {}
    for one in sums:
        if one.tool.startswith(HELPER):
            one = replace(one, requests=one.calls, calls=0)
        one = replace(one, tool="")
        found[whom(one)] = plus(found[whom(one)], one) if whom(one) in found else one
    return [found[key] for key in sorted(found)]


def _counted(name: str, kind: UsageKind, one: UsageSum, groups: frozenset[str]) -> dict[str, Any]:
    figures = {field: getattr(one, ours) if ours else 0 for field, ours in kind.fields.items()}
    return {
        "object": f"organization.usage.{name}.result",
        **figures,
        "num_model_requests": one.requests,
        **dict.fromkeys(kind.unknown),
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
