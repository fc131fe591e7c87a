"""What a response is in the columns of a table, the same for SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import msgspec

from antiphon.stores.records import StoredResponse


def columns(response: StoredResponse) -> dict[str, Any]:
    """Return the value of each column; `foreign_ids` is a JSON object, or None where there are none."""
    start, end = response.output_span
    return {
        "id": response.id,
        "owner": response.owner,
        "model": response.model,
        "status": response.status,
        "created_at": response.created_at,
        "expires_at": response.expires_at,
        "background": response.background,
        "previous_response_id": response.previous_response_id,
        "conversation_id": response.conversation_id,
        "output_start": start,
        "output_end": end,
        "foreign_ids": msgspec.json.encode(response.foreign_ids) if response.foreign_ids else None,
        "input": response.input,
        "body": response.body,
        "model_texts": response.model_texts or None,
    }
