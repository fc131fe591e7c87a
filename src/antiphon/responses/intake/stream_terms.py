"""What a request wants of its stream: summaries of thoughts, seals on them, names of events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from antiphon.config import Config
from antiphon.core.async_tools import async_tools
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import Opaque, SealedThoughts
from antiphon.core.stream.terms import StreamTerms
from antiphon.responses.intake.draft import Draft
from antiphon.responses.sealing import Sealer, SealError

SEALED_REASONING = "reasoning.encrypted_content"

_PLAIN = {names: StreamTerms(open_responses_names=names) for names in (False, True)}


def stream_terms(draft: Draft, config: Config, sealer: Sealer) -> StreamTerms:
    """Return the terms of a request's stream."""
    request, owner = draft.request, draft.owner
    reasoning = request.reasoning
    if reasoning is None and not (draft.asked.tools or draft.rare or request.include):
        return _PLAIN[config.open_responses_names]
    summary = (reasoning.known_summary or reasoning.generate_summary) if reasoning else None
    sealed = SEALED_REASONING in (request.include or ())
    return StreamTerms(
        open_responses_names=config.open_responses_names,
        summarise=isinstance(summary, str) and summary != "none",
        asynchronous=partial(async_tools, draft.asked.tools, draft.shown),
        seal=partial(_sealed, sealer, owner) if sealed else None,
        seal_all=partial(_sealed, sealer, owner) if sealed else None,
        seal_found=partial(_sealed_found, sealer, owner) if sealed else None,
    )


def _sealed(sealer: Sealer, owner: str, text: str, opaque: Sequence[Opaque] = ()) -> str | None:
    """Return thoughts sealed for their owner, None where there are too many to be opened again."""
    try:
        if opaque:
            whole = to_json(SealedThoughts(text, tuple(opaque))).decode()
            return sealer.seal(whole, "thoughts", owner)
        return sealer.seal(text, "reasoning", owner)
    except SealError:
        return None


def _sealed_found(sealer: Sealer, owner: str, text: str) -> str | None:
    try:
        return sealer.seal(text, "found", owner)
    except SealError:
        return None
