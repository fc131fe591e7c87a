"""The routes of a server: which part answers which path."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from antiphon.access.caller import ADMIN, CHAT, MODERATIONS, SCOPES
from antiphon.config.rules import ENGINE, is_locked
from antiphon.core.loaded_models import HoldsModels
from antiphon.responses.intake.decoding import ResponsesDecoder
from antiphon.responses.prepare import Preparer
from antiphon.server.api.admin import REQUESTS, Admin
from antiphon.server.api.chat.completions import ChatCompletions
from antiphon.server.api.chat.keeping import ChatKeeping
from antiphon.server.api.chat.stored import StoredChats
from antiphon.server.api.chat.translated import TranslatedChat
from antiphon.server.api.containers import ContainerRoutes
from antiphon.server.api.conversations import Conversations
from antiphon.server.api.counting import Counting
from antiphon.server.api.health import Health
from antiphon.server.api.log.conversations import AnyConversations, ConversationLists, add_conversation_lists
from antiphon.server.api.log.routes import ResponseLog, add_response_log
from antiphon.server.api.log.sent import SentLookup
from antiphon.server.api.models import Models
from antiphon.server.api.operator.audit_logs import AuditLogRoutes
from antiphon.server.api.operator.auditing import AuditRoutes, audited
from antiphon.server.api.operator.budgets import BudgetRoutes
from antiphon.server.api.operator.engine import EngineRoutes
from antiphon.server.api.operator.keys import KeyRoutes, add_keys
from antiphon.server.api.operator.models import ModelRoutes, add_models
from antiphon.server.api.operator.usage import KINDS, UsageRoutes
from antiphon.server.api.relays.handler import RelayHandlers
from antiphon.server.api.relays.moderations import Moderations
from antiphon.server.api.routes import (
    add_containers,
    add_conversations,
    add_files,
    add_relays,
    add_responses,
    add_stored_chats,
    add_vector_stores,
)
from antiphon.server.api.skills import SkillRoutes
from antiphon.server.api.vectors.stores import VectorShelf
from antiphon.server.auth.credentials import fixed_callers
from antiphon.server.batches.anthropic import MessageBatchRoutes, add_message_batches
from antiphon.server.batches.openai import BatchRoutes, add_batches
from antiphon.server.http.router import RouteTable
from antiphon.server.messages.models import AnthropicModels, ModelNames
from antiphon.server.messages.routes import MessagesRoutes, add_messages
from antiphon.server.pages.docs import OpenAPI, docs
from antiphon.server.pages.files import docs_file
from antiphon.server.pages.guide import guide, guide_page, llms, llms_full
from antiphon.server.pages.playground import playground, playground_file
from antiphon.server.webhooks.endpoints import WebhookEndpointRoutes, add_webhook_endpoints

if TYPE_CHECKING:
    from antiphon.composition.app import Parts


def add_routes(router: RouteTable, parts: Parts, preparer: Preparer) -> None:
    """Register all routes of a server."""
    counts = Preparer(parts.services, parts.intake, ResponsesDecoder(parts.prompts, parts.config, needs_input=False))
    add_responses(router, parts.responses, Counting(parts.services, preparer, counts))
    clock, new_id_base = parts.services.clock, parts.services.new_id_base
    kept = parts.store.conversations
    conversations = Conversations(kept, parts.store.responses, clock, new_id_base)
    add_conversations(router, conversations)
    add_conversation_lists(router, ConversationLists(kept), AnyConversations(kept, conversations))
    router.websocket("/responses", parts.sockets.serve if parts.config.websocket else None)
    add_webhook_endpoints(router, WebhookEndpointRoutes(parts.webhook_endpoints, new_id_base))
    add_batches(router, BatchRoutes(parts.batches))
    add_message_batches(router, MessageBatchRoutes(parts.batches, parts.config.batch_requests))
    add_files(router, parts.batches.incoming, parts.store.uploads, new_id_base, parts.ingestion.wake, parts.tool_meters)
    shelf = VectorShelf(parts.store, parts.ingestion, clock, new_id_base)
    services = parts.services
    rewriter = parts.search_models.rewriter(services.router, services.limiter, parts.search_counts.fallback)
    most = parts.config.tools.file_search.max_stores
    add_vector_stores(router, shelf, parts.searcher, rewriter, most_stores=most)
    containers = ContainerRoutes(parts.containers, parts.store.files, parts.skills, parts.tool_meters)
    add_containers(router, containers, SkillRoutes(parts.skills))
    names = ModelNames(parts.registry, lambda: parts.config.messages_models)
    add_messages(router, MessagesRoutes(parts.services, parts.intake, parts.foreground, names, parts.ring))
    models = AnthropicModels(parts.registry, Models(parts.registry, parts.registry.holders), names)
    router.add("GET", "/models", models.list, scopes=frozenset(SCOPES))
    router.add("GET", "/models/{id:path}", models.read, scopes=frozenset(SCOPES))
    translated = TranslatedChat(parts.services, parts.intake, parts.foreground)
    services = parts.services
    keeping = ChatKeeping(parts.store, clock, new_id_base, parts.config.store_days)
    chat = ChatCompletions(
        services.router, parts.media, parts.limiter, services.checker, translated, services.guards, keeping, parts.ring
    )
    router.add("POST", "/chat/completions", chat.create, scopes=frozenset((CHAT,)))
    add_stored_chats(router, StoredChats(parts.store.chats, clock))
    add_relays(router, relay_handlers(parts))
    moderations = Moderations(parts.moderators, parts.media, parts.limiter, new_id_base)
    router.add("POST", "/moderations", moderations.create, scopes=frozenset((CHAT, MODERATIONS)))
    router.add("POST", "/decisions", parts.decisions.create)
    router.add("POST", "/systemone", parts.decisions.create_systemone)
    health = Health(parts.registry.health, parts.store.database.condition, lambda: parts.sandboxes.condition)
    router.add("GET", "/health", health.health, public=True)
    router.add("GET", "/ready", health.ready, public=True)
    parts.watch.add_routes(router)
    add_pages(router)
    add_reports(router, parts)
    add_operators(router, parts)
    router.wrap(audited(parts.access.audit))


def add_pages(router: RouteTable) -> None:
    """Register what people and programs read of the API, and the playground."""
    router.add("GET", "/openapi.json", OpenAPI(router).read, public=True)
    router.add("GET", "/docs", docs, public=True)
    router.add("GET", "/docs/assets/{name}", docs_file, public=True)
    router.add("GET", "/docs/guide", guide, public=True)
    router.add("GET", "/docs/guide/{path:path}", guide_page, public=True)
    router.add("GET", "/llms.txt", llms, public=True)
    router.add("GET", "/llms-full.txt", llms_full, public=True)
    router.add("GET", "/", playground, public=True)
    router.add("GET", "/playground/{name:path}", playground_file, public=True)


def add_reports(router: RouteTable, parts: Parts) -> None:
    """Register what operators read: requests, responses, loaded models, usage."""
    responses, access = parts.responses, parts.access
    peers = parts.watch.peers
    ask = peers.ask if peers is not None else None
    sent, requests = SentLookup(parts.services.captures, ask), Admin(parts.ring, ask)
    router.add("GET", "/admin/requests", requests.requests, scopes=frozenset((ADMIN,)))
    if peers is not None:
        peers.asked = lambda question: (requests if question == REQUESTS else sent).answer(question)
    add_response_log(router, ResponseLog(parts.store.responses, responses.remove, sent, access.audit))
    engine = EngineRoutes(parts.loaded_models, partial(_holders, parts), access.audit)
    router.add("GET", "/admin/engine", engine.report, scopes=frozenset((ADMIN,)))
    router.add("POST", "/admin/engine/stop", engine.stop, scopes=frozenset((ADMIN,)))
    usage = UsageRoutes(parts.store.usage, parts.ledger, parts.services.clock)
    router.add("GET", "/admin/usage", usage.report, scopes=frozenset((ADMIN,)))
    for name in KINDS:
        router.add("GET", f"/organization/usage/{name}", usage.of_kind(name), scopes=frozenset((ADMIN,)))
    router.add("GET", "/organization/costs", usage.costs, scopes=frozenset((ADMIN,)))


def _holders(parts: Parts, model: str) -> list[tuple[HoldsModels, str]]:
    """Return the backends that load and unload a model; first the engine by its own names, as `/admin/engine` tells them."""
    engine = parts.backends.get(ENGINE)
    own: list[tuple[HoldsModels, str]] = [(engine, model)] if isinstance(engine, HoldsModels) else []
    return [*own, *parts.registry.holders(model)]


def add_operators(router: RouteTable, parts: Parts) -> None:
    """Register what operators change: keys, settings; and the audit log of it."""
    access, registry = parts.access, parts.registry
    add_keys(router, KeyRoutes(access.keyring, access.uses, lambda: is_locked(parts.config), parts.services.clock))
    models = ModelRoutes(
        lambda: parts.config, registry.health, registry.served, access.audit, lambda: parts.app.reload_settings
    )
    add_models(router, models)
    budgets = BudgetRoutes(
        parts.store.limits, access.keyring, lambda: fixed_callers(parts.config), registry, parts.services.clock
    )
    router.add("GET", "/admin/budgets", budgets.list, scopes=frozenset((ADMIN,)))
    router.add("GET", "/admin/audit", AuditRoutes(access.audit).list, scopes=frozenset((ADMIN,)))
    router.add("GET", "/organization/audit_logs", AuditLogRoutes(access.audit).list, scopes=frozenset((ADMIN,)))


def relay_handlers(parts: Parts) -> RelayHandlers:
    """Return what makes the handlers of routes whose requests are passed on to backends."""
    return RelayHandlers(
        parts.services.router,
        parts.media,
        parts.limiter,
        parts.tool_meters,
        most_form=parts.config.max_form,
        default_models=lambda: parts.config.default_models,
        guards=parts.services.guards,
    )
