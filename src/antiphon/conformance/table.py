"""All checks, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.conformance.base import Area, Check
from antiphon.conformance.checks import (
    background,
    batches,
    chat,
    conversations,
    errors,
    files,
    messages,
    models,
    responses,
    state,
    streaming,
    structured,
    tools,
    vector_stores,
    vectors,
    websocket,
)

AREAS: Sequence[Area] = (
    models.AREA,
    responses.AREA,
    streaming.AREA,
    tools.AREA,
    structured.AREA,
    errors.AREA,
    state.AREA,
    conversations.AREA,
    background.AREA,
    websocket.AREA,
    chat.AREA,
    messages.AREA,
    vectors.EMBEDDINGS_AREA,
    vectors.MODERATIONS_AREA,
    files.AREA,
    batches.AREA,
    vector_stores.AREA,
)


def checks_of(only: Sequence[str] = ()) -> list[Check]:
    """Return the checks of some areas, all without any. An area is named by the beginning of its name."""
    areas = [area for area in AREAS if not only or any(area.name.startswith(name) for name in only)]
    return [check for area in areas for check in area.checks]
