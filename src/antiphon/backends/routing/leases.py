"""Leases: a call's slot at a backend, released exactly once, however the call ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from antiphon.backends.base import ByteStream, RelayedAnswer, Take, TurnStream
from antiphon.backends.routing.member import Member
from antiphon.core.fast_path import FastPath, offer, unwatch
from antiphon.errors import APIError, BackendError
from antiphon.types.response import Usage


class Lease(msgspec.Struct, eq=False):
    """The slot of one call at a member, which is taken already."""

    member: Member | None

    def end(self) -> None:
        """Give it back. Idempotent."""
        if self.member is not None:
            self.member.give_back()
            self.member = None

    def broke(self, error: APIError) -> None:
        """Give it back after the backend failed in the middle of its answer."""
        if self.member is not None and isinstance(error, BackendError):
            self.member.failed(error)
        self.end()


class Releasable(Protocol):
    """What a call holds until it ends."""

    def end(self) -> None:
        """Give it back. Idempotent."""
        ...

    def broke(self, error: APIError) -> None:
        """Give it back after the backend failed in the middle of its answer."""
        ...


class LeasedStream(msgspec.Struct, eq=False):
    """A TurnStream that gives its lease back when it ends, fails or is aborted.

    `ignored` names the wishes that the backend was not told; streams of other packages' backends name none.
    """

    _inner: TurnStream
    _lease: Releasable
    backend_id: str
    ignored: Sequence[str] = ()

    async def pour(self, take: Take) -> bool:
        try:
            ended = await self._inner.pour(take)
        except APIError as error:
            self._lease.broke(error)
            raise
        if ended:
            self._lease.end()
            self.ignored = getattr(self._inner, "ignored", ())
        return ended

    def offer(self, path: FastPath) -> None:
        """Pass the fast path on."""
        offer(self._inner, path)

    def unwatched(self) -> None:
        """Pass on that nobody looks at Deltas."""
        unwatch(self._inner)

    def abort(self) -> None:
        self._lease.end()
        self._inner.abort()


class LeasedBytes:
    """The same for a ByteStream."""

    def __init__(self, inner: ByteStream, lease: Releasable) -> None:
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

    @property
    def incomplete(self) -> bool:
        return self._counting.incomplete

    def usage(self) -> Usage | None:
        return self._counting.usage()
