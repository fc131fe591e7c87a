"""What the store keeps of a Response: its body as it was sent, and where the items stand in it."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.core.context import LONGEST_ID, item_id, split_array
from antiphon.errors import NotFound, StoreUnknown
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.runtime.offload import LARGE, by_size
from antiphon.stores.records import StoredItem, StoredResponse

_OUTPUT = b'"output":'


async def commit(services: Services, plan: Plan, body: bytes, output: Sequence[bytes], fence: int) -> None:
    """Store a response that has ended. Raises APIError 503, 404 where its conversation was deleted meanwhile, and FenceError."""
    days = services.config.store_days
    if plan.turn.size < LARGE:
        response = stored_response(plan, body, output, days)
    else:
        response = await by_size(plan.turn.size, stored_response, plan, body, output, days)
    joined = items_of(response) if plan.conversation_id is not None else []
    try:
        await services.store.responses.put(response, conversation_items=joined, fence=fence)
    except StoreUnknown:
        raise NotFound(
            f"Conversation with id '{plan.conversation_id}' was deleted while the response was made.",
            param="conversation",
            code="conversation_not_found",
        ) from None


def stored_response(plan: Plan, body: bytes, output: Sequence[bytes], days: float) -> StoredResponse:
    """Return what the store keeps of a response: its body as sent, and its own input."""
    response = plan.response
    own = plan.own_input()
    return StoredResponse(
        id=response.id,
        owner=plan.owner,
        model=response.model,
        status=response.status,
        created_at=response.created_at,
        body=body,
        output_span=output_span(body, output),
        input=own.array,
        previous_response_id=response.previous_response_id,
        conversation_id=plan.conversation_id,
        expires_at=response.created_at + int(days * 86400) if days else None,
        background=response.background,
        foreign_ids={**own.foreign_ids, **_foreign_ids(output, plan.id_base, own.count)},
    )


def _foreign_ids(output: Sequence[bytes], id_base: str, first: int) -> dict[str, int]:
    """Return the ids of items that another server made, and their places behind the input."""
    base = id_base.encode()
    found = {item_id(item): first + place for place, item in enumerate(output) if base not in item[:200]}
    if not found:
        return found
    return {id: place for id, place in found.items() if id and len(id.encode(errors="replace")) <= LONGEST_ID}


def output_span(body: bytes, output: Sequence[bytes]) -> tuple[int, int]:
    """Tell where the output array stands in a Response's JSON.

    The first such key is it: before it stand only scalars and strings, whose quotes are escaped.
    """
    start = body.index(_OUTPUT) + len(_OUTPUT)
    return start, start + sum(map(len, output)) + max(len(output) - 1, 0) + 2


def items_of(response: StoredResponse) -> list[StoredItem]:
    """Return the items of a response's input and output one by one, as a conversation keeps them."""
    arrays = (response.input, response.output)
    return [StoredItem(item_id(raw), bytes(raw)) for array in arrays for raw in split_array(array)]
