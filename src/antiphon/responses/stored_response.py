"""Response → StoredResponse: its body as it was sent, and the positions of its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.core.context import LONGEST_ID, item_id, split_array
from antiphon.core.json_encoding import to_json
from antiphon.core.tools.results import ModelTexts
from antiphon.errors import NotFound, StoreUnknown
from antiphon.responses.log.entries import UNTIMED, Costing, Timing, log_entry, request_parameters
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.runtime.offload import LARGE, by_size
from antiphon.stores.log_records import LogEntry
from antiphon.stores.records import StoredItem, StoredResponse

_OUTPUT = b'"output":'
NO_TEXTS: ModelTexts = {}
NO_IDS: Mapping[str, int] = {}


async def commit(
    services: Services,
    plan: Plan,
    body: bytes,
    output: Sequence[bytes],
    fence: int,
    texts: ModelTexts,
    thoughts: Mapping[str, int],
    timing: Timing = UNTIMED,
    *,
    joins: bool = True,
) -> None:
    """Store a response that has ended; `thoughts` are ids by which some of its output is found too, and indexes there.

    Unless it `joins`, its items stay out of its conversation.
    Raises APIError 503, 404 where its conversation was deleted meanwhile, and FenceError.
    """
    days, size = services.config.store_days, max(plan.turn.size, len(body))
    whole = (plan, body, output, days, services.cost, timing, texts, thoughts)
    response, entry = stored_response(*whole) if size < LARGE else await by_size(size, stored_response, *whole)
    joined = items_of(response) if joins and plan.conversation_id is not None else []
    try:
        await services.store.responses.put(response, conversation_items=joined, fence=fence, entry=entry)
    except StoreUnknown:
        raise NotFound(
            f"Conversation with id '{plan.conversation_id}' was deleted while the response was being generated.",
            param="conversation",
            code="conversation_not_found",
        ) from None


def stored_response(
    plan: Plan,
    body: bytes,
    output: Sequence[bytes],
    days: float,
    cost: Costing,
    timing: Timing = UNTIMED,
    texts: ModelTexts = NO_TEXTS,
    thoughts: Mapping[str, int] = NO_IDS,
) -> tuple[StoredResponse, LogEntry]:
    """Return what the store keeps of a response: its body as sent, its own input, the texts for the model, and its log entry."""
    response = plan.response
    own, alone = plan.own_input(), plan.conversation_id is None  # else its items are taken apart
    foreign = {**own.foreign_ids, **_foreign_ids(output, plan.id_base, own.count)}
    if thoughts:
        foreign |= {id: own.count + position for id, position in thoughts.items()}
    stored = StoredResponse(
        id=response.id,
        owner=plan.owner,
        model=response.model,
        status=response.status,
        created_at=response.created_at,
        body=body,
        output_span=output_span(body, output),
        input=own.array if alone else own.whole,
        previous_response_id=response.previous_response_id,
        conversation_id=plan.conversation_id,
        expires_at=response.created_at + int(days * 86400) if days else None,
        background=response.background,
        model_texts=model_texts_json(texts),
        foreign_ids=foreign,
        input_pieces=own.pieces if alone else None,
    )
    return stored, log_entry(stored, cost, timing, request_parameters(plan), own.asking, response)


def model_texts_json(texts: ModelTexts) -> bytes:
    """Return what the model sees beside a response's items as the store keeps it."""
    return to_json(texts) if texts else b""


def _foreign_ids(output: Sequence[bytes], id_base: str, first: int) -> dict[str, int]:
    """Return the ids of items that another server made, and their positions after the input."""
    base = id_base.encode()
    found = {item_id(item): first + position for position, item in enumerate(output) if item.find(base, 0, 200) < 0}
    if not found:
        return found
    return {id: position for id, position in found.items() if id and len(id.encode(errors="replace")) <= LONGEST_ID}


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
