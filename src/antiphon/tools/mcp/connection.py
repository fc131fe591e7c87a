"""McpConnection: a channel to an MCP server, and the revision of the protocol that both sides speak over it.

Revision 2026-07-28 has no handshake: every request says what is to be known. A server of it is told by its answer to
`server/discover`; any other answer leads to the handshake of earlier revisions ("Backward Compatibility"). What a server
turned out to be is remembered, so that later connections ask at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from msgspec import Raw

from antiphon import __version__
from antiphon.errors import InvalidRequest
from antiphon.tools.base import ToolServerError
from antiphon.tools.mcp import messages as rpc
from antiphon.tools.mcp.eras import Eras
from antiphon.tools.mcp.limits import Limits
from antiphon.tools.mcp.messages import RpcMessage, RpcRequest
from antiphon.tools.mcp.param_headers import header_value
from antiphon.tools.mcp.refusals import HttpRefusal, NotAllowed

LONGEST_PROBE = 5.0
"""Seconds in which a server answers `server/discover`, or counts as one of an earlier revision."""

_US = {"name": "antiphon", "version": __version__}
_META = {
    f"io.modelcontextprotocol/{name}": value
    for name, value in {
        "protocolVersion": rpc.WITHOUT_HANDSHAKE,
        "clientInfo": _US,
        "clientCapabilities": {},
    }.items()
}
_OTHER_TRANSPORT = (400, 404, 405)
"""HTTP statuses by which a server says that it speaks another transport ("Backward Compatibility")."""
_MODERN_ERRORS = (rpc.HEADER_MISMATCH, rpc.LACKS_CAPABILITY, rpc.UNSUPPORTED_VERSION)


class Channel(Protocol):
    """The way to a server: messages out, answers in."""

    may_be_modern: bool
    """Whether a server behind such a channel may do without a handshake."""

    async def ask(self, request: RpcRequest) -> RpcMessage:
        """Send a request and return its answer. Raises ToolServerError, OSError, httpx2.HTTPError."""
        ...

    async def tell(self, message: bytes) -> None:
        """Send a message that is not answered."""
        ...

    def agree(self, version: str) -> None:
        """Know the revision of the protocol that both sides speak."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class McpConnection:
    """An open connection. `makes` give new channels, one for each transport to try; `address` is where the server is.

    `session`: the server is to keep something between calls. Over HTTP it can tell whose they are by a session only, which the
    revision without a handshake does not have: servers that speak both are asked for the earlier one then.
    """

    def __init__(
        self,
        makes: Sequence[Callable[[], Channel]],
        limits: Limits,
        eras: Eras,
        address: str,
        *,
        session: bool = False,
    ) -> None:
        self._makes = makes
        self._make = makes[0]
        self._limits = limits
        self._eras = eras
        self._address = address
        self._session = session
        self._channel = self._make()
        self._version = ""
        self._next_id = 0

    @property
    def modern(self) -> bool:
        """Tell whether the server does without a handshake."""
        return self._version == rpc.WITHOUT_HANDSHAKE

    async def open(self) -> None:
        """Find the transport and agree on a revision. Raises ToolServerError, OSError, httpx2.HTTPError."""
        first: HttpRefusal | None = None
        for make in self._makes:
            if first is not None:
                await self._anew(make)
            try:
                return await self._agree_on_revision()
            except HttpRefusal as refusal:
                first = first or refusal
                if refusal.status not in _OTHER_TRANSPORT:
                    break
            except (rpc.RpcError, NotAllowed):
                raise
            except ToolServerError:
                if first is None:
                    raise
                break
        assert first is not None
        raise first

    async def _anew(self, make: Callable[[], Channel]) -> None:
        await self._channel.close()
        self._make, self._channel = make, make()

    async def _agree_on_revision(self) -> None:
        modern = self._channel.may_be_modern and not self._session
        known = self._eras.get(self._address) if modern else False
        if known is None:
            known = await self._discover()
            if known:
                self._eras.learn(self._address, True)
        if known:
            self._agree(rpc.WITHOUT_HANDSHAKE)
            return
        self._agree("")
        await self._shake_hands()
        if not self._session:
            self._eras.learn(self._address, self.modern)

    async def ask(
        self,
        method: str,
        params: Mapping[str, object],
        *,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        progressed: Callable[[], None] | None = None,
    ) -> Raw:
        """Send a request and return its result. `name` is what it is about. Raises RpcError and what `open` raises."""
        self._next_id += 1
        meta: dict[str, object] = dict(_META) if self.modern else {}
        if progressed is not None:
            meta["progressToken"] = self._next_id
        if meta:
            params = {**params, "_meta": meta}
        sent = {"mcp-method": method, **({"mcp-name": header_value(name)} if name else {}), **(headers or {})}
        request = RpcRequest(
            id=self._next_id,
            method=method,
            body=rpc.request(self._next_id, method, params),
            headers=sent if self.modern else {},
            progressed=progressed or rpc.nobody,
        )
        return rpc.result(await self._channel.ask(request))

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()

    def _agree(self, version: str) -> None:
        self._version = version
        self._channel.agree(version)

    async def _discover(self) -> bool:
        """Tell whether the server does without a handshake. Raises NotAllowed, and what says that nobody is there."""
        self._agree(rpc.WITHOUT_HANDSHAKE)
        try:
            async with asyncio.timeout(min(LONGEST_PROBE, self._limits.timeout / 4)):
                return rpc.WITHOUT_HANDSHAKE in rpc.discovered(await self.ask("server/discover", {}))
        except TimeoutError:
            return False  # a program may still be starting: it keeps its channel
        except rpc.RpcError as error:
            if error.code in _MODERN_ERRORS and rpc.WITHOUT_HANDSHAKE in error.supported:
                return True
        except (InvalidRequest, OSError):
            raise
        except Exception as error:
            if isinstance(error, NotAllowed) and error.status == HTTPStatus.UNAUTHORIZED:
                raise  # 403 may be meant for the method: there are gateways that know those of earlier revisions only
            if "Connect" in type(error).__name__:  # the HTTP client's: nobody is there
                raise
            await self._anew(self._make)
        return False

    async def _shake_hands(self) -> None:
        try:
            answer = await self._initialize(rpc.WITH_HANDSHAKE[0])
        except rpc.RpcError as error:
            offered = [version for version in rpc.WITH_HANDSHAKE if version in error.supported]
            if offered:  # it is to choose one itself, but some servers want one of theirs to be asked for
                answer = await self._initialize(offered[0])
            elif error.code in (rpc.NO_SUCH_METHOD, *_MODERN_ERRORS):
                self._agree(rpc.WITHOUT_HANDSHAKE)
                return
            else:
                raise
        self._agree(rpc.version(answer))
        await self._channel.tell(rpc.request(None, "notifications/initialized"))

    async def _initialize(self, version: str) -> Raw:
        return await self.ask("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": _US})
