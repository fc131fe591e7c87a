"""A guard of your own: no prices in answers.

A package adds it to the server with an entry point, and the configuration names it:

    # pyproject.toml of the package
    [project.entry-points."antiphon.guards"]
    prices = "examples.custom_guard:NoPrices"

    # antiphon.toml
    [guards.prices]
    kind = "prices"
    looks_at = ["text"]
    options = {currencies = ["€", "$"]}

It is shown an answer window by window, each with what came before it; nothing of a window is passed on before its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from antiphon import GuardConfig, GuardText, GuardVerdict


class NoPrices:
    """What the entry point names: called once, with the guard's name and its settings."""

    def __init__(self, name: str, config: GuardConfig) -> None:
        self._signs = [str(sign) for sign in config.options.get("currencies", ["€"])]

    async def check(self, texts: Sequence[GuardText]) -> Sequence[GuardVerdict]:
        """Return a verdict for each text; an exception is a failure of the guard (setting `on_failure`)."""
        return [self._verdict(text.text) for text in texts]

    def _verdict(self, text: str) -> GuardVerdict:
        priced = any(sign in text for sign in self._signs)
        return GuardVerdict(flagged=priced, scores={"price": float(priced)}, flags={"price": priced})

    async def close(self) -> None:
        """Free what is held."""
