"""Settings: their definitions (`structs`, `tables`), sources and rules."""

from antiphon.config.keys import JwtConfig, KeyConfig, OwnerConfig
from antiphon.config.sections.engine import EngineConfig
from antiphon.config.sections.guards import GuardConfig
from antiphon.config.structs import DEFAULT_STORE, Config
from antiphon.config.tables import (
    MASK,
    MCP,
    SECRET,
    BackendConfig,
    LeakConfig,
    McpServerConfig,
    ModelConfig,
    PromptConfig,
    PromptVersion,
    Settings,
    WebhookConfig,
    is_secret,
    mask,
)
from antiphon.config.tools import (
    CalibrationConfig,
    CodeInterpreterConfig,
    DecisionsConfig,
    FileSearchConfig,
    ToolsConfig,
)

__all__ = [
    "DEFAULT_STORE",
    "MASK",
    "MCP",
    "SECRET",
    "BackendConfig",
    "CalibrationConfig",
    "CodeInterpreterConfig",
    "Config",
    "DecisionsConfig",
    "EngineConfig",
    "FileSearchConfig",
    "GuardConfig",
    "JwtConfig",
    "KeyConfig",
    "LeakConfig",
    "McpServerConfig",
    "ModelConfig",
    "OwnerConfig",
    "PromptConfig",
    "PromptVersion",
    "Settings",
    "ToolsConfig",
    "WebhookConfig",
    "is_secret",
    "mask",
]
