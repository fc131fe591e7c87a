"""Prices of tokens, for cost budgets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from antiphon.config import ModelConfig


class Price(msgspec.Struct, frozen=True):
    """Price of a million tokens."""

    input: float
    cached: float
    output: float

    def of(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Return a cost."""
        cached = min(cached_tokens, input_tokens)
        fresh = input_tokens - cached
        return (fresh * self.input + cached * self.cached + output_tokens * self.output) / 1e6


def prices(models: Mapping[str, ModelConfig]) -> dict[str, Price]:
    """Return the configured prices by model id."""
    return {
        id: Price(model.price_input, _cached_price(model), model.price_output)
        for id, model in models.items()
        if model.price_input or model.price_output
    }


def _cached_price(model: ModelConfig) -> float:
    return model.price_input if model.price_cached is None else model.price_cached


FREE_OF_CHARGE = Price(0.0, 0.0, 0.0)
