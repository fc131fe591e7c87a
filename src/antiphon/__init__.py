"""Antiphon: the self-hosted server for the Responses API. Any model, one complete API.

The names of `__all__` are public (docs/embedding.md says what that promises); they are imported when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "antiphon.backends.base": "Backend BackendModel ByteStream Capabilities Take TurnStream",
    "antiphon.config": "BackendConfig Config EngineConfig GuardConfig KeyConfig McpServerConfig ModelConfig",
    "antiphon.core.deltas": "CallDelta CallStart Delta Finish FinishReason ReasoningDelta RefusalDelta TextDelta UsageReport",
    "antiphon.core.gcra": "Charge Meter",
    "antiphon.core.guards.base": "GuardText GuardVerdict",
    "antiphon.core.kind": "Kind",
    "antiphon.core.tools.offers": "Offer Target",
    "antiphon.core.turn": "Turn",
    "antiphon.errors": (
        "AntiphonError APIError BackendError ConfigError InvalidRequest NotFound StoreConflict StoreError StoreUnknown"
    ),
    "antiphon.composition.factory": "create_app load_config",
    "antiphon.responses.guards.base": "Guard",
    "antiphon.server.asgi": "AntiphonApp",
    "antiphon.stores.base": (
        "ConversationStore DeliveryStore FenceError FileStore JobStore KeyStore LimitStore ResponseStore Store StoreDatabase "
        "UploadStore"
    ),
    "antiphon.stores.condition": "Census Condition Measure",
    "antiphon.stores.open": "open_store",
    "antiphon.stores.log_records": "LogEntry LogPage LogQuery",
    "antiphon.stores.records": (
        "Delivery EventBatch FileUsage Job LoggedEvent Slot "
        "StoredConversation StoredFile StoredItem StoredKey StoredPart StoredResponse StoredUpload"
    ),
    "antiphon.tools.base": (
        "Declaration HostedTool HostedUse Progress ToolBounds ToolOutput ToolResult ToolServer ToolServerError"
    ),
    "antiphon.tools.hosted": "hosted_kind",
    "antiphon.types.items": (
        "CustomToolCall CustomToolCallOutput FunctionCall FunctionCallOutput InputText Message OutputText Reasoning"
    ),
    "antiphon.types.raw": "JsonText",
    "antiphon.types.response": "Usage",
    "antiphon.types.tools": "CustomTool FunctionTool RemoteTool",
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'antiphon' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
