"""Metrics: counters and histograms for `/metrics` (listed in docs/observability.md).

Counted per request, never per token: an answer costs some microseconds, however long it is. What other parts count anyway
(backends, connections, the process) is looked at when somebody asks.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import wraps
from time import perf_counter
from typing import ParamSpec, TypeVar

import msgspec

from antiphon import __version__
from antiphon.runtime import unexpected_errors
from antiphon.telemetry import process_metrics
from antiphon.telemetry.hosted_calls import CallLabels
from antiphon.telemetry.observers import UNENDED, Observed, RequestRecord
from antiphon.telemetry.peers import Peers
from antiphon.telemetry.prometheus import OTHER, Bounded, Cell, Histogram, Labels, Samples, merge, render
from antiphon.telemetry.request_record import Record
from antiphon.types.response import Usage

P = ParamSpec("P")
T = TypeVar("T")

MOST_MODELS = 200
METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS"})

FIRST_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 120.0)
PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
DURATION = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
STORE = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class _OfModel(msgspec.Struct, eq=False):
    """What is counted of a model, in place: a call for each number would take as long as the rest of it."""

    labels: Labels
    duration: Cell
    first_token: Cell
    statuses: dict[str, int] = {}
    events: int = 0
    usages: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


class _Answers(msgspec.Struct, eq=False):
    """What is counted of requests of one kind; `seconds` are those of their route."""

    seconds: Cell
    number: int = 0


class Metrics:
    """Counts requests and responses (an observer and a `request_record.Watcher`), and renders them.

    `others` gives the families that other parts keep. `peers` are the other processes of this server. `running` are the
    Responses at hand.
    """

    def __init__(
        self,
        others: Callable[[], Iterable[Samples]] = tuple,
        peers: Peers | None = None,
        running: Collection[Observed] = (),
    ) -> None:
        self._others = others
        self._peers = peers
        self._model = Bounded(MOST_MODELS)
        self._running = running
        self._born = time.time()
        labels = ("model",)
        self._models: dict[str, _OfModel] = {}
        self._answers: dict[tuple[str, str, int, str], _Answers] = {}
        self._seconds = Histogram(
            "antiphon_request_duration_seconds", "Time to the end of an answer.", DURATION, ("route",)
        )
        self._first_token = Histogram(
            "antiphon_time_to_first_token_seconds", "Time to a model's first token.", FIRST_TOKEN, labels
        )
        self._per_token = Histogram(
            "antiphon_time_per_output_token_seconds", "Time per output token behind the first.", PER_TOKEN, labels
        )
        self._duration = Histogram(
            "antiphon_response_duration_seconds", "Time to the end of a Response.", DURATION, labels
        )
        self._tools = Histogram(
            "antiphon_tool_duration_seconds",
            "Time of calls of hosted tools, by function, kind, provider and outcome.",
            DURATION,
            CallLabels._fields,
        )
        self._cache = Samples(
            "antiphon_prompt_cache_total",
            "Requests that continue a conversation, by what the prompt cache of their backend did.",
            ("model", "outcome"),
        )
        self._cache_missed = Samples(
            "antiphon_prompt_cache_missed_tokens_total",
            "Tokens that were in the prompt before, and were not read from the cache, by cause.",
            ("model", "cause"),
        )
        self._tool_name = Bounded(MOST_MODELS)
        self._store = Histogram("antiphon_store_duration_seconds", "Time for the store.", STORE, ("operation",))

    def tool_called(self, call: CallLabels, seconds: float) -> None:
        """Count and time a call of a hosted tool."""
        self._tools.observe(call._replace(tool=self._tool_name(call.tool)), seconds)

    # Observer

    def ended(self, run: Observed, record: RequestRecord) -> None:
        """Count a Response."""
        of = self._models.get(record.model) or self._of(record.model)
        status, seconds, first, usage = record.status, record.duration, record.time_to_first_token, record.usage
        if status in UNENDED:  # its client let go of it, or the backend refused it
            status = "refused" if record.error is not None else "left"
        of.statuses[status] = of.statuses.get(status, 0) + 1
        cell = of.duration
        cell.counts[bisect_left(DURATION, seconds)] += 1
        cell.sum += seconds
        of.events += record.events
        if first is not None:
            cell = of.first_token
            cell.counts[bisect_left(FIRST_TOKEN, first)] += 1
            cell.sum += first
        if usage is not None:
            _count_tokens(of, usage)
            if record.stream and first is not None and usage.output_tokens > 1:
                self._per_token.observe(of.labels, (seconds - first) / (usage.output_tokens - 1))
        if record.cache is not None:
            cache = run.cache
            assert cache is not None
            self._cache.add((*of.labels, cache.outcome))
            if cache.missed:
                self._cache_missed.add((*of.labels, cache.outcome), cache.missed)

    def _of(self, model: str) -> _OfModel:
        """Return what is counted of a model; beyond so many models, of all others together."""
        model = self._model(model)
        of = self._models.get(model)
        if of is None:
            labels = (model,)
            of = _OfModel(labels, self._duration.cell(labels), self._first_token.cell(labels))
            self._models[model] = of
        return of

    # Watcher

    def answered(self, record: Record) -> None:
        """Count a request."""
        of = self._answers.get((record.method, record.route, record.status, record.model)) or self._kind_of(record)
        of.number += 1
        seconds, cell = record.seconds, of.seconds
        cell.counts[bisect_left(DURATION, seconds)] += 1
        cell.sum += seconds
        if not record.made_response and record.usage is not None and record.model:
            _count_tokens(self._of(record.model), record.usage)

    def _kind_of(self, record: Record) -> _Answers:
        """Return the count of requests of this kind; methods and models of any name are counted together."""
        method = record.method if record.method in METHODS else OTHER
        route, model = record.route or OTHER, self._model(record.model) if record.model else ""
        kind = (method, route, record.status, model)
        of = self._answers.get(kind)
        if of is None:
            of = self._answers[kind] = _Answers(self._seconds.cell((route,)))
        return of

    def timed(self, operation: str, call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Return a store's operation that is timed."""
        labels = (operation,)
        observe = self._store.observe

        @wraps(call)
        async def timing(*args: P.args, **kwargs: P.kwargs) -> T:
            before = perf_counter()
            try:
                return await call(*args, **kwargs)
            finally:
                observe(labels, perf_counter() - before)

        return timing

    # Telling

    async def page(self) -> bytes:
        """Return the numbers of all processes of this server, in Prometheus' text format."""
        if self._peers is None:
            return self.scrape()
        return merge([self.scrape(self._peers.number), *await self._peers.ask()])

    def scrape(self, worker: int | None = None) -> bytes:
        """Return the numbers of this process."""
        common = f'worker="{worker}"' if worker is not None else ""
        return render([*self._counted(), *self._live(), *self._others(), *process_metrics.samples(self._born)], common)

    def _counted(self) -> Sequence[Samples]:
        return (
            self._requests(),
            self._seconds,
            *self._of_responses(),
            self._first_token,
            self._per_token,
            self._duration,
            self._store,
            self._tools,
            self._cache,
            self._cache_missed,
        )

    def _requests(self) -> Samples:
        labels = ("method", "route", "status", "model")
        family = Samples("antiphon_requests_total", "HTTP requests, by route, status and model.", labels)
        for (method, route, status, model), of in self._answers.items():
            family.add((method, route, str(status), model), of.number)
        return family

    def _of_responses(self) -> tuple[Samples, Samples]:
        """Return how many Responses ended, and their tokens."""
        responses = Samples("antiphon_responses_total", "Responses that ended.", ("model", "status"))
        tokens = Samples("antiphon_tokens_total", "Tokens, as backends report them.", ("model", "kind"))
        for of in self._models.values():
            for status, number in of.statuses.items():
                responses.add((*of.labels, status), number)
            if of.usages:
                tokens.add((*of.labels, "input"), of.input)
                tokens.add((*of.labels, "output"), of.output)
            for kind, number in (("cached", of.cached), ("reasoning", of.reasoning)):
                if number:
                    tokens.add((*of.labels, kind), number)
        return responses, tokens

    def _live(self) -> Iterable[Samples]:
        """Return what changes while Responses are being made."""
        running = Samples("antiphon_responses_running", "Responses that are being made.", ("model",))
        events = Samples("antiphon_events_total", "Stream events of Responses.", ("model",))
        for of in self._models.values():
            if of.statuses:
                events.add(of.labels, of.events)
        for run in self._running:
            model = (self._model(run.plan.response.model),)
            running.add(model)
            events.add(model, run.events_made)
        yield running
        yield events
        yield Samples(
            "antiphon_internal_errors_total",
            "Errors that nobody foresaw, by where they were caught; each is in the log.",
            ("where",),
            {(where,): number for where, number in unexpected_errors.counts().items()},
        )
        yield Samples("antiphon_info", "The version.", ("version",), {(__version__,): 1})


def _count_tokens(of: _OfModel, usage: Usage) -> None:
    of.usages += 1
    of.input += usage.input_tokens
    of.output += usage.output_tokens
    of.cached += usage.input_tokens_details.cached_tokens
    of.reasoning += usage.output_tokens_details.reasoning_tokens
