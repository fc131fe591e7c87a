"""`/v1/models`: the models, in OpenAI's shape with CompactifAI's and CompileLabs' fields (contract, "Models")."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.backends.base import Capabilities, ModelCard, Router
from antiphon.core.loaded_models import HoldsModels, state_among
from antiphon.core.model_types import MODEL_TYPES, TEXT_GENERATION
from antiphon.errors import InvalidRequest, NotFound
from antiphon.server.http.messages import Reply, Request, json_reply


class CapabilityFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do. `support_chat_completion` is CompactifAI's own spelling."""

    supports_responses: bool
    support_chat_completion: bool
    supports_chat_completion: bool
    supports_function_calling: bool
    supports_image: bool
    supports_audio: bool


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as clients see it. `context_length` is in tokens; `type` is what it is for (`core/model_types`).

    `state` (`core/loaded_models`): whether a model that this server loads and unloads is loaded; null for others.
    """

    id: str
    object: str = "model"
    created: int
    owned_by: str
    parameters_number: str | None
    context_length: int | None
    type: str
    state: str | None
    capabilities: CapabilityFlags
    features: list[str]


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model for Codex's catalogue reader, which wants every one of these."""

    slug: str
    display_name: str
    description: str | None = None
    default_reasoning_level: str | None
    supported_reasoning_levels: list[ReasoningLevel]
    shell_type: str = "shell_command"
    visibility: str = "list"
    supported_in_api: bool = True
    priority: int
    base_instructions: str = ""
    supports_reasoning_summaries: bool
    support_verbosity: bool = False
    default_verbosity: str | None = None
    apply_patch_tool_type: str | None = "freeform"
    truncation_policy: TruncationPolicy
    supports_parallel_tool_calls: bool
    context_window: int | None
    experimental_supported_tools: list[str] = []
    input_modalities: list[str]


class ReasoningLevel(msgspec.Struct, frozen=True):
    """An effort that can be chosen."""

    effort: str
    description: str


class TruncationPolicy(msgspec.Struct, frozen=True):
    """How much of a tool's output the client keeps."""

    mode: str = "bytes"
    limit: int = 10_000


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models; `models` is for Codex, all others read `data`."""

    object: str = "list"
    data: list[Model]
    models: list[CatalogueEntry]


REASONING_LEVELS = [
    ReasoningLevel("low", "Fast answers with little thought"),
    ReasoningLevel("medium", "A balance of speed and depth"),
    ReasoningLevel("high", "Thorough thought for hard problems"),
]


class Models:
    """The handlers of `/v1/models`."""

    def __init__(self, router: Router, holders: Callable[[str], Sequence[tuple[HoldsModels, str]]]) -> None:
        """`holders` returns who loads and unloads a model."""
        self._router = router
        self._holders = holders

    async def list(self, request: Request) -> Reply:
        """GET /v1/models; `type`: those of a type."""
        cards = self._cards(request)
        wanted = request.query.get("type")
        if wanted is not None:
            if wanted[-1] not in MODEL_TYPES:
                raise InvalidRequest(f"Invalid 'type': must be one of {', '.join(MODEL_TYPES)}.", param="type")
            cards = [card for card in cards if card.type == wanted[-1]]
        talking = [card for card in cards if card.type == TEXT_GENERATION]
        entries = [catalogue_entry(card, index) for index, card in enumerate(talking)]
        return json_reply(ModelList(data=[self._model(card) for card in cards], models=entries))

    async def read(self, request: Request) -> Reply:
        """GET /v1/models/{id}, where the id may be an alias and may contain slashes."""
        wanted = request.params["id"]
        for card in self._cards(request):
            if wanted == card.id or wanted in card.aliases:
                return json_reply(msgspec.structs.replace(self._model(card), id=wanted))
        raise NotFound(f"The model '{wanted}' does not exist.", param="model", code="model_not_found")

    def _model(self, card: ModelCard) -> Model:
        return model_of(card, state_among(self._holders(card.id)))

    def _cards(self, request: Request) -> Sequence[ModelCard]:
        """Return the models that the caller may call."""
        return [card for card in self._router.cards() if request.caller.may_call(card)]


def model_of(card: ModelCard, state: str | None = None) -> Model:
    """Return a model as clients see it."""
    can, talks = card.capabilities, card.type == TEXT_GENERATION
    return Model(
        id=card.id,
        created=card.created,
        owned_by=card.owned_by,
        parameters_number=card.parameters_number,
        context_length=card.context_length,
        type=card.type,
        state=state,
        capabilities=CapabilityFlags(
            supports_responses=can.responses and talks,
            support_chat_completion=can.chat_completions and talks,
            supports_chat_completion=can.chat_completions and talks,
            supports_function_calling=can.functions and talks,
            supports_image=can.images,
            supports_audio=can.audio,
        ),
        features=features(can) if talks else [],
    )


def features(can: Capabilities) -> list[str]:
    """Return CompileLabs' list of what a model can do."""
    optional = {
        "tools": can.functions,
        "structured_outputs": can.structured_outputs,
        "reasoning": can.reasoning,
        "vision": can.images,
        "audio": can.audio,
    }
    return ["streaming", *(name for name, there in optional.items() if there)]


def catalogue_entry(card: ModelCard, rank: int) -> CatalogueEntry:
    """Return a model for Codex; `rank` counts from the most wanted."""
    can = card.capabilities
    return CatalogueEntry(
        slug=card.id,
        display_name=card.id,
        default_reasoning_level="medium" if can.reasoning else None,
        supported_reasoning_levels=REASONING_LEVELS if can.reasoning else [],
        priority=rank,
        supports_reasoning_summaries=can.reasoning,
        truncation_policy=TruncationPolicy(),
        supports_parallel_tool_calls=can.functions,
        context_window=card.context_length,
        input_modalities=["text", "image"] if can.images else ["text"],
    )
