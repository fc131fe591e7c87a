"""HTTP client of the terminal: model list and streamed responses. Standard library, blocking."""

from __future__ import annotations

import http.client
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from antiphon.core.text.sse import SSEParser
from antiphon.errors import APIError, ConfigError


class ListedCapabilities(msgspec.Struct):
    """What a listed model can do; what a server does not say is assumed."""

    supports_responses: bool = True
    supports_image: bool = True
    supports_function_calling: bool = True


class ListedModel(msgspec.Struct):
    """A model in the answer of `GET /v1/models`. `context_length`: its window in tokens; `features`: None where not told."""

    id: str
    context_length: int | None = None
    capabilities: ListedCapabilities = msgspec.field(default_factory=ListedCapabilities)
    features: list[str] | None = None

    @property
    def thinks(self) -> bool:
        """Whether the model can think before it answers."""
        return self.features is None or "reasoning" in self.features


class ListedModels(msgspec.Struct):
    """The answer of `GET /v1/models`. `models`: the same models as Codex's catalogue has them."""

    data: list[ListedModel]
    models: list[dict[str, Any]] = []


class _ServerError(msgspec.Struct):
    message: str = ""
    code: str = ""


class _ErrorBody(msgspec.Struct):
    error: _ServerError


class Client:
    """Calls one server. `url` may end in `/v1` or not. Raises ConfigError for what is no URL."""

    def __init__(self, url: str, key: str = "", timeout: float = 600.0) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("--url: expected http://host:port/v1 or https://…")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._address = (parts.hostname, parts.port)
        self._base = parts.path.rstrip("/").removesuffix("/v1") + "/v1"
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._timeout = timeout
        self.key = key
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{self._base}"

    def models(self) -> Sequence[str]:
        """Return the ids of all models. Raises APIError."""
        return [entry.id for entry in self.listed()]

    def listed(self) -> Sequence[ListedModel]:
        """Return all models. Raises APIError."""
        return self.catalogue().data

    def catalogue(self) -> ListedModels:
        """Return all models, and what Codex wants to know of them. Raises APIError."""
        connection, answer = self._send("GET", "/models")
        try:
            return msgspec.json.decode(answer.read(), type=ListedModels)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise APIError(502, f"{self.url} does not list models as this API does") from None
        finally:
            connection.close()

    def get(self, path: str) -> bytes:
        """Return what stands at a path behind `/v1`. Raises APIError."""
        return self._read("GET", path)

    def _read(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection, answer = self._send(method, path, body)
        try:
            return answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise APIError(502, f"the connection to {self.url} broke: {error}") from None
        finally:
            connection.close()

    def post(self, path: str, body: object) -> bytes:
        """Send JSON to a path behind `/v1` and return the answer. Raises APIError."""
        return self._read("POST", path, msgspec.json.encode(body))

    def stream(self, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Create a streamed response and return its events; closing the iterator cancels it. Raises APIError."""
        connection, answer = self._send("POST", "/responses", msgspec.json.encode({**body, "stream": True}))
        parser = SSEParser()
        try:
            while data := answer.read1(65536):
                for event in parser.feed(data):
                    if event == b"[DONE]":
                        return
                    yield msgspec.json.decode(event, type=dict[str, Any])
        except (OSError, http.client.HTTPException) as error:
            raise APIError(502, f"the connection to {self.url} broke: {error}") from None
        finally:
            connection.close()

    def _send(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._kind(*self._address, timeout=self._timeout)
        try:
            connection.request(method, self._base + path, body, {**self._headers, "content-type": "application/json"})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise APIError(503, f"no server answers at {self.url} ({error})", code="unreachable") from None
        except BaseException:
            connection.close()
            raise
        if answer.status >= 400:
            text = answer.read()
            connection.close()
            raise _refusal(answer.status, text)
        return connection, answer


def _refusal(status: int, text: bytes) -> APIError:
    try:
        error = msgspec.json.decode(text, type=_ErrorBody).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return APIError(status, f"the server answered {status}")
    return APIError(status, error.message, code=error.code)
