"""The exception tree, and the one error body.

AntiphonError
├── Gone                   nobody is left to be answered
│   └── ClientGone         the client closed the connection
├── ConfigError            the operator's mistake: bad setting, unreadable file
├── APIError               what a client is told: status, type, code, param, message
│   ├── InvalidRequest     400
│   │   └── Unresolvable   a host that a request names has no address
│   ├── NotFound           404
│   ├── BackendError       502/503/504, or the backend's own 4xx passed on
│   │   ├── ModelUnavailable  one model cannot be called; its backend is well
│   │   └── OutOfFiles     this process may open no more connections; its backends are well
│   ├── ContainersBusy     503: all containers of the server are in use
│   └── HeldError          PostgreSQL: a lock was not had in time
├── StoreError             what a store refuses; the store itself is well
│   ├── StoreConflict      an id, a key or an event's number is taken
│   ├── StoreUnknown       what a row is to belong to does not exist
│   └── FenceError         a background response's lease was lost to another worker
├── ToolServerError        a tool server cannot be reached, refuses, or speaks nonsense
│   ├── RpcError           it answered with a JSON-RPC error
│   ├── HttpRefusal        it answered with an HTTP status, and nothing of MCP
│   │   └── NotAllowed     it does not accept who asks
│   └── SessionLost        it does not know its session any more
├── SandboxError           a sandbox cannot be started, or has ended
├── SandboxFileError       a file of a sandbox cannot be read or written
└── what one module tells another, and no client sees:
    SealError, IllegalCall, GrammarError, GrammarFault, SchemaFault, Unchecked, Unusable, UnusableKey, WorkerDied, WorkerUnusable,
    EngineFailure, StaleConnection, BrokenOff, ServerStopping, SteerRefused, NoRoom, Unpackable, Corrupt, BusyError, Extensive,
    LineLeft, LinesMissing, FileGone, TornError, Unacceptable, ProxyRefused, MoreText, NoCall,
    InvalidDocument, UnsupportedDocument, ReaderDied, DocumentGone, ReaderUnusable, EmbeddingFailed, SearchFailed,
    NonConforming, NotOffered
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

TYPE_OF_STATUS: dict[int, str] = {
    401: "authentication_error",
    402: "payment_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


LONGEST_MESSAGE = 4096
LONGEST_PARAM = 256
"""Characters of what a client is told: messages and names quote what it sent, which may have many millions."""


def shortened(text: str, most: int) -> str:
    """Return a text, its middle left out where it has more characters."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 4 :]}"


def error_type(status: int) -> str:
    """Return the error `type` that belongs to an HTTP status."""
    return TYPE_OF_STATUS.get(status, "server_error" if status >= 500 else "invalid_request_error")


class AntiphonError(Exception):
    """Root of everything that this package raises on purpose."""


class Gone(AntiphonError):
    """The client disconnected."""


class ConfigError(AntiphonError):
    """A setting is wrong; the message is for the operator and never holds a secret."""


class StoreError(AntiphonError):
    """What a store refuses by its contract. A store that is away or full raises APIError 503 instead."""


class StoreConflict(StoreError):
    """An id, a key or an event's number is taken."""


class StoreUnknown(StoreError):
    """What a row is to belong to does not exist: its conversation."""


class APIError(AntiphonError):
    """An error that a client sees. `param` and `code` are strings, "" where there is none (contract, "Errors")."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        message = shortened(message, LONGEST_MESSAGE)
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = shortened(param, LONGEST_PARAM)
        self.type = type or error_type(status)
        self.headers: Mapping[str, str] = headers or {}

    def body(self) -> dict[str, Any]:
        """Return the one error body, ready for JSON: `{"error": {...}, "detail": message}`."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            "status": self.status,
        }
        return {"error": error, "detail": self.message}


def spelled(error: APIError, spell: Callable[[str], str] | None) -> APIError:
    """Return an error whose field is named as a front end names it, in its message too. `spell`: OpenAI's name → its own."""
    name = spell(error.param) if spell is not None and error.param else error.param
    if name == error.param:
        return error
    message = shortened(error.message.replace(f"'{error.param}'", f"'{name}'"), LONGEST_MESSAGE)
    named = type(error).__new__(type(error), message)
    vars(named).update(vars(error), message=message, param=shortened(name, LONGEST_PARAM))
    return named


class InvalidRequest(APIError):
    """A 400. `param` is the JSON path in OpenAI's spelling, such as `input[2].content[0].text`."""

    def __init__(self, message: str, *, param: str = "", code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(status, message, code=code, param=param, type="invalid_request_error")


class NotFound(APIError):
    """A 404 for an object that does not exist, or belongs to somebody else."""

    def __init__(self, message: str, *, param: str = "", code: str = "not_found") -> None:
        super().__init__(404, message, code=code, param=param)


class BackendError(APIError):
    """A backend failed. `retriable` tells whether the same call may be tried elsewhere before the first token."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "backend_error",
        param: str = "",
        type: str = "",
        headers: Mapping[str, str] | None = None,
        retriable: bool = False,
    ) -> None:
        super().__init__(status, message, code=code, param=param, type=type, headers=headers)
        self.retriable = retriable


class ModelUnavailable(BackendError):
    """One model of a backend cannot be called now; the backend itself is well, and so are its other models."""


class OutOfFiles(BackendError):
    """This process may open no more files, and so no connection: no backend's fault, and the same with each of them."""
