"""Events of a backend that speaks Responses itself: what of them is rewritten, and what counts at their end."""

from __future__ import annotations

from json import loads

import msgspec
from msgspec import Raw

from antiphon.core.emitter import to_json
from antiphon.errors import BackendError
from antiphon.types.response import IncompleteDetails, ResponseError, Usage


class RelayedEnd(msgspec.Struct, frozen=True):
    """What counts of another server's terminal response."""

    output: list[Raw] = []
    usage: Usage | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None


def relayed_fields(fields: dict[str, Raw], base: int) -> bytes:
    """Return an event's fields without its number; `output_index` is counted from `base`."""
    pairs = []
    for name, value in fields.items():
        if name in ("type", "sequence_number"):
            continue
        if name == "output_index" and base:
            value = Raw(b"%d" % (int(bytes(value)) + base))
        pairs.append(b"%b:%b" % (to_json(name), bytes(value)))
    return b",".join(pairs)


def relayed_error(fields: dict[str, Raw]) -> BackendError:
    """Return the error that an `error` event of either shape tells of."""
    flat = {name: loads(bytes(value)) for name, value in fields.items()}
    inner = flat.get("error") if isinstance(flat.get("error"), dict) else flat
    assert isinstance(inner, dict)
    return BackendError(
        502, str(inner.get("message") or "The backend failed."), code=str(inner.get("code") or "backend_error")
    )
