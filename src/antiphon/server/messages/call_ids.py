"""Ids of calls: any backend's ↔ those that clients of the Messages API take (letters, digits, `_` and `-`), without memory."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

CODED = "toolu_0x"
LONGEST = 1024
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def shown_id(call_id: str) -> str:
    """Return the id that a client gets: the backend's own where it fits, else that in base64."""
    if call_id and _PLAIN.issuperset(call_id) and not call_id.startswith(CODED):
        return call_id
    return CODED + urlsafe_b64encode(call_id.encode("utf-8", "replace")).decode().rstrip("=")


def own_id(shown: str) -> str:
    """Return the backend's id of a shown one."""
    if not shown.startswith(CODED) or len(shown) > LONGEST:
        return shown
    digits = shown[len(CODED) :]
    try:
        return urlsafe_b64decode(digits + "=" * (-len(digits) % 4)).decode()
    except ValueError:
        return shown
