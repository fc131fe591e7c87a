"""`/v1/responses/input_tokens` and `/v1/responses/compact`."""

from __future__ import annotations

from msgspec import Raw

from antiphon.core import compaction as compact
from antiphon.core.context import kept_items
from antiphon.responses.compaction import Summary, sealed_compaction, summarise
from antiphon.responses.plan import Plan
from antiphon.responses.prepare import Preparer
from antiphon.responses.services import Services
from antiphon.runtime.offload import by_size
from antiphon.server.http.messages import Header, Reply, Request, json_reply
from antiphon.types.response import Usage

ESTIMATED: Header = (b"x-antiphon-token-count", b"estimate")


class Counting:
    """The handlers of `/v1/responses/input_tokens` and `/v1/responses/compact`. `counts` prepares requests without input, too."""

    def __init__(self, services: Services, preparer: Preparer, counts: Preparer) -> None:
        self._services = services
        self._preparer = preparer
        self._counts = counts

    async def input_tokens(self, request: Request) -> Reply:
        """POST /v1/responses/input_tokens: the model's own tokenizer where it can be reached, else an estimate that says so."""
        prepared = await self._counts.prepare_count(await request.body(), request.caller)
        plan, permit = prepared.plan, prepared.permit
        try:
            count = await self._services.counter.count(plan.route, plan.turn)
        finally:
            permit.settle(Usage())  # it is a request as others are; tokens are used by answers
        headers = [*permit.headers, ESTIMATED] if count.estimated else permit.headers
        return json_reply({"object": "response.input_tokens", "input_tokens": count.tokens}, headers=headers)

    async def compact(self, request: Request) -> Reply:
        """POST /v1/responses/compact: the user's messages, then one compaction item."""
        # OpenAI's document and Open Responses' require the model here, and here alone.
        prepared = await self._preparer.prepare(await request.body(), request.caller, guesses=False)
        plan, permit = prepared.plan, prepared.permit
        usage: Usage | None = None
        try:
            summary = await summarise(plan.route, plan.turn, plan.turn.items)
            usage = self._used(plan, summary)
        finally:
            permit.settle(usage)
        kept, compacted = await by_size(plan.turn.size, _in_place_of, plan, summary)
        sealed = await sealed_compaction(self._services.sealer, compacted, plan.owner)
        answer = {
            "id": f"resp_{plan.id_base}",
            "object": "response.compaction",
            "created_at": plan.response.created_at,
            "output": [*kept, Raw(compact.compaction_item(f"cmp_{plan.id_base}{len(kept):04x}", sealed))],
            "usage": usage,
        }
        return json_reply(answer, headers=permit.headers)

    def _used(self, plan: Plan, summary: Summary) -> Usage:
        if summary.usage is not None and summary.usage.total_tokens:
            return summary.usage
        count = self._services.estimator.estimate(plan.turn)
        output = len(summary.text) // 4
        return Usage(input_tokens=count, output_tokens=output, total_tokens=count + output)


def _in_place_of(plan: Plan, summary: Summary) -> tuple[list[Raw], compact.Compacted]:
    """Return the kept user messages, and the compaction item that replaces the conversation."""
    users = compact.user_messages(plan.turn.items)
    kept = kept_items(users, plan.id_base)
    return kept, compact.in_place_of(plan.turn.items, summary.text, plan.turn.opaque)
