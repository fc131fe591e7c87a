"""Questioner: one request's questions asked of its model: by log-probabilities where there are any, else by the fallback."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from antiphon.access.caller import fits
from antiphon.config import DecisionsConfig
from antiphon.core.decisions.answers import Declined, Distribution, Outcome
from antiphon.core.decisions.ballots import Ballot, final_ballot, first_ballots, joined
from antiphon.core.decisions.calibration import NONE, Calibration, Reading, calibrated
from antiphon.core.decisions.label_reading import averaged, from_logprobs, from_votes, from_words, said_label
from antiphon.core.decisions.questions import Question
from antiphon.core.turn import on_backend
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses.decisions.asking import (
    LABEL_TOKENS,
    THOUGHT_TOKENS,
    CallAnswer,
    QuestionForm,
    added,
    call_model,
)
from antiphon.responses.decisions.readings import ModelReadings
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.runtime.fair_turns import FairTurns
from antiphon.types.items import Message
from antiphon.types.response import Usage

VOTES = 5
WORDS_TOKENS = 32
TOKENS_PER_LABEL = 12
"""Tokens for an answer in words: so many, and so many for each label."""

UNWANTED = (400, 422)
"""Statuses of a backend that may not want what is asked for log-probabilities."""

SILENT, THINKS = "silent", "thinks"

T = TypeVar("T")

Read = tuple[list[float], Reading]


class Questioner:
    """Asks. `usage` is what all calls so far have used; `turns` are those of all requests, owners take them in turn."""

    def __init__(
        self, services: Services, plan: Plan, settings: DecisionsConfig, known: ModelReadings, turns: FairTurns
    ) -> None:
        self.usage = Usage()
        self.calls = 0
        self._services = services
        self.plan = plan
        self._settings = settings
        self._known = known
        self._turns = turns

    async def outcome(self, question: Question) -> Outcome:
        """Return the probabilities of a question's options. Raises APIError."""
        ballots = first_ballots(question)
        reads = await together([self._read(ballot) for ballot in ballots])
        kept = [(ballot, read) for ballot, read in zip(ballots, reads, strict=True) if read is not None]
        if not kept:
            return Declined()
        answered = [ballot for ballot, _ in kept]
        shares = [read[0] for _, read in kept]
        if len(ballots) == 1:
            return Distribution(shares[0], kept[0][1][1])
        final = final_ballot(answered, shares)
        last = await self._read(final)
        return Declined() if last is None else Distribution(joined(answered, shares, final, last[0]), last[1])

    async def _read(self, ballot: Ballot) -> Read | None:
        """Return a ballot's calibrated probabilities; None where the model answers with none of its labels."""
        refusal: APIError | None = None
        if not self._knows(SILENT):
            try:
                read = await self._by_logprobs(ballot)
            except APIError as error:
                if error.status not in UNWANTED:
                    raise
                refusal, read = error, ()
            if read is None:
                return None
            if read:
                return self._believed(read, "logprobs")
        try:
            return await self._fallback(ballot)
        except APIError:
            if refusal is not None:
                raise refusal from None
            raise

    async def _by_logprobs(self, ballot: Ballot) -> Sequence[float] | None:
        """Return the labels' probabilities, none of them where the backend gives no log-probabilities; None: declined."""
        thinks = self._knows(THINKS)
        answer = await self._call(ballot, QuestionForm(logprobs=True, most_tokens=self._most(LABEL_TOKENS)))
        if answer.cut and not answer.text.strip() and not thinks:
            self._note_of_model(THINKS)
            answer = await self._call(ballot, QuestionForm(logprobs=True, most_tokens=self._most(LABEL_TOKENS)))
        if answer.refused:
            return None
        shares = from_logprobs(answer.tokens, ballot.labels)
        if shares is None and not answer.tokens and said_label(answer.text, ballot.labels) is not None:
            self._note_of_model(SILENT)
        return shares or ()

    async def _fallback(self, ballot: Ballot) -> Read | None:
        settings = self._settings
        if settings.fallback == "off":
            raise InvalidRequest(
                "The model's backend gives no log-probabilities, and decisions without them are off"
                " (setting decisions.fallback).",
                param="model",
                code="unsupported_model",
            )
        voting = settings.fallback == "votes"
        samples = settings.samples or (VOTES if voting else 1)
        tokens = LABEL_TOKENS if voting else WORDS_TOKENS + TOKENS_PER_LABEL * len(ballot.labels)
        form = QuestionForm(
            in_words=not voting, most_tokens=self._most(tokens), temperature=0.0 if samples == 1 else None
        )
        answers = await together([self._call(ballot, form) for _ in range(samples)])
        told = [] if voting else [share for one in answers if (share := from_words(one.text, ballot.labels))]
        if told:
            return self._believed(averaged(told), "verbalised")
        said = [said_label(one.text, ballot.labels) for one in answers if not one.refused]
        votes = [index for index in said if index is not None]
        return self._believed(from_votes(votes, len(ballot.labels)), "votes") if votes else None

    def _knows(self, what: str) -> bool:
        return self._known.knows(self.plan.owner, self.plan.route.card.id, what)

    def _note_of_model(self, what: str) -> None:
        self._known.note(self.plan.owner, self.plan.route.card.id, what)

    def _most(self, tokens: int) -> int:
        return tokens + (THOUGHT_TOKENS if self._knows(THINKS) else 0)

    def _believed(self, shares: Sequence[float], reading: Reading) -> Read:
        card = self.plan.route.card
        for table in self._settings.calibration.values():
            if table.reading in (reading, "any") and (not table.models or fits(card, tuple(table.models))):
                return calibrated(shares, Calibration(table.temperature, table.bias)), reading
        return calibrated(shares, NONE), reading

    async def _call(self, ballot: Ballot, form: QuestionForm) -> CallAnswer:
        """Make a call in the owner's turn, where the beginning of its prompt is cached."""
        async with self._turns.turn(self.plan.owner):
            message = ballot.message(
                probabilities=form.in_words
            )  # not before: all questions of a request may have many MB
            answer = await call_model(self._services, self.plan, message, form)
        self.note(answer.usage or self._estimated(message))
        turn = on_backend(self.plan.turn, answer.backend_id)
        if turn is not self.plan.turn:
            self.plan = replace(self.plan, turn=turn)
        return answer

    def note(self, usage: Usage) -> None:
        """Count a call and what it has used."""
        self.calls += 1
        self.usage = added(self.usage, usage)

    def _estimated(self, message: Message) -> Usage:
        """Return what a call has used of a backend that does not say."""
        turn = self.plan.turn
        tokens = self._services.estimator.estimate(replace(turn, items=[*turn.items, message]))
        return Usage(input_tokens=tokens, output_tokens=1, total_tokens=tokens + 1)


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of work done at the same time; the first error cancels the rest and is raised."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
