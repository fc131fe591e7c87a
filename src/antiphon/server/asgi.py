"""The application: Exchange in, answer out. A plain ASGI app; what every path has in common happens here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from enum import Enum, auto
from typing import Any

from antiphon.access.caller import NOBODY, Caller
from antiphon.config import Config
from antiphon.errors import AntiphonError, APIError
from antiphon.runtime.request_memory import HELD, Held, Rooms
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.server.auth.authenticator import Authenticator
from antiphon.server.http.asgi_exchange import ASGIExchange
from antiphon.server.http.cors import preflight
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.forwarded import Way
from antiphon.server.http.messages import ClientGone, Header, Reply, Request, ServerStopping
from antiphon.server.http.request import HTTPRequest
from antiphon.server.http.response_head import ResponseHead, error_reply, server_error
from antiphon.server.http.router import WRITING, HttpRoute, Match, RouteTable, plain_path
from antiphon.server.http.unread_answers import Unread
from antiphon.server.ws.asgi_socket import ASGIWebSocket
from antiphon.telemetry.request_record import CLIENT_GONE, UPGRADED, Record, Watcher, current, teller

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[None]]

NOT_STARTED = (
    "Antiphon was not started: the program that serves it ran no ASGI lifespan for it. "
    "Frameworks run none for applications that are mounted: enter `async with app.running():` in the lifespan of the "
    "outer application (docs/embedding.md)."
)
CLOSED = "This Antiphon application was closed; `create_app` makes another one."

log = logging.getLogger("antiphon.server")


class AppState(Enum):
    """The life of an application. It cannot be started again after it was closed."""

    NEW = auto()
    RUNNING = auto()
    CLOSED = auto()


class AntiphonApp:
    """All routes behind one door: authentication, request ids, and errors in the form of their route.

    `lifespan` is entered before the first request and left after the last, by ASGI's lifespan or by `running`; requests
    outside of it get an error. `on_force` ends what still runs when the
    grace period of a shutdown is over. `on_reload` takes other settings over and returns who asks for keys from then on.
    `failure` says why the application itself made the server stop. `reload_settings` reads the settings again, where whoever
    serves the application has some: see `server/api/operator/models.py`.
    """

    def __init__(
        self,
        router: RouteTable,
        auth: Authenticator,
        *,
        max_body: int = 16 * 1024 * 1024,
        body_timeout: float = 60.0,
        lifespan: Lifespan | None = None,
        on_force: Callable[[], None] | None = None,
        on_reload: Callable[[Config], Authenticator] | None = None,
        watchers: Sequence[Watcher] = (),
        rooms: Rooms | None = None,
        unread: Unread | None = None,
        way: Way | None = None,
    ) -> None:
        self.router = router
        self.max_body = max_body
        self.body_timeout = body_timeout
        self._auth = auth
        self._lifespan = lifespan
        self._on_force = on_force
        self._on_reload = on_reload
        self._tell = teller(watchers)
        self._rooms = rooms or Rooms()
        self.unread = unread or Unread()
        self._way = way if way is not None and not way.direct else None
        self.failure = ""
        self.reload_settings: Callable[[], bool] | None = None
        self._state = AppState.NEW if lifespan is not None else AppState.RUNNING
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve ASGI: http, websocket, lifespan."""
        if scope["type"] == "http":
            exchange = ASGIExchange(scope, receive, send, self.body_timeout)
            if self._state is AppState.RUNNING:
                await self.respond(exchange)
            else:
                await self.refuse(exchange, self._not_running())
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)

    def force(self) -> None:
        """End what still runs."""
        if self._on_force is not None:
            self._on_force()

    def reload(self, config: Config) -> None:
        """Take other settings over, without touching what runs. Raises ConfigError, and then nothing has changed."""
        if self._on_reload is not None:
            self._auth = self._on_reload(config)

    async def respond(self, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        if self._way is not None:
            self._way.follow(exchange)
        head = ResponseHead(exchange.fields)
        record = Record(exchange.method, exchange.raw_path, head.request_id, exchange.client)
        current.set(record)
        held = Held(self._rooms, "")
        HELD.set(held)
        try:
            match = self._match(exchange, head)
            route = match.route
            record.route, head.form = route.path, route.form
            if route.public:
                caller = NOBODY
            else:
                headers, auth = exchange.headers, self._auth
                caller = auth.known(headers, head.origin) or await auth.authenticate(headers)
                if not caller.may(route.scopes):
                    raise _lacks(route.scopes)
            held.owner = exchange.owner = caller.owner
            record.caller = caller
            reply = await route.handler(HTTPRequest(exchange, match, caller, self.max_body, head, held))
            if reply is not None:
                record.status = reply.status
                exchange.send(reply.status, head.headers(reply), reply.body)
        except ClientGone:
            record.status = CLIENT_GONE
        except APIError as error:
            record.status = error.status
            self._send_error(exchange, head, error)
            error.__traceback__ = None  # it leads to all that the request has held
        except asyncio.CancelledError:
            record.status = CLIENT_GONE
            exchange.abort()
            raise
        except Exception:
            record.status = 500
            unexpected("request", log, "request %s: unexpected error", head.request_id)
            self._send_error(exchange, head, server_error())
        finally:
            self._tell(record)
            if held.size:
                held.close()
        if not exchange.response_complete:
            await exchange.finish()

    async def refuse(self, exchange: Exchange, error: APIError) -> None:
        """Answer what is not fit to be a request."""
        head = ResponseHead(exchange.fields)
        self._send_error(exchange, head, error)
        record = Record(exchange.method, exchange.raw_path, head.request_id, exchange.client)
        record.status = error.status
        self._tell(record)
        await exchange.finish()

    def _match(self, exchange: Exchange, head: ResponseHead) -> Match:
        """Return the route of a request that came by a name of ours. Raises APIError."""
        auth, path, host = self._auth, exchange.raw_path, exchange.fields.get(b"host")
        auth.visit(path, host)
        if exchange.direct_host is not None:  # a page may have named the other one
            auth.visit(path, exchange.direct_host)
        if head.origin is not None:
            head.shared = auth.shares(head.origin, host)
        if exchange.method == "OPTIONS":
            allowed = self.router.allowed(path) if path != b"*" else "GET, HEAD, OPTIONS, POST, DELETE"
            asked = preflight(exchange.headers, allowed.encode()) if head.shared else []
            return _answers(Reply(b"", 204, headers=[(b"allow", allowed.encode()), *asked]))
        return self.router.match(exchange.method, path)

    def _send_error(self, exchange: Exchange, head: ResponseHead, error: APIError) -> None:
        """Send an error in the form of its path; an answer that has begun is broken off instead."""
        if exchange.answered:
            exchange.abort()
            return
        head.form = self.router.form(exchange.raw_path)
        reply = head.form.error(error, head.request_id)
        exchange.send(reply.status, head.headers(reply), reply.body)

    async def _admit(self, headers: Sequence[Header], scopes: Set[str]) -> Caller:
        """Return the caller. Raises APIError 401, or 403 where it has none of the scopes."""
        caller = await self._auth.authenticate(headers)
        if not caller.may(scopes):
            raise _lacks(scopes)
        return caller

    # WebSocket

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = ASGIExchange({"method": "GET", "query_string": b"", **scope}, receive, send, self.body_timeout)
        if self._way is not None:
            self._way.follow(asked)
        headers, raw_path = asked.headers, asked.raw_path
        head = ResponseHead(asked.fields)
        record = Record("GET", raw_path, head.request_id, asked.client)
        await receive()
        try:
            if self._state is not AppState.RUNNING:
                raise self._not_running()
            self._auth.visit(raw_path, asked.fields.get(b"host"))
            if asked.direct_host is not None:
                self._auth.visit(raw_path, asked.direct_host)
            self._auth.check_socket(headers)
            handler = self.router.match_websocket(raw_path)
            record.route = plain_path(raw_path)
            caller = await self._admit(headers, WRITING)
            HELD.set(self._rooms.open(caller.owner))
        except APIError as error:
            record.status = error.status
            self._tell(record)
            await _refuse_websocket(scope, send, head.headers(error_reply(error)), error_reply(error))
            return
        await send({"type": "websocket.accept", "headers": [head.id_header]})
        socket = ASGIWebSocket(
            receive, send, caller.owner, head.request_id, lambda: self._admit(headers, WRITING), headers
        )
        try:
            await handler(socket)
        except ClientGone:
            return
        except ServerStopping:
            await socket.close(1012)
        except Exception:
            unexpected("websocket", log, "request %s: unexpected error on a WebSocket connection", head.request_id)
            await socket.close(1011)
        else:
            await socket.close()
        finally:
            record.status = UPGRADED
            self._tell(record)

    # Lifespan

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AntiphonApp]:
        """Start the application, and close it at the end; for hosts that run no ASGI lifespan for it.

        Raises RuntimeError when it runs already or was closed, and ConfigError.
        """
        if self._lifespan is None:
            yield self
            return
        if self._state is not AppState.NEW:
            raise RuntimeError(self._started_before())
        async with self._lifespan():
            self._state = AppState.RUNNING
            try:
                yield self
            finally:
                self._state = AppState.CLOSED

    def _started_before(self) -> str:
        return CLOSED if self._state is AppState.CLOSED else "This Antiphon application runs already."

    def _not_running(self) -> APIError:
        """Return the 500 for a request before the start, and log it once; or the 503 for one after the end."""
        if self._state is AppState.CLOSED:
            return APIError(503, CLOSED, code="server_shutdown")
        if not self._warned:
            self._warned = True
            log.error("application not started: requests are refused: %s", NOT_STARTED)
        return APIError(500, NOT_STARTED, code="not_started")

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._lifespan is not None and self._state is not AppState.NEW:
            await send({"type": "lifespan.startup.failed", "message": self._started_before()})
            return
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.running())
            except AntiphonError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _answers(reply: Reply) -> Match:
    """Return a public route whose answer is known."""

    async def handler(request: Request) -> Reply:
        return reply

    return Match(HttpRoute(method="OPTIONS", path="", handler=handler, public=True), "")


def _lacks(scopes: Set[str]) -> APIError:
    """Return the 403 for a caller who has none of the scopes."""
    needed = " or ".join(f"'{scope}'" for scope in sorted(scopes))
    return APIError(403, f"This request needs an API key with the scope {needed}.", code="insufficient_scope")


async def _refuse_websocket(scope: Scope, send: Send, headers: Sequence[Header], reply: Reply) -> None:
    """Answer a handshake with the one error body, on servers that can do that (ASGI's "websocket.http.response")."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})  # the server answers 403
        return
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": list(headers)})
    await send({"type": "websocket.http.response.body", "body": reply.body})
