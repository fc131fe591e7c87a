"""Settings: what there is (`structs`, `tables`), where it comes from, what must be true of it."""

from antiphon.config.structs import DEFAULT_STORE, Config
from antiphon.config.tables import (
    MASK,
    MCP,
    SECRET,
    BackendConfig,
    EngineConfig,
    JwtConfig,
    KeyConfig,
    McpServerConfig,
    ModelConfig,
    PromptConfig,
    PromptVersion,
    Settings,
    WebhookConfig,
    is_secret,
    mask,
)

__all__ = [
    "DEFAULT_STORE",
    "MASK",
    "MCP",
    "SECRET",
    "BackendConfig",
    "Config",
    "EngineConfig",
    "JwtConfig",
    "KeyConfig",
    "McpServerConfig",
    "ModelConfig",
    "PromptConfig",
    "PromptVersion",
    "Settings",
    "WebhookConfig",
    "is_secret",
    "mask",
]
