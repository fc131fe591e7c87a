"""Which endpoint of a model a call goes to: where its KV cache is, if that one is not overloaded; else the least busy one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from antiphon.backends.routing.member import Member

SLACK = 2.0
OVERLOAD = 1.5
"""A member with more calls than `SLACK + OVERLOAD * average` is overloaded: affinity doesn't count then."""


class Endpoint(msgspec.Struct, frozen=True):
    """A model on a backend, under the backend's own name for it."""

    member: Member
    name: str


def least_busy(endpoints: Sequence[Endpoint], turn: int) -> list[Endpoint]:
    """Return the endpoints, best first: those that are well, that have room, that have few calls. Equals take turns."""
    turned = [*endpoints[turn:], *endpoints[:turn]]
    return sorted(turned, key=_burden)


def _burden(endpoint: Endpoint) -> tuple[bool, bool, int]:
    member = endpoint.member
    return member.avoided, not member.has_room, member.outstanding


def preferred(endpoints: Sequence[Endpoint], backend_id: str, key: str) -> Endpoint | None:
    """Return the endpoint that has probably seen the beginning of a prompt, or None.

    That is the backend (`backend_id`) that answered an earlier call of the same turn, else the one that the `key` falls to, by
    rendezvous hashing: so that all replicas agree, and the loss of one backend moves its own keys only.
    """
    if backend_id:
        for endpoint in endpoints:
            if endpoint.member.backend_id == backend_id and _bearable(endpoint, endpoints):
                return endpoint
    if key:
        for endpoint in sorted(endpoints, key=lambda one: _weight(one.member.backend_id, key), reverse=True):
            if _bearable(endpoint, endpoints):
                return endpoint
    return None


def _bearable(endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> bool:
    member = endpoint.member
    average = sum(one.member.outstanding for one in endpoints) / len(endpoints)
    return not member.avoided and member.has_room and member.outstanding <= SLACK + OVERLOAD * average


def _weight(backend_id: str, key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=backend_id.encode(), digest_size=8).digest()
