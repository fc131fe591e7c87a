"""`/v1/webhook_endpoints`: create, list, read, change, delete, rotate the secret, test; `/v1/webhook_event_types`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.responses.webhooks.delivery import EVENTS
from antiphon.responses.webhooks.endpoints import NewSecret, WebhookEndpoints, types_of
from antiphon.server.api.paging import listing, page_query
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.stores.records import ListPage
from antiphon.stores.webhook_records import StoredWebhook

LONGEST_NAME = 256
LONGEST_URL = 2048

EventType = Literal[
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "budget.threshold_reached",
]
EventTypes = Annotated[list[EventType], Meta(min_length=1, max_length=len(EVENTS))]
EndpointName = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
EndpointUrl = Annotated[str, Meta(max_length=LONGEST_URL)]


class CreateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints`."""

    event_types: EventTypes
    name: EndpointName
    url: EndpointUrl


class UpdateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints/{id}`."""

    event_types: EventTypes | None = None
    name: EndpointName | None = None
    url: EndpointUrl | None = None


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints/{id}/rotate_secret`."""

    keep_old_secret_active_for_24_hours: bool = False


class SendSample(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints/{id}/test`."""

    event_type: EventType


_create = msgspec.json.Decoder(CreateWebhookEndpoint)
_update = msgspec.json.Decoder(UpdateWebhookEndpoint)
_rotate = msgspec.json.Decoder(RotateSecret)
_test = msgspec.json.Decoder(SendSample)


class WebhookEndpointRoutes:
    """The handlers."""

    def __init__(self, endpoints: WebhookEndpoints, new_id_base: Callable[[], str]) -> None:
        self._endpoints = endpoints
        self._new_id_base = new_id_base

    async def create(self, request: Request) -> Reply:
        """POST /v1/webhook_endpoints: the only answer with the signing secret, but for that of a rotation."""
        body = decode(_create, await request.body(most=SMALL_BODY))
        id = f"whe_{self._new_id_base()}"
        types = list(dict.fromkeys(body.event_types))
        return _with_secret(await self._endpoints.create(id, request.owner, body.name, body.url, types))

    async def list(self, request: Request) -> Reply:
        """GET /v1/webhook_endpoints: newest first; `limit`, `after`."""
        query = page_query(request)
        page = ListPage(limit=query.limit + 1, descending=not query.ascending, after=query.after, before=query.before)
        found = await self._endpoints.store.list(request.owner, page)
        if found is None:
            param = "after" if query.after is not None else "before"
            raise InvalidRequest(f"Invalid '{param}': webhook endpoint not found.", param=param)
        shown = found[: query.limit]
        data = [endpoint_object(one) for one in shown]
        return json_reply(listing(data, [one.id for one in shown], len(found) > query.limit))

    async def read(self, request: Request) -> Reply:
        """GET /v1/webhook_endpoints/{id}."""
        return json_reply(endpoint_object(await self._endpoints.get(request.params["id"], request.owner)))

    async def update(self, request: Request) -> Reply:
        """POST /v1/webhook_endpoints/{id}: change name, URL or event types."""
        body = decode(_update, await request.body(most=SMALL_BODY) or b"{}")
        types = None if body.event_types is None else list(dict.fromkeys(body.event_types))
        changed = await self._endpoints.update(request.params["id"], request.owner, body.name, body.url, types)
        return json_reply(endpoint_object(changed))

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/webhook_endpoints/{id}."""
        id = request.params["id"]
        await self._endpoints.delete(id, request.owner)
        return json_reply({"id": id, "object": "webhook_endpoint.deleted", "deleted": True})

    async def rotate(self, request: Request) -> Reply:
        """POST /v1/webhook_endpoints/{id}/rotate_secret."""
        keep = decode(_rotate, await request.body(most=SMALL_BODY) or b"{}").keep_old_secret_active_for_24_hours
        return _with_secret(await self._endpoints.rotate(request.params["id"], request.owner, keep_old=keep))

    async def test(self, request: Request) -> Reply:
        """POST /v1/webhook_endpoints/{id}/test: a sample event is sent now, once."""
        type = decode(_test, await request.body(most=SMALL_BODY)).event_type
        id, event_id = request.params["id"], f"evt_test_{self._new_id_base()}"
        request.cancel_on_disconnect()
        status = await self._endpoints.test(id, request.owner, event_id, type)
        return json_reply(
            {
                "object": "webhook_endpoint.test",
                "webhook_endpoint_id": id,
                "event_type": type,
                "status_code": status,
                "success": True,
            }
        )

    async def event_types(self, request: Request) -> Reply:
        """GET /v1/webhook_event_types: what this server tells."""
        return json_reply({"object": "list", "data": EVENTS})


def endpoint_object(endpoint: StoredWebhook) -> dict[str, object]:
    """Return an endpoint as clients see it: without its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": types_of(endpoint),
        "signing_secret_hint": endpoint.hint,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def _with_secret(made: NewSecret) -> Reply:
    return json_reply({**endpoint_object(made.endpoint), "signing_secret": made.secret})


def add_webhook_endpoints(router: RouteTable, routes: WebhookEndpointRoutes) -> None:
    """Register `/webhook_endpoints` and `/webhook_event_types`."""
    router.add("POST", "/webhook_endpoints", routes.create)
    router.add("GET", "/webhook_endpoints", routes.list)
    router.add("GET", "/webhook_endpoints/{id}", routes.read)
    router.add("POST", "/webhook_endpoints/{id}", routes.update)
    router.add("DELETE", "/webhook_endpoints/{id}", routes.delete)
    router.add("POST", "/webhook_endpoints/{id}/rotate_secret", routes.rotate)
    router.add("POST", "/webhook_endpoints/{id}/test", routes.test)
    router.add("GET", "/webhook_event_types", routes.event_types)
