"""Why a backend's prompt cache was not used: `prompt_cache_diagnostics` of a response, and the outcome that metrics count.

A request is compared with an earlier one of its owner, which is in memory or in the store; the backend is not asked, and no
request fails by it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from antiphon.core import context
from antiphon.core.prompt_cache import Prompt, diagnose
from antiphon.errors import APIError
from antiphon.responses.caching.prompt_memory import SMALLEST, PastPrompt
from antiphon.responses.intake.history import HISTORY_BODIES
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.responses.unsealing import Unsealing
from antiphon.runtime.offload import by_size
from antiphon.runtime.request_memory import held_bytes
from antiphon.stores.records import StoredResponse
from antiphon.types.items import InputText, Item, OutputText, PlainText, Refusal
from antiphon.types.raw import JsonText
from antiphon.types.response import (
    CacheDiagnostics,
    CacheHit,
    CacheMiss,
    ComparisonNotFound,
    Incomparable,
    ReasoningEcho,
    Usage,
)

log = logging.getLogger("antiphon.responses.caching")

ENDED = ("completed", "incomplete")
ROUNDING = 256
"""Tokens of a prefix that caches may leave out: they keep blocks, and not what is shorter than one."""
TOLERATED = 0.1
"""The part of a prefix that may be missing from the cache before that is called a miss."""

HIT, EVICTED, ELSEWHERE, UNREPORTED = "hit", "evicted", "other_backend", "unreported"

_TEXTS = (InputText, OutputText, PlainText, Refusal)


class CacheOutcome(NamedTuple):
    """What a backend's cache did for a conversation's next request: `hit`, or why not, and about how many tokens were missed."""

    outcome: str
    missed: int = 0


class _Echo(msgspec.Struct):
    """What of a stored Response decides its cached prefix."""

    model: str
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    tools: Raw = Raw(b"[]")
    text: Raw = Raw(b"{}")
    reasoning: ReasoningEcho = ReasoningEcho()
    instructions: str | None = None
    prompt: Raw = Raw(b"null")
    usage: Usage | None = None


_echo = msgspec.json.Decoder(_Echo)


def prompt_of(plan: Plan, usage: Usage | None = None) -> Prompt:
    """Return what of a Plan decides its cached prefix; `usage` is that of its first Turn."""
    response = plan.response
    return Prompt(
        model=plan.turn.model,
        key=response.prompt_cache_key,
        tier=response.service_tier,
        tools=response.tools,
        text=response.text,
        effort=response.reasoning.effort,
        instructions=plan.turn.instructions,
        items=plan.turn.items,
        tokens=usage.input_tokens if usage is not None else 0,
        compacted=plan.compaction == "threshold",
        brought=not plan.route.runs_hosted_tools,
    )


def names_of(plan: Plan) -> Sequence[str]:
    """Return the names of a Plan's conversation, by which its next request is known."""
    response, names = plan.response, []
    if plan.conversation_id is not None:
        names.append(f"conversation {plan.conversation_id}")
    if response.prompt_cache_key:
        names.append(f"key {response.model} {response.prompt_cache_key}")
    return names


async def compared(services: Services, plan: Plan) -> CacheDiagnostics:
    """Return what kept a request from using the prefix that is cached of the response that it names."""
    options = plan.request.prompt_cache_options
    id = options.comparison_response_id if options is not None else None
    if id is None:
        return Incomparable()
    known = services.prompts.find(plan.owner, id)
    try:
        if known is not None:
            return await by_size(plan.size, diagnose, known.prompt, prompt_of(plan))
        stored = await services.store.responses.get(id, plan.owner)
        if stored is None or stored.status not in ENDED:
            return ComparisonNotFound()
        return await _compared_with_stored(services, plan, stored)
    except (APIError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        log.debug("response %s: comparing it with %s failed: %s", plan.response.id, id, error)
        return Incomparable()


async def _compared_with_stored(services: Services, plan: Plan, stored: StoredResponse) -> CacheDiagnostics:
    """Compare with a response that the store has. Its media are not what a model was shown, so it can have none."""
    echo = _echo.decode(stored.body)
    if bytes(echo.prompt) != b"null":
        return Incomparable()  # what its template said then is not kept
    arrays = await _input_of(services, stored)
    size = sum(map(len, arrays))
    if size > services.config.max_body * HISTORY_BODIES:
        return Incomparable()
    items = await by_size(size, context.decode_history, arrays, services.config.max_items)
    items = await Unsealing(services.sealer, plan.owner, ()).restored(items)
    if len(items) > services.config.max_items or not all(map(_is_text, items)):
        return Incomparable()
    route = services.router.resolve(echo.model)
    before = Prompt(
        model=route.card.id,
        key=echo.prompt_cache_key,
        tier=echo.service_tier or "",
        tools=echo.tools,
        text=echo.text,
        effort=echo.reasoning.effort,
        instructions=echo.instructions if echo.instructions is not None else route.instructions,
        items=items,
        tokens=echo.usage.input_tokens if echo.usage is not None else 0,
        brought=not route.runs_hosted_tools,
    )
    return await by_size(size + plan.size, diagnose, before, prompt_of(plan))


async def _input_of(services: Services, stored: StoredResponse) -> list[bytes]:
    """Return the items that a stored response was made of, without its output."""
    if stored.previous_response_id is not None:
        earlier = await services.store.responses.history(stored.previous_response_id, stored.owner)
        return [*(earlier or ()), stored.input]
    if stored.conversation_id is None:
        return [stored.input]
    last = next(map(context.item_id, reversed(context.split_array(stored.input))), "")
    found = await services.store.conversations.list_items(stored.conversation_id, stored.owner) or ()
    index = next((index for index, item in enumerate(found) if item.id == last), None)
    if index is None:
        raise ValueError("its input is no part of its conversation any more")
    return [b"[%b]" % b",".join([item.body for item in found[: index + 1]])]


def _is_text(item: Item) -> bool:
    content = context.content_of(item)
    return isinstance(content, str | JsonText) or all(isinstance(part, _TEXTS) for part in content)


# What metrics count


def succeed(services: Services, plan: Plan, usage: Usage | None, backend_id: str) -> PastPrompt | None:
    """Return the prompt before a Plan's in its conversation, as far as it is known here; remember the Plan's from now on.

    `usage` is that of its first Turn. A response that the store has, and that stands alone, need not be remembered.
    """
    memory, previous = services.prompts, plan.response.previous_response_id
    if usage is not None and usage.input_tokens_details.cached_tokens:
        memory.note_reporting(plan.turn.model)
    size = max(plan.size, held_bytes())  # files that were fetched are in it, too
    if size < SMALLEST:
        return None
    names = names_of(plan)
    if not names and previous is None and plan.stored:
        return None
    before = memory.find(plan.owner, previous) if previous is not None else None
    if names and previous is None:
        before = memory.latest(plan.owner, names)
    if plan.response.status in ENDED:
        memory.keep(
            plan.owner,
            plan.response.id,
            prompt_of(plan, usage),
            size,
            names=names,
            backend_id=backend_id,
            stored=plan.stored,
        )
    return before


async def outcome(
    services: Services, plan: Plan, before: PastPrompt, usage: Usage, backend_id: str
) -> CacheOutcome | None:
    """Return what the cache did for a Plan's first Turn, which had this `usage`; None where nothing can be said."""
    expected = min(before.prompt.tokens, usage.input_tokens)
    missed = expected - usage.input_tokens_details.cached_tokens
    if not expected:
        return None
    if missed <= max(ROUNDING, expected * TOLERATED):
        return CacheOutcome(HIT)
    if not services.prompts.reports(plan.turn.model):
        return CacheOutcome(UNREPORTED)
    try:
        return await _cause(plan, before, missed, backend_id)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        log.debug("response %s: comparing its prompt failed: %s", plan.response.id, error)
        return None


async def _cause(plan: Plan, before: PastPrompt, missed: int, backend_id: str) -> CacheOutcome:
    found = await by_size(plan.size, diagnose, before.prompt, prompt_of(plan))
    if isinstance(found, CacheMiss):
        return CacheOutcome(found.reason, missed)
    assert isinstance(found, CacheHit)
    return CacheOutcome(EVICTED if before.backend_id == backend_id else ELSEWHERE, missed)
