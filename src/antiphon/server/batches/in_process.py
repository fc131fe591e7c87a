"""InProcess: requests that come from no client, answered by the handlers of their routes: limits, metrics and logs are theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.access.caller import Caller
from antiphon.core.request.json_text import MOST_VALUES, check_json
from antiphon.errors import APIError, InvalidRequest
from antiphon.runtime.offload import by_size
from antiphon.runtime.request_memory import HELD, Held, Rooms
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.server.batches.work.base import LineAnswer
from antiphon.server.http.messages import ByteSink, Header, Reply
from antiphon.server.http.response_head import server_error
from antiphon.server.http.router import HttpRoute, RouteTable
from antiphon.telemetry.request_record import Record, Watcher, current, teller

log = logging.getLogger("antiphon.server.batches")

HEADERS: Mapping[bytes, bytes] = {b"content-type": b"application/json", b"anthropic-version": b"2023-06-01"}


class InnerRequest:
    """A request whose body is at hand. It is not streamed, and its client never goes away."""

    method = "POST"
    root_path = ""
    slash_at_end = False
    params: Mapping[str, str] = {}
    query: Mapping[str, Sequence[str]] = {}

    def __init__(self, path: str, body: bytes, caller: Caller, request_id: str, held: Held) -> None:
        self.path = path
        self.caller = caller
        self.owner = caller.owner
        self.request_id = request_id
        self._body = body
        self._held = held

    def header(self, name: bytes) -> bytes | None:
        """Return a header by its lower-case name."""
        return HEADERS.get(name)

    def headers(self, name: bytes) -> list[bytes]:
        """Return all headers of a lower-case name."""
        return [HEADERS[name]] if name in HEADERS else []

    async def body(
        self, *, form: bool = False, most: int = 0, values: int = MOST_VALUES, checked: bool = True
    ) -> bytes:
        """Return the body, `checked` as a client's is. Raises APIError 400, 429 or 503."""
        self._held.take(len(self._body))
        if not checked:
            return self._body
        return await by_size(len(self._body), lambda: check_json(self._body, values=values))

    async def part(self, limit: int) -> bytes:
        """Refuse: there are no parts."""
        raise not_streamed()

    def hold(self, size: int) -> None:
        """Count bytes that are held until the request is answered. Raises APIError 429 or 503."""
        self._held.take(size)

    async def stream(
        self,
        content_type: str = "text/event-stream",
        status: int = 200,
        headers: Sequence[Header] = (),
        length: int | None = None,
    ) -> ByteSink:
        """Refuse: nobody reads a stream."""
        raise not_streamed()

    def cancel_on_disconnect(self) -> None:
        """Do nothing: the client does not go away."""


class _Flags(msgspec.Struct):
    stream: object = None
    background: object = None


_flags = msgspec.json.Decoder(_Flags)


def check_whole(body: bytes) -> None:
    """Refuse a request whose answer is not one JSON text, before a model is asked. Raises InvalidRequest."""
    try:
        flags = _flags.decode(body)
    except (ValueError, RecursionError):
        return  # its route says what is wrong
    if flags.stream is True:
        raise not_streamed()
    if flags.background is True:
        raise InvalidRequest(
            "Requests of a batch are not run in the background.", param="background", code="unsupported_parameter"
        )


def not_streamed() -> InvalidRequest:
    """Return the 400 for a request that wants to be streamed."""
    return InvalidRequest("Requests of a batch are not streamed.", param="stream", code="unsupported_parameter")


class InProcess:
    """Answers requests by the routes of a table. `watchers` are told of each, as of a client's."""

    def __init__(
        self, router: RouteTable, rooms: Rooms, new_id_base: Callable[[], str], watchers: Sequence[Watcher] = ()
    ) -> None:
        self._router = router
        self._rooms = rooms
        self._new_id_base = new_id_base
        self._tell = teller(watchers)

    def route(self, path: str) -> HttpRoute | None:
        """Return the route of a path, or None."""
        try:
            return self._router.match("POST", path.encode()).route
        except APIError:
            return None

    async def answer(self, path: str, body: bytes, caller: Caller) -> LineAnswer:
        """Answer a request of a caller; whatever happens is an answer."""
        request_id = f"req_{self._new_id_base()[16:]}"
        record = Record("POST", path.encode(), request_id)
        record.caller = caller
        current.set(record)
        held = self._rooms.open(caller.owner)
        HELD.set(held)
        match = self._router.match("POST", path.encode())
        record.route = match.route.path
        form = match.route.form
        try:
            if not caller.may(match.route.scopes):
                raise APIError(403, f"The API key may not call {path}.", code="insufficient_scope")
            await by_size(len(body), check_whole, body)
            reply = await match.route.handler(InnerRequest(match.path, body, caller, request_id, held))
            assert reply is not None
        except APIError as error:
            error.__traceback__ = None
            reply = form.error(error, request_id)
        except Exception:
            unexpected("request", log, "request %s of a batch: unexpected error", request_id)
            reply = form.error(server_error(), request_id)
        finally:
            held.close()
        record.status = reply.status
        self._tell(record)
        return LineAnswer(status=reply.status, body=reply.body, request_id=request_id, wait=_wait(reply))


def _wait(reply: Reply) -> float | None:
    """Return the seconds that `retry-after` names."""
    for name, value in reply.headers:
        if name == b"retry-after" and value.isdigit() and len(value) < 8:
            return float(value)
    return None
