"""Leases: a call's slot at a backend, released exactly once, however the call ends."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.base import ByteStream, RelayedAnswer, Take, TurnStream
from antiphon.backends.routing.member import Member
from antiphon.errors import APIError, BackendError
from antiphon.types.response import Usage


class Lease:
    """The slot of one call at a member, which is taken already."""

    __slots__ = ("_member",)

    def __init__(self, member: Member) -> None:
        self._member: Member | None = member

    def end(self) -> None:
        """Give it back. Idempotent."""
        if self._member is not None:
            self._member.give_back()
            self._member = None

    def broke(self, error: APIError) -> None:
        """Give it back after the backend failed in the middle of its answer."""
        if self._member is not None and isinstance(error, BackendError):
            self._member.failed(error)
        self.end()


class LeasedStream:
    """A TurnStream that gives its lease back when it ends, fails or is aborted."""

    __slots__ = ("_inner", "_lease", "backend_id")

    def __init__(self, inner: TurnStream, lease: Lease, backend_id: str) -> None:
        self.backend_id = backend_id
        self._inner = inner
        self._lease = lease

    @property
    def ignored(self) -> Sequence[str]:
        """Names of the wishes that the backend was not told; streams of other packages' backends name none."""
        ignored: Sequence[str] = getattr(self._inner, "ignored", ())
        return ignored

    async def pour(self, take: Take) -> bool:
        try:
            ended = await self._inner.pour(take)
        except APIError as error:
            self._lease.broke(error)
            raise
        if ended:
            self._lease.end()
        return ended

    def abort(self) -> None:
        self._lease.end()
        self._inner.abort()


class LeasedBytes:
    """The same for a ByteStream."""

    def __init__(self, inner: ByteStream, lease: Lease) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._inner = inner
        self._lease = lease

    async def read(self) -> bytes:
        try:
            data = await self._inner.read()
        except APIError as error:
            self._lease.broke(error)
            raise
        if not data:
            self._lease.end()
        return data

    def abort(self) -> None:
        self._lease.end()
        self._inner.abort()


class LeasedMessages(LeasedBytes):
    """The same for the answer to a relayed Messages request."""

    def __init__(self, inner: RelayedAnswer, lease: Lease) -> None:
        super().__init__(inner, lease)
        self._counting = inner

    @property
    def said(self) -> int:
        return self._counting.said

    def usage(self) -> Usage | None:
        return self._counting.usage()
