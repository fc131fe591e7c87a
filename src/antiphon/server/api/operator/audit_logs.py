"""`/organization/audit_logs`: the audit log in the shape of OpenAI's, for tools that read theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.access.audit import ACTIONS, AuditLog
from antiphon.errors import InvalidRequest
from antiphon.server.api.operator.auditing import FARTHEST, PRIVATE
from antiphon.server.api.paging import MAX_LIMIT, whole_number
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.stores.audit_records import AuditEntry, AuditQuery

TYPES: Mapping[str, str] = {"api_key.revoked": "api_key.deleted", "api_key.rotated": "api_key.updated"}
"""Actions whose type has another name at OpenAI; what it has no name for keeps its own."""

MOST_LOOKED_AT = 1000
"""Entries that one page looks at: where few are wanted it may have fewer than `limit`, and tells where to go on."""

BOUNDS = {"effective_at[gte]": 0, "effective_at[gt]": 1, "effective_at[lte]": 1, "effective_at[lt]": 0}
"""Bounds of the time, and what is added to each: those of the log are from a second on, and before one."""

LISTS = ("event_types", "actor_ids", "resource_ids", "project_ids", "actor_emails")


class AuditLogRoutes:
    """The handler."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def list(self, request: Request) -> Reply:
        """GET /organization/audit_logs: newest first; `effective_at[…]`, `event_types[]`, `actor_ids[]`, `resource_ids[]`."""
        limit = whole_number(request, "limit", 20, 1, MAX_LIMIT)
        wanted = {name: _values(request, name) for name in LISTS}
        first, last = _times(request)
        after = next(iter(request.query.get("after", ())[-1:]), None)
        shown: list[AuditEntry] = []
        cursor, looked_at, more = after, 0, True
        while more and len(shown) < limit and looked_at < MOST_LOOKED_AT:
            query = AuditQuery(limit=MAX_LIMIT + 1, after=cursor, first=first, last=last)
            found = await self._log.store.list(query)
            if found is None:
                raise InvalidRequest("Invalid 'after': audit log not found.", param="after")
            more = len(found) > MAX_LIMIT
            for entry in found[:MAX_LIMIT]:
                looked_at, cursor = looked_at + 1, entry.id
                if _fits(entry, wanted):
                    shown.append(entry)
                if len(shown) == limit:
                    more = more or entry is not found[-1]
                    break
        body = {
            "object": "list",
            "data": [audit_log(entry) for entry in shown],
            "first_id": shown[0].id if shown else None,
            "last_id": cursor if more else (shown[-1].id if shown else None),
            "has_more": more,
        }
        return json_reply(body, headers=PRIVATE)


def audit_log(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as OpenAI has it: its type names the field that tells what was done."""
    type = TYPES.get(entry.action, entry.action)
    told: dict[str, Any] = {"id": entry.subject}
    details = msgspec.json.decode(entry.details, type=dict[str, Raw])
    if type == "api_key.created":
        told["data"] = {"scopes": details.get("scopes", [])}
    elif type == "api_key.updated":
        told["changes_requested"] = details
    elif type != "api_key.deleted":
        told["data"] = details
    owner = entry.owner or entry.actor
    user = {"id": owner, "email": None}
    return {
        "id": entry.id,
        "object": "organization.audit_log",
        "type": type,
        "effective_at": int(entry.at),
        "project": {"id": owner, "name": owner},
        "actor": {
            "type": "api_key",
            "api_key": {"id": entry.actor, "type": "user", "user": user},
            "session": {"user": user, "ip_address": entry.address} if entry.address else None,
        },
        type: told,
    }


def _fits(entry: AuditEntry, wanted: Mapping[str, Sequence[str]]) -> bool:
    known = {
        "event_types": (TYPES.get(entry.action, entry.action), entry.action),
        "actor_ids": (entry.actor, entry.owner),
        "resource_ids": (entry.subject,),
        "project_ids": (entry.owner,),
        "actor_emails": (),
    }
    return all(not values or any(value in known[name] for value in values) for name, values in wanted.items())


def _values(request: Request, name: str) -> Sequence[str]:
    """Return the values of a list in the query, spelled `name` or `name[]`. Raises InvalidRequest."""
    values = [*request.query.get(name, ()), *request.query.get(f"{name}[]", ())]
    types = {*ACTIONS, *TYPES.values()}
    if name == "event_types" and (unknown := [value for value in values if value not in types]):
        raise InvalidRequest(
            f"Invalid 'event_types': '{unknown[0][:64]}' is none of {', '.join(sorted(types))}.", param=name
        )
    return values


def _times(request: Request) -> tuple[float, float]:
    """Return the first and the last time that are wanted; clients see whole seconds. Raises InvalidRequest."""
    given = {name: whole_number(request, name, -1, 0, FARTHEST) for name in BOUNDS if name in request.query}
    firsts = [given[name] + BOUNDS[name] for name in ("effective_at[gte]", "effective_at[gt]") if name in given]
    lasts = [given[name] + BOUNDS[name] for name in ("effective_at[lte]", "effective_at[lt]") if name in given]
    return float(max(firsts, default=0)), math.nextafter(min(lasts, default=FARTHEST), -1.0)
