"""Requests passed on to a server's routes beside model calls (embeddings, images, audio …); answers that pass as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw

from antiphon.backends.openai_calls import accepted, trace_header
from antiphon.backends.refusals import NO_ENDPOINT
from antiphon.config.masking import SECRETS, MaskedErrors
from antiphon.core.relayed_request import RelayedForm, RelayedRequest
from antiphon.core.turn import Hints
from antiphon.errors import BackendError
from antiphon.net.http.client import HttpClient
from antiphon.net.http.response import HttpResponse
from antiphon.runtime.offload import by_size

_KEPT_HEADERS = (b"content-type", b"cache-control")
_TEXTS = (b"application/json", b"text/")


class RelayedBytes:
    """An answer that passes through as it is; of one that is text, an error in it does not tell the operator's secrets."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = [
            pair for pair in response.headers.items() if pair[0] in _KEPT_HEADERS
        ]
        self._response = response
        kind = response.header(b"content-type")
        self._errors = MaskedErrors(SECRETS) if not kind or kind.startswith(_TEXTS) else None

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end. Raises BackendError."""
        data = await self._response.read()
        if self._errors is None:
            return data
        while not (shown := self._errors.feed(data)) and data:
            data = await self._response.read()
        return shown

    def abort(self) -> None:
        """Let go of the call."""
        self._response.abort()


class RouteRelayer:
    """Passes requests on to one server, in the form that it takes of each route; that is remembered."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._taken: dict[tuple[str, ...], int] = {}

    async def relay(self, request: RelayedRequest, model: str, extra: Mapping[str, Raw], hints: Hints) -> RelayedBytes:
        """Return the answer of the first form that the server takes. Raises BackendError, 400 where it has no such route."""
        endpoints = tuple([form.endpoint for form in request.forms])
        first = self._taken.get(endpoints, 0)
        refusal: BackendError | None = None
        for index in (first, *(one for one in range(len(request.forms)) if one != first)):
            form = request.forms[index]
            body = await by_size(request.size, form.write, model, extra)
            path = self._target(form)
            response = await self._client.send("POST", path, body, trace_header(hints), form.content_type)
            try:
                answer = RelayedBytes(await accepted(response, ours=False))
            except BackendError as error:
                if error.message == NO_ENDPOINT:
                    continue
                if not any(words in error.message for words in form.not_taken):
                    raise
                refusal = refusal or error
                continue
            self._taken[endpoints] = index
            return answer
        raise refusal or not_offered(request.route)

    def _target(self, form: RelayedForm) -> str:
        address = self._client.address
        base = address.path.removesuffix("/v1") if form.from_root else address.path
        return address.with_query(f"{base}{form.endpoint}")


def not_offered(route: str) -> BackendError:
    """Return the 400 for a route that a backend does not have; another backend of the model may have it.

    It says nothing of the backend's health: its circuit breaker does not count it.
    """
    return BackendError(
        400,
        f"The model's backend does not offer {route}.",
        code="unsupported_model",
        param="model",
        type="invalid_request_error",
        retriable=True,
    )
