"""ResponseGuard: the guards of one response: its request, its answer, what its tools gave; and what is told of their verdicts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter

from antiphon.core.guards.base import GuardText, GuardVerdict, Place
from antiphon.core.guards.delta_texts import strings, together
from antiphon.core.guards.input_texts import input_texts
from antiphon.core.guards.pattern_hold import PatternHit, PatternHold, PatternList
from antiphon.core.guards.patterns import encodable
from antiphon.core.guards.verdict_sum import VerdictSum
from antiphon.core.guards.window_hold import WindowHold
from antiphon.core.tools.results import ToolResult
from antiphon.core.turn import Turn
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses.guards.base import AppliedGuard, CountLook
from antiphon.responses.guards.judging import Judge
from antiphon.runtime.offload import by_size
from antiphon.types.response import ModerationReport, Response

log = logging.getLogger("antiphon.responses.guards")

MOST_JUDGED = 4_000_000
"""Characters of a request that guards which take time are shown."""

_IN_REQUESTS = frozenset[Place](("input", "tool_results"))
_NOT_OUTPUT = frozenset[Place](("input",))


class ResponseGuard:
    """The guards of a response. `asked`: the model of the request's `moderation`; then the response tells it, whatever was found.

    `blocked` is the guard that has blocked something, "" for none; `refusal` is what the client is told then.
    """

    def __init__(
        self,
        response: Response,
        guards: Sequence[AppliedGuard],
        judges: Mapping[str, Judge],
        count: CountLook,
        asked: str = "",
    ) -> None:
        self.blocked = self.refusal = ""
        self.delay = min((one.named.config.delay for one in guards), default=1.0)
        self._response = response
        self._patterned = [one for one in guards if one.named.patterns is not None]
        self._judged = [one for one in guards if one.named.guard is not None]
        self._by_name = {one.named.name: one for one in guards}
        self._judges = judges
        self._count = count
        self._asked = asked
        self._input, self._output = VerdictSum(), VerdictSum()
        self._told_hits = 0

    def pattern_hold(self) -> PatternHold | None:
        """Return what holds an answer back for words and expressions; None where none looks at answers."""
        guards = [one for one in self._patterned if one.named.places - _NOT_OUTPUT]
        lists = [
            PatternList(one.named.name, one.named.patterns, one.named.places - _NOT_OUTPUT, one.blocks_output)
            for one in guards
            if one.named.patterns is not None
        ]
        return PatternHold(lists, max(one.named.config.window for one in guards)) if lists else None

    def window_hold(self) -> WindowHold | None:
        """Return what holds an answer back for guards that take time; None where none looks at answers."""
        guards = [one.named for one in self._judged if one.named.places - _NOT_OUTPUT]
        places = frozenset[Place]().union(*(one.places for one in guards)) - _NOT_OUTPUT
        return WindowHold(places, max(one.config.window for one in guards)) if guards else None

    def fail(self, error: APIError) -> None:
        """Take it that what the request asked for cannot be done: the response tells it."""
        self._input.failed = self._output.failed = error

    # The request

    async def check_input(self, turn: Turn) -> None:
        """Look at a request. Raises InvalidRequest (`invalid_prompt`) where it is blocked, APIError 503 where a guard fails."""
        guards = [one for one in (*self._patterned, *self._judged) if one.named.places & _IN_REQUESTS]
        if not guards:
            self.tell()
            return
        texts = await by_size(turn.size, input_texts, turn)
        if self._judged and sum(len(text.text) for text in texts) > MOST_JUDGED:
            raise InvalidRequest(
                f"The input has more than {MOST_JUDGED} characters, which is the most that content guards look at.",
                param="input",
                code="string_above_max_length",
            )
        for one in guards:
            mine = [text for text in texts if text.place in one.named.places]
            hit = await self._look(one, mine, self._input, size=turn.size, request=True)
            if hit is not None and one.blocks_input:
                self._note(one, "input", "blocked")
                raise InvalidRequest(
                    f"The input was stopped by the content guard '{one.named.name}'.",
                    param="input",
                    code="invalid_prompt",
                )
        self.tell()

    # The answer

    async def passes(self, texts: Sequence[GuardText]) -> int:
        """Return how many of the texts come before the first that is blocked. Raises APIError 503 where a guard fails."""
        first = len(texts)
        for one in self._judged:
            places = [place for place, text in enumerate(texts) if text.place in one.named.places]
            if not places:
                continue
            hit = await self._look(one, [texts[place] for place in places], self._output)
            if hit is not None and one.blocks_output and places[hit] < first:
                first = places[hit]
                self._block(one, texts[first].place)
        return first

    def note_hits(self, hits: Sequence[PatternHit]) -> None:
        """Take note of matches in an answer: those behind the ones that were noted before."""
        for hit in hits[self._told_hits :]:
            one = self._by_name[hit.guard]
            self._output.add(_found(hit.guard), hit.guard)
            if hit.blocks:
                self._block(one, hit.place, hit.rule)
            else:
                self._note(one, hit.place, "flagged", hit.rule)
        self._told_hits = len(hits)

    async def result(self, result: ToolResult) -> ToolResult:
        """Return what a tool of this server gave; an error in its place where it is blocked, which ends the response."""
        parts = [*strings(dict(result.fields)), result.model_text or "", *(passage.text for passage in result.passages)]
        texts = list(together("tool_results", [part for part in parts if part]))
        for one in (*self._patterned, *self._judged):
            if not texts or "tool_results" not in one.named.places:
                continue
            hit = await self._look(one, texts, self._output)
            if hit is not None and one.blocks_output:
                self._block(one, "tool_results")
                return ToolResult(error="What the tool gave was stopped by a content guard.", code="content_filter")
        return result

    # Looks

    async def _look(
        self, one: AppliedGuard, texts: Sequence[GuardText], sum: VerdictSum, *, size: int = 0, request: bool = False
    ) -> int | None:
        """Return the place of the first text that is flagged; None for none, or where the guard fails and passes then."""
        if not texts:
            return None
        began, name = perf_counter(), one.named.name
        if one.named.patterns is not None:
            hit = await by_size(size, _first_match, one, texts)
            if hit is not None:
                sum.add(_found(name), name)
        else:
            try:
                verdicts = await self._judges[name].verdicts(texts, remembered=request)
            except APIError as error:
                sum.failed = error
                self._count(name, texts[0].place, "failed", perf_counter() - began)
                if one.named.config.on_failure == "block":
                    raise
                return None
            for verdict in verdicts:
                sum.add(verdict, name)
            hit = next((place for place, verdict in enumerate(verdicts) if verdict.flagged), None)
        place = texts[hit or 0].place
        self._count(name, place, "passed" if hit is None else "flagged", perf_counter() - began)
        return hit

    def _block(self, one: AppliedGuard, place: Place, rule: str = "") -> None:
        if not self.blocked:
            self._note(one, place, "blocked", rule)
            self.blocked, self.refusal = one.named.name, one.named.config.refusal

    def _note(self, one: AppliedGuard, place: str, outcome: str, rule: str = "") -> None:
        self._count(one.named.name, place, outcome, 0.0)
        rule = f" ({rule})" if rule else ""
        log.warning("response %s: guard %s%s %s the %s", self._response.id, one.named.name, rule, outcome, place)

    def tell(self) -> None:
        """Put the verdicts into the response, where its request asked for them or something was found."""
        sums = (self._input, self._output)
        if self._asked or any(one.flagged or one.failed for one in sums):
            name = self._asked or ", ".join(self._by_name)
            self._response.moderation = ModerationReport(input=self._input.told(name), output=self._output.told(name))


def _found(guard: str) -> GuardVerdict:
    return GuardVerdict(flagged=True, scores={guard: 1.0}, flags={guard: True})


def _first_match(one: AppliedGuard, texts: Iterable[GuardText]) -> int | None:
    patterns = one.named.patterns
    assert patterns is not None
    return next((at for at, text in enumerate(texts) if patterns.find(encodable(text.text)) is not None), None)
