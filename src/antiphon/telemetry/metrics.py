"""Metrics: counters and histograms for `/metrics` (listed in docs/observability.md).

Counted per request, never per token: an answer costs some microseconds, however long it is. What other parts count anyway
(backends, connections, the process) is looked at when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import wraps
from time import perf_counter
from typing import ParamSpec, TypeVar

from antiphon import __version__
from antiphon.runtime import unexpected_errors
from antiphon.telemetry import process_metrics
from antiphon.telemetry.hosted_calls import CallLabels
from antiphon.telemetry.observers import Observed
from antiphon.telemetry.peers import Peers
from antiphon.telemetry.prometheus import OTHER, Bounded, Histogram, Samples, merge, render
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


class Metrics:
    """Counts requests and responses (an `observers.Observer` and a `request_record.Watcher`), and renders them.

    `others` gives the families that other parts keep. `peers` are the other processes of this server.
    """

    def __init__(self, others: Callable[[], Iterable[Samples]] = tuple, peers: Peers | None = None) -> None:
        self._others = others
        self._peers = peers
        self._model = Bounded(MOST_MODELS)
        self._running: set[Observed] = set()
        self._born = time.time()
        labels = ("model",)
        self._requests = Samples(
            "antiphon_requests_total",
            "HTTP requests, by route, status and model.",
            ("method", "route", "status", "model"),
        )
        self._seconds = Histogram(
            "antiphon_request_duration_seconds", "Time to the end of an answer.", DURATION, ("route",)
        )
        self._responses = Samples("antiphon_responses_total", "Responses that ended.", ("model", "status"))
        self._tokens = Samples("antiphon_tokens_total", "Tokens, as backends report them.", ("model", "kind"))
        self._events = Samples("antiphon_events_total", "Stream events of Responses.", labels)
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

    def started(self, run: Observed) -> None:
        """Begin to time a Response."""
        self._running.add(run)

    def ended(self, run: Observed) -> None:
        """Count it."""
        self._running.discard(run)
        response, spoke = run.plan.response, run.spoke
        model = (self._model(response.model),)
        now = perf_counter()
        self._responses.add((model[0], _ending(run)))
        self._duration.observe(model, now - run.began)
        self._events.add(model, run.events_made)
        if spoke:
            self._first_token.observe(model, spoke - run.began)
        if response.usage is not None:
            self._count_tokens(model[0], response.usage)
            if run.plan.request.stream and spoke and response.usage.output_tokens > 1:
                self._per_token.observe(model, (now - spoke) / (response.usage.output_tokens - 1))
        if run.cache is not None:
            self._cache.add((model[0], run.cache.outcome))
            if run.cache.missed:
                self._cache_missed.add((model[0], run.cache.outcome), run.cache.missed)

    def _count_tokens(self, model: str, usage: Usage) -> None:
        add = self._tokens.add
        add((model, "input"), usage.input_tokens)
        add((model, "output"), usage.output_tokens)
        cached = usage.input_tokens_details.cached_tokens
        reasoning = usage.output_tokens_details.reasoning_tokens
        if cached:
            add((model, "cached"), cached)
        if reasoning:
            add((model, "reasoning"), reasoning)

    # Watcher

    def answered(self, record: Record) -> None:
        """Count a request."""
        route = record.route or OTHER
        model = record.model
        method = record.method if record.method in METHODS else OTHER
        self._requests.add((method, route, str(record.status), self._model(model) if model else ""))
        self._seconds.observe((route,), record.seconds)
        if record.usage is not None and model:
            self._count_tokens(self._model(model), record.usage)

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
            self._requests,
            self._seconds,
            self._responses,
            self._tokens,
            self._first_token,
            self._per_token,
            self._duration,
            self._store,
            self._tools,
            self._cache,
            self._cache_missed,
        )

    def _live(self) -> Iterable[Samples]:
        """Return what changes while Responses are being made."""
        running = Samples("antiphon_responses_running", "Responses that are being made.", ("model",))
        events = self._events.copy()
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


def _ending(run: Observed) -> str:
    """Return a Response's status; one that ended in none was let go of by its client, or refused by the backend."""
    status = run.plan.response.status
    if status in ("in_progress", "queued"):
        return "refused" if run.error is not None else "left"
    return status
