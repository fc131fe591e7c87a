"""What type checkers see of the package: the names that `__init__.py` imports when they are first used."""

from antiphon.backends.base import Backend as Backend
from antiphon.backends.base import BackendModel as BackendModel
from antiphon.backends.base import ByteStream as ByteStream
from antiphon.backends.base import Capabilities as Capabilities
from antiphon.backends.base import Take as Take
from antiphon.backends.base import TurnStream as TurnStream
from antiphon.config import BackendConfig as BackendConfig
from antiphon.config import Config as Config
from antiphon.config import EngineConfig as EngineConfig
from antiphon.config import KeyConfig as KeyConfig
from antiphon.config import McpServerConfig as McpServerConfig
from antiphon.config import ModelConfig as ModelConfig
from antiphon.core.deltas import CallDelta as CallDelta
from antiphon.core.deltas import CallStart as CallStart
from antiphon.core.deltas import Delta as Delta
from antiphon.core.deltas import Finish as Finish
from antiphon.core.deltas import FinishReason as FinishReason
from antiphon.core.deltas import ReasoningDelta as ReasoningDelta
from antiphon.core.deltas import RefusalDelta as RefusalDelta
from antiphon.core.deltas import TextDelta as TextDelta
from antiphon.core.deltas import UsageReport as UsageReport
from antiphon.core.turn import Turn as Turn
from antiphon.errors import AntiphonError as AntiphonError
from antiphon.errors import APIError as APIError
from antiphon.errors import BackendError as BackendError
from antiphon.errors import ConfigError as ConfigError
from antiphon.errors import InvalidRequest as InvalidRequest
from antiphon.errors import NotFound as NotFound
from antiphon.errors import StoreConflict as StoreConflict
from antiphon.errors import StoreError as StoreError
from antiphon.errors import StoreUnknown as StoreUnknown
from antiphon.factory import create_app as create_app
from antiphon.factory import load_config as load_config
from antiphon.server.asgi import AntiphonApp as AntiphonApp
from antiphon.stores.base import FenceError as FenceError
from antiphon.stores.base import Store as Store
from antiphon.tools.base import ToolOutput as ToolOutput
from antiphon.tools.base import ToolServer as ToolServer
from antiphon.tools.base import ToolServerError as ToolServerError
from antiphon.types.items import CustomToolCall as CustomToolCall
from antiphon.types.items import CustomToolCallOutput as CustomToolCallOutput
from antiphon.types.items import FunctionCall as FunctionCall
from antiphon.types.items import FunctionCallOutput as FunctionCallOutput
from antiphon.types.items import InputText as InputText
from antiphon.types.items import Message as Message
from antiphon.types.items import OutputText as OutputText
from antiphon.types.items import Reasoning as Reasoning
from antiphon.types.response import Usage as Usage
from antiphon.types.tools import CustomTool as CustomTool
from antiphon.types.tools import FunctionTool as FunctionTool
from antiphon.types.tools import RemoteTool as RemoteTool

__version__: str
__all__: list[str]
