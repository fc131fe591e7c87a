"""Takeover of a background run without a worker: it is continued, it ends with a reason, or its log is completed.

From the start if no token had streamed, from its last tool boundary if none had streamed since, else it ends `failed`: no model
call that has streamed tokens is made twice. Where the operator wants that (`background_rerun`), what has streamed since the
boundary is taken back, by another `response.in_progress` with the output that stands.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from antiphon.access.limits import Permit
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.resume import Restart, restart
from antiphon.core.stream.terms import terminal_type
from antiphon.errors import APIError
from antiphon.responses.background.event_log import WORKING, kept_until, logged
from antiphon.responses.background.job_request import unpacked
from antiphon.responses.log.entries import UNTIMED, log_entry
from antiphon.responses.prepare import Preparer
from antiphon.responses.run import Run
from antiphon.responses.services import Services
from antiphon.responses.stored_response import model_texts_json, output_span
from antiphon.responses.webhooks.delivery import Webhooks
from antiphon.runtime.offload import by_size
from antiphon.stores.records import Job, LoggedEvent, StoredResponse
from antiphon.types.events import Event
from antiphon.types.response import Response

log = logging.getLogger("antiphon.responses.background")

MOST_CRASHES = 2  # processes that may die with one run
MOST_ATTEMPTS = 5  # servers that try a run whose output is taken back (`background_rerun`)

INTERRUPTED = APIError(
    500,
    "The server stopped while generating this response. Output had been sent already, so it was not restarted.",
    code="server_interrupted",
)

CRASHED = APIError(
    500,
    f"The server died {MOST_CRASHES} times while generating this response. It is not retried.",
    code="server_crashed",
)


class Takeover:
    """Takes over jobs whose worker is gone, or that were never begun. `count`: number of runs continued."""

    def __init__(self, services: Services, preparer: Preparer, webhooks: Webhooks) -> None:
        self.count = 0
        self._services = services
        self._store = services.store
        self._preparer = preparer
        self._webhooks = webhooks

    async def resume(self, job: Job, permit: Permit) -> Run | None:
        """Return the Run that goes on with a job; None where it has ended. Raises APIError 429 and 503, and FenceError."""
        stored = await self._store.responses.get(job.response_id, job.owner)
        if stored is None:
            await self._store.jobs.finish(job.response_id, job.fence)  # its events went with it
            return None
        state = restart(await self._all_events(job), await self._store.jobs.checkpoint(job.response_id))
        if stored.status not in WORKING:
            await self._complete_log(job, stored, state)
        elif job.cancelled:
            await self._end(job, stored, state, None)
        elif state.begun and not self.reruns(job):
            await self._end(job, stored, state, INTERRUPTED)
        elif job.crashes >= MOST_CRASHES:
            log.error("response %s: %d processes died while running it; giving up", job.response_id, job.crashes)
            await self._end(job, stored, state, CRASHED)
        else:
            return await self._again(job, stored, state.taken_back() if state.begun else state, permit)
        return None

    def reruns(self, job: Job) -> bool:
        """Tell whether a run goes on from its last tool boundary, though output has been sent since."""
        config = self._services.config
        return config.background_rerun and config.store != "memory" and job.attempts <= MOST_ATTEMPTS

    async def _again(self, job: Job, stored: StoredResponse, state: Restart, permit: Permit) -> Run | None:
        try:
            body, identity = await unpacked(job, self._services.sealer)
            plan = await self._preparer.plan_again(body, job.owner, identity)
        except APIError as error:
            if error.status in (429, 503):
                raise
            await self._end(job, stored, state, error)
            return None
        run = Run(plan, self._services, permit=permit)
        run.stream.restore(state)
        if job.attempts > 1:
            self.count += 1
            log.info("response %s: taken over at event %d", job.response_id, state.sequence_number)
        return run

    async def _end(self, job: Job, stored: StoredResponse, state: Restart, error: APIError | None) -> None:
        """End a response that cannot be continued: failed with a reason, or cancelled."""
        response = msgspec.json.decode(stored.body, type=Response)
        stream = ResponseStream(response, job.response_id.removeprefix("resp_"))
        stream.restore(state)
        for output_index, item in state.open.items():
            stream.close_restored(output_index, item)
        now = int(self._services.clock())
        body = stream.cancel(now) if error is None else stream.fail(error, now)
        assert stream.terminal is not None
        span = output_span(body, stream.output)
        texts = model_texts_json(stream.model_texts)
        ended = msgspec.structs.replace(stored, status=response.status, body=body, output_span=span, model_texts=texts)
        before = await self._store.responses.entry(stored.id)
        parameters = before.parameters if before is not None else ""
        entry = await by_size(len(body), log_entry, ended, self._services.cost, UNTIMED, parameters)
        await self._store.responses.put(ended, fence=job.fence, entry=entry)
        await self._append(job, response.status, [*stream.take(), stream.terminal], state.sequence_number)

    async def _complete_log(self, job: Job, stored: StoredResponse, state: Restart) -> None:
        """The response was committed, its terminal event was not logged: log it."""
        events: list[Event] = []
        if not state.ended:
            type = terminal_type(stored.status)
            number = state.sequence_number
            body = b'{"type":%b,"response":%b,"sequence_number":%d}' % (to_json(type), stored.body, number)
            events = [Event(type, body)]
        await self._append(job, stored.status, events, state.sequence_number)

    async def _append(self, job: Job, status: str, events: Sequence[Event], first: int) -> None:
        await self._store.jobs.append_events(job.response_id, job.fence, logged(events, first))
        await self._webhooks.notify(f"response.{status}", job.response_id, job.owner)
        until = kept_until(self._services.config.event_days, self._services.clock())
        await self._store.jobs.finish(job.response_id, job.fence, until)

    async def _all_events(self, job: Job) -> list[LoggedEvent]:
        events: list[LoggedEvent] = []
        while batch := await self._store.jobs.events(
            job.response_id, job.owner, events[-1].sequence_number if events else -1
        ):
            events.extend(batch)
        return events
