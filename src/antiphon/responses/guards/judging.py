"""Looks of a Guard: cut into calls of bounded size, within its timeout; texts of requests that it passed are remembered."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.core.guards.base import GuardText, GuardVerdict
from antiphon.errors import APIError
from antiphon.responses.guards.base import LONGEST_TEXT, MOST_TEXTS, OVERLAP, NamedGuard

log = logging.getLogger("antiphon.responses.guards")

MOST_KNOWN = 4096
"""Texts of which each process remembers a guard's verdict."""


class Judge:
    """Asks one Guard. Raises APIError 503 where it fails, unless it passes what it cannot look at."""

    def __init__(self, named: NamedGuard) -> None:
        assert named.guard is not None
        self._named = named
        self._guard = named.guard
        self._known: OrderedDict[bytes, GuardVerdict] = OrderedDict()

    async def verdicts(self, texts: Sequence[GuardText], *, remembered: bool = False) -> Sequence[GuardVerdict]:
        """Return a verdict for each text. `remembered`: they are texts of a request, which come again in the next one."""
        found: dict[int, GuardVerdict] = {}
        keys = [_digest(text) for text in texts] if remembered else []
        for place, key in enumerate(keys):
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                found[place] = known
        pieces = [(place, piece) for place, text in enumerate(texts) if place not in found for piece in _pieces(text)]
        for start in range(0, len(pieces), MOST_TEXTS):
            some = pieces[start : start + MOST_TEXTS]
            verdicts = await self._ask([piece for _, piece in some])
            for (place, _), verdict in zip(some, verdicts, strict=True):
                found[place] = verdict if place not in found else _worse(found[place], verdict)
        for place, key in enumerate(keys):
            self._known[key] = found[place]
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return [found[place] for place in range(len(texts))]

    async def _ask(self, texts: Sequence[GuardText]) -> Sequence[GuardVerdict]:
        name = self._named.name
        try:
            async with asyncio.timeout(self._named.config.timeout):
                verdicts = list(await self._guard.check(texts))
            if len(verdicts) != len(texts):
                raise ValueError(f"{len(verdicts)} verdicts for {len(texts)} texts")
            return verdicts
        except TimeoutError:
            log.warning("guard %s: did not answer within %g seconds", name, self._named.config.timeout)
        except APIError as error:
            log.warning("guard %s: failed: %s", name, error.message)
        except (
            Exception
        ) as error:  # a guard of another package: whatever it raises is its failure; its words may hold the text
            log.warning("guard %s: failed: %s", name, type(error).__name__)
        raise unavailable(name)


def unavailable(name: str) -> APIError:
    """Return the 503 for a guard that fails."""
    return APIError(503, f"The content guard '{name}' is not available at present.", code="guard_unavailable")


def _digest(text: GuardText) -> bytes:
    return hashlib.blake2b(f"{text.place}\0{text.text}".encode(errors="surrogatepass"), digest_size=16).digest()


def _pieces(text: GuardText) -> list[GuardText]:
    if len(text.text) <= LONGEST_TEXT:
        return [text]
    step = LONGEST_TEXT - OVERLAP
    return [
        GuardText(text.place, text.text[start : start + LONGEST_TEXT])
        for start in range(0, len(text.text) - OVERLAP, step)
    ]


def _worse(one: GuardVerdict, other: GuardVerdict) -> GuardVerdict:
    """Return the verdict on two pieces of a text."""
    scores = {**one.scores, **{name: max(score, one.scores.get(name, 0.0)) for name, score in other.scores.items()}}
    flags = {**one.flags, **{name: flag or one.flags.get(name, False) for name, flag in other.flags.items()}}
    return replace(one, flagged=one.flagged or other.flagged, scores=scores, flags=flags)
