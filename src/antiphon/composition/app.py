"""The composition root: Config → backends, store, tools → the ASGI app. The only file that knows all parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import chain

from antiphon.access.limits import Limiter
from antiphon.access.prices import prices
from antiphon.access.slots import BackendSlots
from antiphon.access.tool_limits import ToolMeters
from antiphon.access.usage import UsageLedger
from antiphon.composition.access import AccessParts
from antiphon.composition.backends import Loadable, make_backends, make_registry
from antiphon.composition.batches import make_batches
from antiphon.composition.from_settings import (
    code_source,
    container_bounds,
    file_bounds,
    image_server,
    make_tokens,
    schema_bounds,
    sealing_secrets,
)
from antiphon.composition.purging import store_upkeep
from antiphon.composition.reloading import changed, reopened, talkative, tokenizers, validate
from antiphon.composition.routes import add_routes
from antiphon.composition.search_models import SearchModels
from antiphon.config import Config
from antiphon.config.masking import SECRETS, secrets_of
from antiphon.config.origins import Origins
from antiphon.config.rules import ENGINE
from antiphon.core.loaded_models import HoldsModels, LoadedModels
from antiphon.core.token_count import Estimator
from antiphon.errors import ConfigError
from antiphon.net.fetching import Fetcher
from antiphon.net.proxies import passwords
from antiphon.net.url_guard import UrlGuard
from antiphon.responses.background.live import Live
from antiphon.responses.caching.prompt_memory import PromptMemory
from antiphon.responses.decisions.decider import Decider
from antiphon.responses.guards.guards import Guards
from antiphon.responses.intake.decoding import ResponsesDecoder
from antiphon.responses.intake.intake import Intake
from antiphon.responses.intake.media import Media
from antiphon.responses.intake.past_inputs import PastInputs
from antiphon.responses.intake.prompts import Prompts
from antiphon.responses.intake.token_count import TokenCounter
from antiphon.responses.log.captures import Captures
from antiphon.responses.moderation.moderators import Moderators
from antiphon.responses.prepare import Preparer
from antiphon.responses.recall import Recall
from antiphon.responses.sealing import Sealer
from antiphon.responses.services import Services, new_id_base
from antiphon.responses.webhooks.delivery import Webhooks
from antiphon.responses.webhooks.endpoints import WebhookEndpoints
from antiphon.runtime.checker.pool import Checker
from antiphon.runtime.request_memory import Rooms
from antiphon.server.api.admin import Ring
from antiphon.server.api.decisions import Decisions
from antiphon.server.api.foreground import SHUTDOWN, Foreground
from antiphon.server.api.incoming import Incoming
from antiphon.server.api.responses import Responses
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import Authenticator, Credentials, authenticator
from antiphon.server.auth.credentials import OwnerLimited, fixed_callers
from antiphon.server.auth.hosts import Hosts
from antiphon.server.auth.standing import Standing
from antiphon.server.batches.in_process import InProcess
from antiphon.server.batches.making import BatchParts
from antiphon.server.http.forwarded import Way
from antiphon.server.http.router import RouteTable
from antiphon.server.http.unread_answers import Unread
from antiphon.server.watch import Watch
from antiphon.server.ws.connection import WebSockets
from antiphon.stores.open import open_store
from antiphon.telemetry.decision_counts import DecisionCounts
from antiphon.telemetry.gauges import Gauges
from antiphon.telemetry.guard_counts import GuardCounts
from antiphon.telemetry.helper_usage import HelperUsage
from antiphon.telemetry.observers import Observers
from antiphon.telemetry.search_counts import SearchCounts
from antiphon.telemetry.store_metrics import StoreWatch
from antiphon.tools.base import HostedTool
from antiphon.tools.built_in import BuiltInTools
from antiphon.tools.container_choice import ContainerChoice
from antiphon.tools.containers.containers import Containers
from antiphon.tools.containers.skills import Skills
from antiphon.tools.hosted import by_kind
from antiphon.tools.mcp.servers import McpServers
from antiphon.tools.retrieval.ingestion import IngestBounds, Ingestion
from antiphon.tools.retrieval.search import Searcher

log = logging.getLogger("antiphon.composition")


def build(config: Config, hosted: Iterable[HostedTool] = ()) -> AntiphonApp:
    """Put a server together that has a process of its own: it stops where it cannot serve. Raises ConfigError."""
    return Parts(config, lambda: signal.raise_signal(signal.SIGTERM), hosted).app


class Parts:
    """A server's parts; `app` serves them.

    `stop` is called where it cannot serve: its model cannot be loaded. `hosted` are the tools that it runs itself.
    """

    def __init__(
        self, config: Config, stop: Callable[[], None] | None = None, hosted: Iterable[HostedTool] = ()
    ) -> None:
        self.config, self._stop = config, stop
        SECRETS.know([*secrets_of(config), *passwords(os.environ)])
        self._forced = False
        self.backends = make_backends(config)
        self._engine = self.backends.get(ENGINE)
        self.registry = make_registry(config, self.backends)
        store = open_store(config.store, log_limit=config.store_log_limit)
        self.ring = Ring(config.recent_requests)
        self.watch = self._watch(config)
        self.search_counts = SearchCounts(lambda: self.ingestion.outcomes())
        self.decision_counts, self.guard_counts = DecisionCounts(), GuardCounts()
        self.store = self.watch.store(store)
        self.store_watch = StoreWatch(self.store.database, time.time, lambda: self.live)
        self.sandboxes = code_source(config, lambda: self.mcp)
        self.containers = Containers(
            self.store.containers, self.sandboxes, container_bounds(config), time.time, new_id_base
        )
        self.skills = Skills(self.store.skills, time.time, new_id_base)
        self.limiter = Limiter(self.store.limits, time.time, prices(config.models))
        self.ledger = UsageLedger(self.store.usage, prices(config.models), config.usage_days)
        self.watch.usage(self.ledger)
        self.tool_meters = ToolMeters(self.store.limits, time.time, self.limiter.correct, self.limiter.alerts)
        self.access = AccessParts(self.store, config)
        self.tokens = make_tokens(config.jwt) if config.jwt else None
        self.guard = UrlGuard(config.url_guard_allow)
        self.mcp = self._mcp(config)
        self.prompts = Prompts(config.prompts)
        self.helpers = HelperUsage(self.ledger, self.limiter)
        self.search_models = SearchModels(config, lambda: self.backends, self.helpers.search)
        embedder, reranker = self.search_models.embedder, self.search_models.reranker
        self.ingestion = Ingestion(self.store, IngestBounds.of(config.tools.file_search), time.time, embedder)
        self.searcher = Searcher(self.store.vector_stores, embedder, reranker, self.search_counts.fallback)
        tell = self.helpers.moderation
        self.guards = Guards(config.guards, lambda it: self.moderators.operators(it), self.guard_counts.count, tell)
        self._tools = self._hosted_tools(config, hosted)
        self.services = self._services(config)
        self.media = self._media(config)
        self.moderators = Moderators(
            self.services.router, lambda: self.config.models, lambda: self.config.default_models
        )
        self.intake = Intake(self.services, self.media)
        preparer = Preparer(self.services, self.intake, ResponsesDecoder(self.prompts, config))
        note = self.decision_counts.question
        self.decider = Decider(self.services, self.intake, self.media, note, self.watch.request_spans)
        self.decisions = Decisions(self.decider, config.unknown_fields)
        clock, sealer = self.services.clock, self.services.sealer
        self.webhook_endpoints = WebhookEndpoints(self.store.webhook_endpoints, sealer, self.guard, clock)
        self.webhooks = Webhooks(config.webhooks, self.store.deliveries, clock, own=self.webhook_endpoints)
        self.limiter.alerts.tell = self.webhooks.tell
        self.live = Live(self.services, preparer, self.webhooks)
        router = RouteTable()
        self.batches = self._batches(config, router)
        self.foreground = Foreground(config.head_hold)
        self.responses = Responses(self.services, preparer, self.live, self.foreground)
        self.sockets = WebSockets(self.services, preparer)
        self.app = self._app(config, router, preparer)

    def _watch(self, config: Config) -> Watch:
        """Return the onlookers, who ask the parts for their figures when somebody looks."""
        return Watch(
            config,
            Gauges(
                self.registry.health,
                lambda: self.live.running,
                lambda: self.sockets.open,
                lambda: chain(
                    self.store_watch(),
                    self.search_counts(),
                    self.decision_counts(),
                    self.guard_counts(),
                    self.helpers(),
                    self.batches.machine.samples(),
                ),
            ),
            self.ring.running,
        )

    def _mcp(self, config: Config) -> McpServers:
        return McpServers(
            self.guard,
            config.mcp_servers,
            config.mcp_timeout,
            config.mcp_progress_timeout,
            most_bytes=config.mcp_max_answer,
            most_tools=config.mcp_max_tools,
        )

    def _media(self, config: Config) -> Media:
        return Media(
            self.store.files,
            self.guard,
            Fetcher(self.guard, limit=config.max_body),
            self.services.clock,
            limit=config.max_body,
            max_image=config.max_image,
        )

    def _hosted_tools(self, config: Config, given: Iterable[HostedTool]) -> BuiltInTools:
        """Return the tools that the server runs itself: a program's, and its own."""
        return BuiltInTools(
            config,
            by_kind(given),
            self.store,
            servers=self.watch.tool_servers(self.mcp),
            searcher=self.searcher,
            container_choice=ContainerChoice(self.containers, self.store.files, self.skills),
            clock=time.time,
            images=image_server(config),
            served=self._stop is not None,
        )

    def _batches(self, config: Config, router: RouteTable) -> BatchParts:
        """Return what batches need; their requests are answered by the routes of `router`."""
        services = self.services
        in_process = InProcess(router, services.rooms, new_id_base, self.watch.watchers)
        incoming = Incoming(self.store.files, services.clock, file_bounds(config))
        standing = Standing(lambda: self.config, self.access.keyring)
        machine = make_batches(config, services, in_process, standing, self.webhooks)
        return BatchParts(
            store=self.store,
            incoming=incoming,
            machine=machine,
            in_process=in_process,
            clock=services.clock,
            new_id_base=new_id_base,
            most_open=config.batches_per_owner,
        )

    def _app(self, config: Config, router: RouteTable, preparer: Preparer) -> AntiphonApp:
        """Return the application, of all parts."""
        add_routes(router, self, preparer)
        return AntiphonApp(
            router,
            self._authenticator(config),
            max_body=config.max_body,
            body_timeout=config.header_timeout,
            lifespan=self._lifespan,
            on_force=self._force,
            on_reload=self.reload,
            watchers=self.watch.watchers,
            rooms=self.services.rooms,
            unread=Unread(config.unread_owner_bytes),
            way=Way(config.root_path, config.trusted_proxies),
        )

    def _services(self, config: Config) -> Services:
        """Return what requests need, of the parts that there are by now."""
        estimator = Estimator()
        return Services(
            config=config,
            router=self.watch.router(self.registry),
            store=self.store,
            estimator=estimator,
            counter=TokenCounter(estimator, tokenizers(config)),
            checker=Checker(schema_bounds(config)),
            sealer=Sealer(sealing_secrets(config)),
            tool_servers=self.watch.tool_servers(self.mcp),
            hosted_tools=self.watch.hosted_tools(self._tools.tools),
            tools_off=self._tools.off,
            limiter=self.limiter,
            tool_meters=self.tool_meters,
            rooms=Rooms(config.request_owner_bytes, config.request_bytes),
            recall=Recall(config.recall_bytes),
            guards=self.guards,
            prompts=PromptMemory(config.prompt_memory_bytes),
            inputs=PastInputs(config.input_memory_bytes),
            observer=Observers([self.ring.started, *self.watch.starts], [self.ring.ended, *self.watch.ends]),
            cost=self.ledger.cost,
            captures=Captures(config.capture_bytes),
        )

    def reload(self, config: Config) -> Authenticator:
        """Take over what can change while the server runs; return who asks for keys from now on.

        What cannot change stays, and is named in the log. Raises ConfigError, and then nothing has changed.
        """
        config = changed(self.config, config)
        validate(config)
        auth = self._authenticator(config)
        self.guards.replace(config.guards)
        # What runs still goes on with the settings before: their secrets are taken out as well.
        SECRETS.know([*secrets_of(self.config), *secrets_of(config), *passwords(os.environ)])
        backends = reopened(self.config, config, self.backends)
        self.registry.replace(
            config.models,
            backends,
            discover=talkative(config, backends),
            settings=config.backends,
            retries=config.retries,
        )
        self.guard.allow(config.url_guard_allow)
        self.mcp.replace(
            config.mcp_servers,
            config.mcp_timeout,
            config.mcp_progress_timeout,
            most_bytes=config.mcp_max_answer,
            most_tools=config.mcp_max_tools,
        )
        self.prompts.replace(config.prompts)
        self.decider.replace(config.decisions)
        self.services.counter.replace(tokenizers(config))
        self.limiter.reprice(prices(config.models))
        self.ledger.reprice(prices(config.models))
        before, self.config, self.backends = self.config, config, backends
        self.access.reloaded(before, config)
        log.info("configuration reloaded")
        return auth

    def _authenticator(self, config: Config) -> Authenticator:
        others: list[Credentials] = [self.access.stored_keys]
        if self.tokens is not None:
            others.append(OwnerLimited(self.tokens, self.access.keyring))
        hosts = Hosts(config.allowed_hosts, Origins(config.cors_origins))
        closed = config.require_key or self.tokens is not None
        return authenticator(fixed_callers(config), others, closed=closed, hosts=hosts)

    @contextlib.asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        await self.watch.start()
        self.registry.share(BackendSlots(self.store.limits, time.time))
        await self.registry.start()
        await self.live.start()
        await self.webhooks.start()
        await self.ingestion.start()
        await self.batches.machine.start()
        self.sandboxes.begin(self._tools.code_off)
        tasks = [asyncio.create_task(work) for work in (*store_upkeep(self), self.store_watch.run())]
        if isinstance(self._engine, Loadable):
            tasks.append(asyncio.create_task(self._load(self._engine)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await self.batches.machine.close()
            await self.ingestion.close()
            await self.webhooks.close()
            await self.live.close(0 if self._forced else self.config.shutdown_grace)
            await self.services.leftovers.close()
            await self.containers.close()
            await self.sandboxes.close()
            await self.limiter.close()
            await self.ledger.close()
            await self.access.close()
            if self.tokens is not None:
                await self.tokens.close()
            await self._tools.close()
            await self.guards.close()
            await self.search_models.close()
            await self.registry.close()
            await self.services.checker.close()
            await self.store.close()
            await self.watch.close()

    def loaded_models(self) -> LoadedModels:
        """Tell which models the embedded engine has in memory."""
        return self._engine.loaded_models() if isinstance(self._engine, HoldsModels) else LoadedModels()

    async def _load(self, engine: Loadable) -> None:
        """Load the embedded engine's model while the server answers already; where it can't be loaded, stop."""
        engine.start()
        try:
            await engine.ready()
        except ConfigError as error:
            log.critical("%s", error)
            self.app.failure = str(error)
            if self._stop is not None:
                self._stop()

    def _force(self) -> None:
        """The grace period is over: what still runs ends `failed`."""
        self._forced = True
        self.foreground.stop()
        self.sockets.stop(SHUTDOWN)
