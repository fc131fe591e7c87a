"""JobRequest: the request of a background response, kept in the store until it ends, so that any server can run it.

A request with secrets (those of MCP servers) is sealed with the secret that all servers on a store share.
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BRINGERS, SECRETIVE
from antiphon.errors import APIError
from antiphon.responses.plan import Identity, Plan
from antiphon.responses.sealing import Sealer, SealError
from antiphon.stores.records import Job
from antiphon.types.items import OtherItem
from antiphon.types.tools import OtherTool

SMALL = 128 * 1024  # bytes of a request that is sealed on the event loop; a larger one is in a thread

LOST_KEY = APIError(
    500,
    "The request of this background response was sealed with a secret that this server does not have.",
    code="server_error",
)


class JobRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The request's body, or its seal, and the Identity of its response."""

    body: Raw
    identity: Identity
    sealed: str = ""


async def packed(plan: Plan, body: bytes, sealer: Sealer) -> bytes:
    """Return the JSON that the store keeps of a request."""
    identity = Identity(plan.id_base, plan.response.created_at, plan.rights)
    if not _has_secrets(plan):
        return to_json(JobRequest(Raw(body), identity))
    text = body.decode("utf-8", "surrogatepass")
    if len(body) > SMALL or not sealer.loaded:
        sealed = await asyncio.to_thread(sealer.seal, text, "job", plan.owner)
    else:
        sealed = sealer.seal(text, "job", plan.owner)
    return to_json(JobRequest(Raw(b"{}"), identity, sealed))


async def unpacked(job: Job, sealer: Sealer) -> tuple[bytes, Identity]:
    """Return a request's body and its identity. Raises APIError where its seal does not open."""
    request = msgspec.json.decode(job.request, type=JobRequest)
    if not request.sealed:
        return bytes(request.body), request.identity
    try:
        text = await asyncio.to_thread(sealer.open, request.sealed, "job", job.owner)
    except SealError:
        raise LOST_KEY from None
    return text.encode("utf-8", "surrogatepass"), request.identity


def _has_secrets(plan: Plan) -> bool:
    """Tell whether a request may hold secrets: by its kinds of tools, so that no spelling of a field's name is missed."""
    tools = (isinstance(tool, OtherTool) and tool.type in SECRETIVE for tool in plan.turn.tools)
    items = (isinstance(item, OtherItem) and item.type in BRINGERS for item in plan.own_items)
    return any(tools) or any(items)
