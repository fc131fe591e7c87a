"""RelayedRequest: what is passed on to a route of a backend beside model calls, such as `/embeddings`, in all its forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

JSON_TYPE = b"application/json"

WriteBody = Callable[[str, Mapping[str, Raw]], bytes]
"""Writes a body: the backend's own name of the model, the operator's `extra_body` → bytes. Raises InvalidRequest."""


class RelayedForm(msgspec.Struct, frozen=True, kw_only=True):
    """One form of a request: where it goes, how its body is written.

    `endpoint` is below the base URL, with `from_root` below the server's root: the base URL without its `/v1`. A refusal with
    words of `not_taken` says that the server takes another form.
    """

    endpoint: str
    write: WriteBody
    content_type: bytes = JSON_TYPE
    from_root: bool = False
    not_taken: tuple[str, ...] = ()


class RelayedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in all its forms: the first is tried first, and the one that a server takes is remembered.

    `route` is our path, such as `/v1/embeddings`. `operation` is its name in traces. `size` is about how many bytes a body has.
    Requests with the same `key` go to one backend while it is not overloaded.
    """

    route: str
    operation: str
    forms: Sequence[RelayedForm]
    size: int = 0
    key: str = ""
