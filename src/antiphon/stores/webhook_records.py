"""Records of webhook endpoints."""

from __future__ import annotations

import msgspec


class StoredWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint of an owner. `secret` is sealed, `hint` shows its end; the one before signs too until `old_until`.

    `event_types` is a JSON array.
    """

    id: str
    owner: str
    name: str
    url: str
    event_types: bytes
    secret: str
    hint: str
    created_at: int
    updated_at: int
    old_secret: str = ""
    old_until: int = 0
