"""One HTTP request, as handlers see it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import msgspec

from antiphon.access.caller import Caller
from antiphon.core.request.json_text import MOST_VALUES, check_json
from antiphon.runtime.offload import LARGE, by_size
from antiphon.runtime.request_memory import SMALL, Held
from antiphon.server.http.body import BOM, INLINE, check_content_type, encoding, too_large, unpack
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.messages import ByteSink, ClientGone, Header
from antiphon.server.http.response_head import ResponseHead
from antiphon.server.http.router import Match


class HTTPRequest(msgspec.Struct, eq=False):
    """A request on an Exchange."""

    _exchange: Exchange
    _match: Match
    caller: Caller
    _max_body: int
    _head: ResponseHead
    _held: Held
    _query: Mapping[str, Sequence[str]] | None = None

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return self._exchange.method

    @property
    def path(self) -> str:
        """The path without query and without `/v1`."""
        return self._match.path

    @property
    def params(self) -> Mapping[str, str]:
        """The path's variables, percent-decoded."""
        return self._match.params

    @property
    def owner(self) -> str:
        """Whose request it is."""
        return self.caller.owner

    @property
    def request_id(self) -> str:
        """The id that the answer names."""
        return self._head.request_id

    @property
    def root_path(self) -> str:
        """Where the application is mounted, such as `/ai`; "" at the root."""
        return self._exchange.root_path

    @property
    def slash_at_end(self) -> bool:
        """Whether the path came with a slash at its end, which `path` has not."""
        return self._exchange.raw_path.endswith(b"/")

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """The query's values by name; `include[]` counts as `include`."""
        if self._query is None:
            self._query = _parse_query(self._exchange.query_string)
        return self._query

    def header(self, name: bytes) -> bytes | None:
        """Return a header by its lower-case name."""
        return self._exchange.fields.get(name)

    def headers(self, name: bytes) -> list[bytes]:
        """Return all headers of a lower-case name, as they came."""
        return [value for key, value in self._exchange.headers if key == name]

    async def body(
        self, *, form: bool = False, most: int = 0, values: int = MOST_VALUES, checked: bool = True
    ) -> bytes:
        """Return the body, decompressed: JSON, or a `form` with files. `most`: bytes; of a form instead of `max_body`.

        `checked`: it has passed `check_json`, else that is left to whoever decodes it. It is held until the request is answered.
        Raises APIError 413, 415, 408, 400, 429 or 503, and ClientGone.
        """
        fields = self._exchange.fields
        check_content_type(fields.get(b"content-type"), form=form)
        packing = encoding(self._exchange.headers) if b"content-encoding" in fields else ""
        length = fields.get(b"content-length")
        declared = int(length) if length is not None and length.isdigit() else -1
        most = most if form and most else min(most or self._max_body, self._max_body)
        if declared > most:
            raise too_large(most)
        if declared >= SMALL:
            self._held.take(declared)
        body = await self._exchange.read_body(most, self._held.take if declared < 0 else None)
        if packing:
            body = await self._unpacked(body, packing, most)
        if form:
            return body
        body = body.removeprefix(BOM)
        if not checked:
            return body
        if len(body) < LARGE:
            return check_json(body, "", values)
        return await by_size(len(body), check_json, body, "", values)

    async def _unpacked(self, body: bytes, packing: str, most: int) -> bytes:
        """Undo a packing; nobody knows before how large the body becomes, so the most that it may is held meanwhile."""
        packed = len(body)
        if packed > INLINE:
            self._held.take(most)
        body = await unpack(body, packing, most)
        self._held.take(len(body) - packed - (most if packed > INLINE else 0))
        return body

    async def part(self, limit: int) -> bytes:
        """Return the next part of the body as it came, b"" at its end. Raises APIError 413 or 408, and ClientGone."""
        length = self.header(b"content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            raise too_large(limit)
        return await self._exchange.read_part(limit)

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
        """Send the head of a streamed answer. Raises ClientGone, also after a HEAD request: nobody wants the rest."""
        extra = headers if any(name == b"cache-control" for name, _ in headers) else (*_UNCACHED, *headers)
        sink = self._exchange.begin(status, self._head.begin(content_type, extra), length)
        if self.method == "HEAD":
            await sink.close()
            raise ClientGone
        return sink

    def cancel_on_disconnect(self) -> None:
        """Cancel the task at hand when the client goes away before the answer is complete (at once if it has gone already).

        No coroutine keeps the task in a variable: its end would lead back to it, by the traceback, and all that the request
        held would wait for the garbage collector.
        """
        task = asyncio.current_task()
        assert task is not None
        self._exchange.on_disconnect(task.cancel)


# Proxies hold streams back, nginx unless it is told not to, others to compress them.
_UNCACHED: Sequence[Header] = ((b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no"))


def _parse_query(query_string: bytes) -> Mapping[str, Sequence[str]]:
    query: dict[str, list[str]] = {}
    for name, values in parse_qs(query_string.decode("latin-1"), keep_blank_values=True).items():
        query.setdefault(name.removesuffix("[]"), []).extend(values)
    return query
