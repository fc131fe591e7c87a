"""The machine of batches, put together from the settings."""

from __future__ import annotations

from antiphon.config import Config
from antiphon.responses.services import Services
from antiphon.responses.webhooks.delivery import Webhooks
from antiphon.runtime.fair_turns import FairTurns
from antiphon.server.auth.standing import Standing
from antiphon.server.batches import anthropic, openai
from antiphon.server.batches.in_process import InProcess
from antiphon.server.batches.openai_lines import OpenAIBatchFront
from antiphon.server.batches.work import answering
from antiphon.server.batches.work.answering import LineTerms
from antiphon.server.batches.work.base import BatchBounds, BatchFront
from antiphon.server.batches.work.machine import Batches
from antiphon.stores.batch_records import StoredBatch


def make_batches(
    config: Config, services: Services, in_process: InProcess, standing: Standing, webhooks: Webhooks
) -> Batches:
    """Return the batches of this process."""
    fronts: dict[str, BatchFront] = {
        openai.FRONT: OpenAIBatchFront(services.new_id_base),
        anthropic.FRONT: anthropic.MessageBatchFront(),
    }
    terms = LineTerms(
        store=services.store,
        front=fronts[openai.FRONT],
        bounds=BatchBounds(
            running=config.batch_running,
            requests=config.batch_requests,
            size=config.batch_bytes,
            line=config.max_body,
            lease=config.background_lease,
            store_days=config.store_days,
        ),
        ask=in_process.answer,
        clock=services.clock,
        turns=FairTurns(config.batch_running),
        delays=answering.DELAYS,
        last_seconds=answering.LAST_SECONDS,
    )

    async def told(event: str, batch: StoredBatch) -> None:
        await webhooks.notify(event, batch.id, batch.owner)

    return Batches(terms, fronts, standing.now, told, services.rooms)
