"""MCP over HTTP: streamable HTTP, and the HTTP with SSE of 2024 (specification, "Transports").

Every byte that a server sends is counted before it is kept; nothing is unpacked; redirects are followed within the origin.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from antiphon.tools.base import ToolServerError
from antiphon.tools.mcp.event_stream import MOST_HEADER, Counter, StreamEvent, body, events, unframed
from antiphon.tools.mcp.limits import Limits
from antiphon.tools.mcp.messages import WITHOUT_HANDSHAKE, RpcMessage, RpcRequest, messages, reply
from antiphon.tools.mcp.refusals import check, kind_of

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

MOST_OTHERS = 10_000
"""Messages that are no answer, such as progress, before the answer that is waited for."""
MOST_REPLIES = 16
"""Requests of a server that are answered while its answer is waited for."""
MOST_REDIRECTS = 3
MOST_RESUMPTIONS = 8
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a stream that broke off is taken up again."""


class StreamableChannel:
    """Streamable HTTP: each request is a POST, answered with JSON or with a stream that holds the answer.

    From revision 2026-07-28 on there is no session, and a stream that breaks off cannot be taken up again.
    """

    may_be_modern = True

    def __init__(self, url: str, http: AsyncClient, limits: Limits) -> None:
        self._url = url
        self._http = http
        self._limits = limits
        self._session = ""
        self._version = ""

    async def ask(self, request: RpcRequest) -> RpcMessage:
        """Send a request and return its answer. Raises ToolServerError, httpx2.HTTPError."""
        async with self._open("POST", request.body, request.headers) as response:
            self._learn(response)
            if kind_of(response) != "text/event-stream":
                answer = request.answer_among(messages(unframed(await body(response, self._limits.answer))))
                if answer is None:
                    raise ToolServerError("it answered another request than this one.")
                return answer
            answer, last = await self._from_stream(response, request)
        for _ in range(MOST_RESUMPTIONS):
            if answer is not None or not last.id or self._modern:
                break
            await asyncio.sleep(min(max((last.retry or 1000) / 1000, SHORTEST_PAUSE), LONGEST_PAUSE))
            async with self._open("GET", None, {"last-event-id": last.id}) as response:
                answer, last = await self._from_stream(response, request, last)
        if answer is None:
            raise ToolServerError("it ended its stream without an answer.")
        return answer

    async def tell(self, message: bytes) -> None:
        """Send a notification, or the answer to a server's request; what comes back is not read."""
        async with self._open("POST", message, {}, strict=False):
            pass

    def agree(self, version: str) -> None:
        """Know the revision of the protocol, which further requests name."""
        self._version = version

    async def close(self) -> None:
        """End the session."""
        import httpx2

        if self._session:
            with contextlib.suppress(httpx2.HTTPError, ToolServerError, TimeoutError):
                async with asyncio.timeout(1.0), self._open("DELETE", None, {}, strict=False):
                    pass

    @property
    def _modern(self) -> bool:
        return self._version == WITHOUT_HANDSHAKE

    @contextlib.asynccontextmanager
    async def _open(
        self, method: str, message: bytes | None, more: Mapping[str, str], *, strict: bool = True
    ) -> AsyncIterator[Response]:
        headers = {"accept": "application/json, text/event-stream", "content-type": "application/json", **more}
        headers |= {"mcp-session-id": self._session} if self._session else {}
        headers |= {"mcp-protocol-version": self._version} if self._version else {}
        async with _within_origin(self._http, method, self._url, message, headers) as response:
            if strict:
                await check(response, in_session=method == "POST" and bool(self._session))
            yield response

    def _learn(self, response: Response) -> None:
        session = response.headers.get("mcp-session-id", "")
        if session and len(session) <= MOST_HEADER and session.isascii() and session.isprintable() and not self._modern:
            self._session = session

    async def _from_stream(
        self, response: Response, request: RpcRequest, last: StreamEvent | None = None
    ) -> tuple[RpcMessage | None, StreamEvent]:
        """Read events until the answer comes. Returns it, and what to know to take the stream up where it broke off."""
        others = _Others()
        last = last or StreamEvent("", b"")
        async for event in events(response, self._limits.answer):
            last = StreamEvent("", b"", event.id or last.id, event.retry if event.retry is not None else last.retry)
            if not event.data or event.type != "message":
                continue
            found = messages(event.data)
            answer = request.answer_among(found)
            if answer is not None:
                return answer, last
            for one in others.asking(found):
                if not self._modern:
                    await self.tell(reply(one))
        return None, last


class SseChannel:
    """HTTP with SSE: one stream brings all answers; its first event names where requests are posted to."""

    may_be_modern = False

    def __init__(self, url: str, http: AsyncClient, limits: Limits) -> None:
        self._url = url
        self._http = http
        self._limits = limits
        self._stack = contextlib.AsyncExitStack()
        self._events: AsyncIterator[StreamEvent] | None = None
        self._counter = Counter(limits.answer)
        self._endpoint = ""
        self._one_by_one = asyncio.Lock()

    async def ask(self, request: RpcRequest) -> RpcMessage:
        """Send a request and return its answer. Raises ToolServerError, httpx2.HTTPError."""
        async with self._one_by_one:
            self._counter.left = self._limits.answer
            if self._events is None:
                await self._connect()
            # The answer may fill the stream before the POST is answered: both are read at once.
            posting = asyncio.ensure_future(self._post(request.body))
            try:
                return await self._answer(request, posting)
            finally:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)

    async def tell(self, message: bytes) -> None:
        """Send a notification, or the answer to a server's request."""
        await self._post(message)

    def agree(self, version: str) -> None:
        """Know the revision of the protocol: here it changes nothing."""

    async def close(self) -> None:
        """End the stream."""
        await self._stack.aclose()

    async def _connect(self) -> None:
        headers = {"accept": "text/event-stream"}
        response = await self._stack.enter_async_context(_within_origin(self._http, "GET", self._url, None, headers))
        await check(response, no_message=True)
        self._events = events(response, self._limits.answer, self._counter)
        async for event in self._events:
            if event.type == "endpoint":
                self._endpoint = urljoin(self._url, event.data.decode(errors="replace"))
                if _origin(self._endpoint) != _origin(self._url):
                    raise ToolServerError("it names an endpoint of another origin.")
                return
        raise ToolServerError("it names no endpoint.")

    async def _post(self, message: bytes) -> None:
        headers = {"content-type": "application/json"}
        async with _within_origin(self._http, "POST", self._endpoint, message, headers) as response:
            await check(response)

    async def _answer(self, request: RpcRequest, posting: asyncio.Future[None]) -> RpcMessage:
        assert self._events is not None
        others = _Others()
        while True:
            reading = asyncio.ensure_future(anext(self._events))
            try:
                waited: set[asyncio.Future[Any]] = {reading} if posting.done() else {reading, posting}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    posting.result()  # raises what became of the POST
                event = await reading
            except StopAsyncIteration:
                raise ToolServerError("it ended its stream without an answer.") from None
            finally:
                reading.cancel()
            if event.type != "message" or not event.data:
                continue
            found = messages(event.data)
            answer = request.answer_among(found)
            if answer is not None:
                return answer
            for one in others.asking(found):
                await self.tell(reply(one))


# Reading


class _Others:
    """Counts what a server sends before an answer."""

    def __init__(self) -> None:
        self._messages = self._replies = 0

    def asking(self, found: Sequence[RpcMessage]) -> list[RpcMessage]:
        """Return the messages that want a reply. Raises ToolServerError where too many have come that are no answer."""
        asked = [one for one in found if one.method is not None and one.id is not None]
        self._messages += len(found)
        self._replies += len(asked)
        if self._messages > MOST_OTHERS or self._replies > MOST_REPLIES:
            raise ToolServerError("it sent too many messages before its answer.")
        return asked


# Asking


@contextlib.asynccontextmanager
async def _within_origin(
    http: AsyncClient, method: str, url: str, message: bytes | None, headers: Mapping[str, str]
) -> AsyncIterator[Response]:
    """Make a request, following redirects that keep its method and its origin. Raises ToolServerError, httpx2.HTTPError."""
    for _ in range(MOST_REDIRECTS + 1):
        async with http.stream(method, url, content=message, headers=dict(headers)) as response:
            if response.status_code not in (307, 308):
                yield response
                return
            target = urljoin(url, response.headers.get("location", ""))
        if _origin(target) != _origin(url):
            raise ToolServerError("it redirects to another origin, which is not followed.")
        url = target
    raise ToolServerError(f"it redirects more than {MOST_REDIRECTS} times.")


def _origin(url: str) -> tuple[Any, ...]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", url)
