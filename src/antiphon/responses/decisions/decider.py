"""Decider: a request's body and its caller → what became of its questions. The entry for HTTP and for other callers here.

The questions share the beginning of their prompt: the first is asked alone where that is long or there are many, so that the
server has it in its cache when the others come, at the same endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from antiphon.access.caller import Caller
from antiphon.access.limits import Demand
from antiphon.access.quota import Header
from antiphon.config import DecisionsConfig
from antiphon.core.decisions.answers import Declined, Outcome
from antiphon.core.decisions.ballots import PREAMBLE, first_ballots
from antiphon.core.decisions.questions import DecisionRequest, Question
from antiphon.core.request.item_summary import summary_of
from antiphon.core.token_count import BYTES_PER_TOKEN
from antiphon.core.turn import NO_HINTS, Hints
from antiphon.errors import APIError, spelled
from antiphon.responses.decisions.asking import LABEL_TOKENS
from antiphon.responses.decisions.native import ask_backend, is_native
from antiphon.responses.decisions.questioner import Questioner
from antiphon.responses.decisions.readings import ModelReadings
from antiphon.responses.intake.abilities import check_capabilities
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.intake import FETCHED_THERE, FORM, Intake
from antiphon.responses.intake.media import Media, media_holders
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.runtime.fair_turns import FairTurns
from antiphon.runtime.offload import by_size
from antiphon.telemetry.observers import Observers, Spans, no_spans
from antiphon.telemetry.request_record import calls_model, uses_tokens
from antiphon.types.items import Item, Message
from antiphon.types.request import ReasoningConfig
from antiphon.types.response import Usage

MOST_CALLS = 256
"""Model calls of all decisions together at the same time, in a process."""

LONG_PREFIX = 4096
"""Bytes of a request from which on its first question goes ahead."""

HOPELESS = 3
"""Of a request with many questions, those that fail one after the other before the others are not asked."""

Decode = Callable[[bytes], DecisionRequest]
Count = Callable[[str, str, str], None]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes in the order of the questions, what they have used, and headers of the answer."""

    model: str
    questions: Sequence[Question]
    outcomes: Sequence[Outcome]
    usage: Usage
    headers: Sequence[Header]

    @property
    def failed(self) -> int:
        """How many questions were not answered because of an error."""
        return sum(isinstance(one, Declined) and one.error is not None for one in self.outcomes)


class Decider:
    """Answers requests. `count` is told of each question: the model, its kind, and what became of it."""

    def __init__(
        self,
        services: Services,
        intake: Intake,
        media: Media,
        count: Count = lambda model, kind, outcome: None,
        spans: Spans = no_spans,
    ) -> None:
        self._services = replace(services, observer=Observers())  # a question's calls are no Responses of the client's
        self._intake = intake
        self._media = media
        self._count = count
        self._spans = spans
        self._settings: DecisionsConfig = services.config.decisions
        self._known = ModelReadings(services.clock)
        self._turns = FairTurns(MOST_CALLS, self._settings.concurrent)

    def replace(self, settings: DecisionsConfig) -> None:
        """Take other settings for requests from now on; those that run go on with theirs."""
        if settings.concurrent != self._settings.concurrent:
            self._turns = FairTurns(MOST_CALLS, settings.concurrent)
        self._settings = settings

    async def decide(self, body: bytes, caller: Caller, decode: Decode, hints: Hints = NO_HINTS) -> Decided:
        """Answer a request; `decode` reads its front end's spelling.

        Raises APIError: 400 with the field at fault as `param`, 429 or 402, what the backend failed with where no question
        was answered, 504 where none was in time.
        """
        services = self._services
        services.limiter.check(caller)
        asked = await by_size(len(body), decode, body)
        plan = await self._plan(asked, caller, hints)
        questions = await self._with_media(asked.questions, plan, caller.owner)
        if services.guards.concern(None):
            messages = [ballot.message() for question in questions for ballot in first_ballots(question)]
            await services.guards.look_at(plan, messages)
        calls_model(plan.route.card.id)
        permit = await services.limiter.admit(caller, plan.route.card, lambda: self._demand(plan, questions))
        questioner = Questioner(services, plan, self._settings, self._known, self._turns)
        with self._spans("decisions", plan.route.card.id, hints.traceparent) as note_tokens:
            try:
                outcomes = await self._native(asked, questioner, questions)
                if outcomes is None:
                    outcomes = await self._outcomes(questioner, questions, len(body))
            finally:
                permit.settle(questioner.usage if questioner.calls else None)
                uses_tokens(questioner.usage)
                note_tokens(questioner.usage)
        for question, outcome in zip(questions, outcomes, strict=True):
            self._count(plan.route.card.id, question.kind, _word(outcome))
        return Decided(
            model=plan.response.model,
            questions=questions,
            outcomes=outcomes,
            usage=questioner.usage,
            headers=permit.headers,
        )

    async def _native(
        self, asked: DecisionRequest, questioner: Questioner, questions: Sequence[Question]
    ) -> Sequence[Outcome] | None:
        """Return what a backend that has `/v1/decisions` itself answers; None where the model is to be asked by us."""
        plan = questioner.plan
        if not is_native(plan, self._settings):
            return None
        try:
            async with asyncio.timeout(self._settings.timeout):
                answered = await ask_backend(asked, plan, questions)
        except TimeoutError:
            raise _late() from None
        if answered is None:
            return None
        outcomes, usage = answered
        questioner.note(usage)
        return outcomes

    async def _plan(self, asked: DecisionRequest, caller: Caller, hints: Hints) -> Plan:
        request = replace(
            asked.request,
            input="",
            instructions=PREAMBLE,
            reasoning=ReasoningConfig(effort="none"),
            store=False,
            stream=False,
        )
        return await self._intake.plan(
            Asked(request=request, items=asked.items, extra=asked.extra, size=len(asked.body), forgiving=True),
            caller.owner,
            caller=caller,
            hints=hints,
        )

    async def _with_media(self, questions: Sequence[Question], plan: Plan, owner: str) -> Sequence[Question]:
        """Return the questions with their images ready for the backend. Raises InvalidRequest."""
        items: list[Item] = [Message(role="user", content=question.instructions) for question in questions]
        if not media_holders(items):
            return questions
        form = FORM if plan.route.inline_images else FETCHED_THERE
        try:
            media = summary_of(items).media
            check_capabilities(
                plan.route.card.capabilities, plan.request, (), plan.turn.text, items, media, strict=False
            )
            ready = await self._media.admit(items, owner, form=form)
        except APIError as error:
            raise spelled(error, _of_question) from None
        return [
            replace(question, instructions=item.content) if isinstance(item, Message) else question
            for question, item in zip(questions, ready, strict=True)
        ]

    def _demand(self, plan: Plan, questions: Sequence[Question]) -> Demand:
        """Return what all calls will use, as far as that is known beforehand."""
        calls = [len(first_ballots(question)) for question in questions]
        texts = sum(_size(question) for question in questions)
        number = sum(calls) + sum(one > 1 for one in calls)
        return Demand(
            number * self._services.estimator.estimate(plan.turn) + int(texts / BYTES_PER_TOKEN), number * LABEL_TOKENS
        )

    async def _outcomes(self, questioner: Questioner, questions: Sequence[Question], size: int) -> Sequence[Outcome]:
        """Return what became of all questions. Raises APIError where that is an error of each of them."""
        session = _Session(questioner, questions)
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        begun = 0
        if size >= LONG_PREFIX or len(questions) > self._settings.concurrent:
            while begun < min(HOPELESS, len(questions)) and not session.answered:
                await session.ask([begun], deadline)
                begun += 1
        await session.ask(range(begun, len(questions)), deadline)
        return session.results()


class _Session:
    """The questions of one request while they are asked. `answered`: one of them was."""

    def __init__(self, questioner: Questioner, questions: Sequence[Question]) -> None:
        self._questioner = questioner
        self._questions = questions
        self._outcomes: dict[int, Outcome] = {}
        self._errors: list[APIError] = []
        self.answered = False

    async def ask(self, indexes: Sequence[int], deadline: float) -> None:
        """Ask some questions at the same time, until the deadline (the event loop's time)."""
        left = deadline - asyncio.get_running_loop().time()
        hopeless = not self.answered and len(self._errors) >= HOPELESS
        if not indexes or hopeless or left <= 0:
            return
        tasks = [asyncio.ensure_future(self._ask(index)) for index in indexes]
        try:
            await asyncio.wait(tasks, timeout=left)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _ask(self, index: int) -> None:
        try:
            self._outcomes[index] = await self._questioner.outcome(self._questions[index])
            self.answered = True
        except APIError as error:
            error.__traceback__ = None
            self._outcomes[index] = Declined(error)
            self._errors.append(error)

    def results(self) -> Sequence[Outcome]:
        """Return the outcomes. Raises APIError where no question was answered."""
        if not self.answered:
            raise self._errors[0] if self._errors else _late()
        return [self._outcomes.get(index) or Declined(_late()) for index in range(len(self._questions))]


def _late() -> APIError:
    return APIError(504, "The questions were not answered in time (setting decisions.timeout).", code="timeout")


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, Declined):
        return "refusal" if outcome.error is None else "error"
    return outcome.reading


def _size(question: Question) -> int:
    given = question.instructions
    texts = [given] if isinstance(given, str) else [getattr(part, "text", "") for part in given]
    texts += [text for option in question.options for text in (option.text, option.description)]
    return sum(map(len, texts))


def _of_question(param: str) -> str:
    """Return a field of a message that stands for a question, as the request names it."""
    return param.replace("input[", "questions[", 1).replace("].content", "].instructions", 1)
