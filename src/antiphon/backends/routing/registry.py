"""Registry: model ids and their Routes; configured models first, then those that backends list."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from functools import partial
from time import monotonic
from typing import TypeVar

import msgspec

from antiphon.backends.base import (
    Backend,
    BackendHealth,
    BackendModel,
    Capabilities,
    ModelCard,
    Route,
    ServedModel,
    unknown_model,
)
from antiphon.backends.routing.endpoints import Endpoint
from antiphon.backends.routing.member import Member, Policy
from antiphon.backends.routing.routes import ModelRoute
from antiphon.backends.routing.shared_slots import SlotStore
from antiphon.config import BackendConfig, ModelConfig
from antiphon.config.apis import api_of
from antiphon.core.loaded_models import HoldsModels
from antiphon.core.model_types import MODERATION, TEXT_GENERATION, type_by_name
from antiphon.core.request.echo import Defaults
from antiphon.errors import APIError, BackendError, ConfigError

log = logging.getLogger("antiphon.backends.routing")

DOWN_SECONDS = 5.0  # between two looks at a backend that is down, or for a model that nobody knows
DISCOVERY_TIMEOUT = 10.0
LINGER = 120.0  # without a call, until a removed backend is closed: a response may be at its tools, and come back

T = TypeVar("T", bound=msgspec.Struct)


class Registry:
    """Finds Routes (see `Router`). `discover` names the backends whose own models are served; None: all.

    `settings` are those of backends that have some, `retries` the further rounds over a model's endpoints.
    Raises ConfigError where a model names a backend that does not exist.
    """

    def __init__(
        self,
        models: Mapping[str, ModelConfig],
        backends: Mapping[str, Backend],
        *,
        discover: Set[str] | None = None,
        settings: Mapping[str, BackendConfig] | None = None,
        retries: int = 0,
    ) -> None:
        _check_names(models, backends)
        self._models = models
        self._retries = retries
        self._slots: SlotStore | None = None
        self._members = _members(backends, discover, settings or {})
        self._leaving: set[asyncio.Task[None]] = set()
        self._routes: dict[str, ModelRoute] = {}
        self._aliases: dict[str, str] = {}
        self._loop_task: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = -DOWN_SECONDS
        self._rebuild()

    # Router

    def resolve(self, model: str) -> Route:
        """Return the Route of an id or alias.

        Raises InvalidRequest (`model_not_found`), BackendError 503 while no backend is up to say what there is, and APIError
        500 for a model that is configured without an endpoint.
        """
        route = self._routes.get(model) or self._find(model)
        if route is None:
            self._look_again()
            raise self._unknown(model)
        if not route.endpoints:
            self._look_again()
            raise APIError(500, f"The model '{model}' has no endpoint at present.", code="server_error", param="model")
        return route

    def cards(self) -> Sequence[ModelCard]:
        """Return all models: configured ones first, then discovered ones."""
        return [route.card for route in self._routes.values()]

    def served(self) -> list[ServedModel]:
        """Return all models with the backends that serve them, for the operator."""
        return [
            ServedModel(route.card, [(endpoint.member.backend.name, endpoint.name) for endpoint in route.endpoints])
            for route in self._routes.values()
        ]

    def holders(self, model: str) -> list[tuple[HoldsModels, str]]:
        """Return the backends of a model that load and unload it, with their names for it."""
        route = self._routes.get(model) or self._find(model)
        ends = [(end.member.backend, end.name) for end in route.endpoints] if route is not None else []
        return [(backend, name) for backend, name in ends if isinstance(backend, HoldsModels)]

    def health(self) -> list[BackendHealth]:
        """Tell how each backend does."""
        return [member.health() for member in self._members.values()]

    def _find(self, model: str) -> ModelRoute | None:
        """Look for an alias, and for Ollama's habit of leaving out `:latest`."""
        id = self._aliases.get(model) or f"{model}:latest"
        return self._routes.get(id)

    def _unknown(self, model: str) -> APIError:
        """Return the error for a model that is not there; while nothing is up to list any, it may well be there soon."""
        if not self._routes and any(member.error for member in self._members.values()):
            return BackendError(
                503,
                "No backend can be reached at present.",
                code="backend_unavailable",
                headers={"Retry-After": f"{DOWN_SECONDS:.0f}"},
            )
        return unknown_model(model, list(self._routes))

    # Other settings

    def replace(
        self,
        models: Mapping[str, ModelConfig],
        backends: Mapping[str, Backend],
        *,
        discover: Set[str] | None = None,
        settings: Mapping[str, BackendConfig] | None = None,
        retries: int = 0,
        linger: float = LINGER,
    ) -> None:
        """Serve other models and backends from now on; what is in flight keeps its route.

        A backend that is the same object as before stays what it was; one that is gone is closed when it has had no
        calls for `linger` seconds. Raises ConfigError, and then nothing has changed.
        """
        _check_names(models, backends)
        before, self._members = self._members, _members(backends, discover, settings or {})
        for name, member in self._members.items():
            old = before.get(name)
            if old is not None and old.backend is member.backend:
                self._members[name] = before.pop(name)
            elif old is not None and member.discover:
                member.models = old.models  # until it has been asked itself
        self._models, self._retries = models, retries
        self._share()
        self._rebuild()
        for member in before.values():
            leaving = asyncio.ensure_future(_close_later(member, linger))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        if self._refreshing is not None:
            self._refreshing.cancel()
        self._refreshing = asyncio.ensure_future(self.refresh())

    def share(self, slots: SlotStore) -> None:
        """Count calls of backends together with all servers on the store, where `max_concurrent_of` says so."""
        self._slots = slots
        self._share()

    def _share(self) -> None:
        if self._slots is not None:
            for member in self._members.values():
                member.share(self._slots)

    # Discovery

    async def start(self, wait: float = 2.0) -> None:
        """Ask the backends what they serve, `wait` seconds at most, and go on asking in the background.

        A backend that is down does not stop the start: its models appear when it comes up.
        """
        self._refreshing = asyncio.ensure_future(self.refresh())
        await asyncio.wait((self._refreshing,), timeout=wait)
        self._loop_task = asyncio.ensure_future(self._keep_fresh())

    async def refresh(self) -> None:
        """Ask all backends now. One that fails keeps the models that it listed before."""
        self._refreshed_at = monotonic()
        await asyncio.gather(*(self._discover(member) for member in self._members.values() if member.discover))

    async def close(self) -> None:
        """Stop asking, and close the backends."""
        tasks = [task for task in (self._loop_task, self._refreshing, *self._leaving) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(member.close() for member in self._members.values()))

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(DOWN_SECONDS)
            now = monotonic()
            due = [member for member in self._members.values() if member.error or member.check_at <= now]
            await asyncio.gather(*(self._discover(member) for member in due))

    def _look_again(self) -> None:
        """Refresh in the background, unless that was done just now."""
        if self._loop_task is None or monotonic() - self._refreshed_at < DOWN_SECONDS:
            return
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self.refresh())

    async def _discover(self, member: Member) -> None:
        """Ask a backend for its models: that tells, too, whether it is well."""
        member.check_at = monotonic() + member.policy.check_interval
        try:
            async with asyncio.timeout(DISCOVERY_TIMEOUT):
                models = await member.backend.models()
        except TimeoutError:
            member.unreachable(BackendError(503, "The backend did not list its models in time."))
        except BackendError as error:
            if error.status == 503:
                member.unreachable(error)
            elif error.message != member.complaint:
                log.warning("backend %s: listing models failed: %s", member.backend.name, error.message)
                member.complaint = error.message
        except Exception:
            log.exception("backend %s: listing models failed", member.backend.name)
        else:
            member.complaint = ""
            member.well()
            if member.discover and models != member.models:
                member.models = models
                self._rebuild()

    # Routes

    def _rebuild(self) -> None:
        """Make the table of routes anew; what is in flight keeps the route it has."""
        routes = {id: self._configured(id, model) for id, model in self._models.items()}
        for member in self._members.values():
            for model in member.models:
                if model.id not in routes:
                    card = _discovered_card(model)
                    routes[model.id] = ModelRoute(card, self._listing(model.id), retries=self._retries)
        self._routes = routes
        self._aliases = {alias: id for id, model in self._models.items() for alias in model.aliases}

    def _configured(self, id: str, model: ModelConfig) -> ModelRoute:
        name = model.name or id
        if model.backends:
            endpoints: Sequence[Endpoint] = [Endpoint(self._members[backend], name) for backend in model.backends]
        else:
            endpoints = self._listing(name)
        if not endpoints and len(self._members) == 1:
            endpoints = [Endpoint(member, name) for member in self._members.values()]
        listed = [entry for endpoint in endpoints for entry in endpoint.member.models if entry.id == name]
        return ModelRoute(
            _configured_card(id, model, listed),
            endpoints,
            _defaults(model),
            model.instructions,
            model.extra_body,
            retries=self._retries,
            fallbacks=partial(self._fallbacks, model) if model.fallbacks else None,
        )

    def _fallbacks(self, model: ModelConfig) -> list[ModelRoute]:
        """Return the routes that stand in for a model, those that can do what it can."""
        found = [self._routes.get(id) or self._find(id) for id in model.fallbacks]
        needed = _abilities(model)
        return [
            route for route in found if route is not None and route.endpoints and _does(route.card.capabilities, needed)
        ]

    def _listing(self, name: str) -> list[Endpoint]:
        """Return an endpoint for each backend that lists a model."""
        members = self._members.values()
        return [Endpoint(member, name) for member in members if any(model.id == name for model in member.models)]


def _check_names(models: Mapping[str, ModelConfig], backends: Mapping[str, Backend]) -> None:
    for id, model in models.items():
        for name in model.backends:
            if name not in backends:
                raise ConfigError(f"models.{id}.backends: unknown backend '{name}'.")


def _members(
    backends: Mapping[str, Backend], discover: Set[str] | None, settings: Mapping[str, BackendConfig]
) -> dict[str, Member]:
    policies = {name: _policy(config) for name, config in settings.items()}
    return {
        name: Member(backend, discover is None or name in discover, policies.get(name))
        for name, backend in backends.items()
    }


async def _close_later(member: Member, linger: float) -> None:
    """Close a backend that is served no more, once nobody needs it; at once when the server ends."""
    quiet_since, calls = monotonic(), member.calls
    try:
        while member.outstanding or member.queue or monotonic() - quiet_since < linger:
            await asyncio.sleep(min(linger, 1.0))
            if member.outstanding or member.queue or member.calls != calls:
                quiet_since, calls = monotonic(), member.calls
    finally:
        await member.close()


def _discovered_card(model: BackendModel) -> ModelCard:
    return ModelCard(
        id=model.id,
        created=model.created,
        owned_by=model.owned_by or "antiphon",
        context_length=model.context_length,
        parameters_number=model.parameters_number,
        capabilities=model.capabilities,
        type=model.type or type_by_name(model.id),
    )


def _configured_card(id: str, model: ModelConfig, listed: Sequence[BackendModel]) -> ModelCard:
    chat = all(entry.capabilities.chat_completions for entry in listed)
    windows = [entry.context_length for entry in listed if entry.context_length]
    return ModelCard(
        id=id,
        created=model.created or max((entry.created for entry in listed), default=0),
        owned_by=model.owned_by,
        context_length=model.context_length or min(windows, default=None),
        parameters_number=model.parameters_number,
        capabilities=msgspec.structs.replace(_abilities(model), chat_completions=model.chat_completions and chat),
        aliases=tuple(model.aliases),
        type=_configured_type(id, model, listed),
        matryoshka=model.matryoshka,
    )


def _configured_type(id: str, model: ModelConfig, listed: Sequence[BackendModel]) -> str:
    """Return what a model is for: as set, as its backends say, or as its name there or its id says."""
    if model.type != "auto":
        return model.type
    if model.moderation is not None:
        return MODERATION
    said = next((entry.type for entry in listed if entry.type), "")
    named = type_by_name(model.name or id)
    return said or (named if named != TEXT_GENERATION else type_by_name(id))


def _taken(target: type[T], settings: BackendConfig | ModelConfig, **others: object) -> T:
    """Return a struct made of the settings that have the names of its fields; `others` are fields that no setting has."""
    names = (name for name in target.__struct_fields__ if name not in others)
    return target(**{name: getattr(settings, name) for name in names}, **others)


def _abilities(model: ModelConfig) -> Capabilities:
    return _taken(Capabilities, model)


def _does(has: Capabilities, needed: Capabilities) -> bool:
    """Tell whether a model can all that is needed."""
    pairs = zip(msgspec.structs.astuple(has), msgspec.structs.astuple(needed), strict=True)
    return all(able or not wanted for able, wanted in pairs)


def _policy(config: BackendConfig) -> Policy:
    return _taken(Policy, config, chat_completions=api_of(config.api).chat)


def _defaults(model: ModelConfig) -> Defaults:
    return _taken(Defaults, model)
