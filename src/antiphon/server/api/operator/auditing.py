"""What routes write to the audit log: deletes of objects, and what operators read; `/admin/audit` shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.access.audit import ACTIONS, Actor, AuditLog
from antiphon.access.caller import ADMIN
from antiphon.config.masking import masked_for_operators
from antiphon.config.tables import SECRET_QUERY
from antiphon.errors import InvalidRequest
from antiphon.server.api.paging import MAX_LIMIT, listing, whole_number
from antiphon.server.http.messages import Handler, Reply, Request, json_reply
from antiphon.server.http.router import HttpRoute
from antiphon.stores.audit_records import AuditEntry, AuditQuery
from antiphon.telemetry.request_record import current

PRIVATE = ((b"cache-control", b"no-store"),)
FARTHEST = 1 << 33
LONGEST_QUERY = 200
"""Characters of a read's query that an entry keeps."""

UNWATCHED = frozenset(("/metrics",))
"""Operators' pages whose reads are not written: scrapes."""
KEYS = "/admin/keys"
"""Whose changes the keyring writes itself."""


def actor_of(request: Request) -> Actor:
    """Return who asks."""
    record, caller = current.get(), request.caller
    return Actor(
        id=caller.key or caller.owner,
        owner=caller.owner,
        address=record.client if record is not None else "",
        request_id=request.request_id,
    )


def audited(log: AuditLog) -> Callable[[HttpRoute], Handler]:
    """Return what puts the audit log before the handlers of routes that delete, and of those that operators read."""

    def handler(route: HttpRoute) -> Handler:
        if route.method == "DELETE" and not route.path.startswith(KEYS):
            return _deletes(log, route.handler)
        if route.method == "GET" and route.scopes == {ADMIN} and not route.public and route.path not in UNWATCHED:
            return _reads(log, route.handler)
        return route.handler

    return handler


def _deletes(log: AuditLog, handler: Handler) -> Handler:
    async def delete(request: Request) -> Reply | None:
        await log.record("object.deleted", actor_of(request), request.path, {})
        return await handler(request)

    return delete


def _reads(log: AuditLog, handler: Handler) -> Handler:
    async def read(request: Request) -> Reply | None:
        shown = shown_query(request.query)
        await log.read(actor_of(request), request.path, {"query": shown} if shown else {})
        return await handler(request)

    return read


def shown_query(query: Mapping[str, Sequence[str]]) -> str:
    """Return the beginning of a read's query, without secrets: clients put keys there by mistake."""
    text = "&".join(f"{name}={','.join(values)}"[:LONGEST_QUERY] for name, values in query.items())
    return masked_for_operators(SECRET_QUERY.sub(r"\g<1>[key]", f"?{text}"[: 4 * LONGEST_QUERY])[1:])[:LONGEST_QUERY]


class AuditRoutes:
    """The handlers."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def list(self, request: Request) -> Reply:
        """GET /admin/audit: newest first; `limit`, `after`, `action`, `actor`, `subject`, `start_time`, `end_time`."""
        query = audit_query(request)
        found = await self._log.store.list(query)
        if found is None:
            raise InvalidRequest("Invalid 'after': audit entry not found.", param="after")
        shown = found[: query.limit - 1]
        data = [audit_object(one) for one in shown]
        more = len(found) == query.limit
        return json_reply(listing(data, [one.id for one in shown], more), headers=PRIVATE)


def audit_query(request: Request) -> AuditQuery:
    """Read the query; it asks for one entry more than are shown. Raises InvalidRequest."""
    words = {name: values[-1] for name, values in request.query.items() if values}
    action = words.get("action")
    if action is not None and action not in ACTIONS:
        raise InvalidRequest(f"Invalid 'action': must be one of {', '.join(ACTIONS)}.", param="action")
    return AuditQuery(
        limit=whole_number(request, "limit", 20, 1, MAX_LIMIT) + 1,
        after=words.get("after"),
        action=action,
        actor=words.get("actor"),
        subject=words.get("subject"),
        first=float(whole_number(request, "start_time", 0, 0, FARTHEST)),
        last=float(whole_number(request, "end_time", FARTHEST, 0, FARTHEST)),
    )


def audit_object(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as operators see it."""
    return {"object": "audit_entry", **msgspec.structs.asdict(entry), "details": Raw(entry.details)}
