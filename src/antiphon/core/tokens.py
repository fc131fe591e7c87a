"""How many tokens a Turn's input has, where nobody can say: an estimate that learns from what backends report."""

from __future__ import annotations

import msgspec

from antiphon.core.emitter import to_json
from antiphon.core.turn import Turn

BYTES_PER_TOKEN = 4.0
_SMOOTHING = 0.2


def size(turn: Turn) -> int:
    """Return the bytes of a Turn's input as JSON: items, instructions and tools."""
    return len(to_json(turn.items)) + len(to_json(turn.instructions or "")) + len(to_json(turn.tools))


class Estimator:
    """Tokens per byte, model by model, calibrated by the usage of real calls."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}
        self._seen: dict[str, int] = {}

    def estimate(self, turn: Turn) -> int:
        """Return about how many tokens the input has; at least 1."""
        return max(1, round(size(turn) * self._ratios.get(turn.model, 1 / BYTES_PER_TOKEN)))

    def learn(self, turn: Turn, input_tokens: int) -> None:
        """Take in a real count. Only the first calls and then one in 32 are looked at: the size costs a pass over the input."""
        seen = self._seen.get(turn.model, 0)
        self._seen[turn.model] = seen + 1
        if input_tokens <= 0 or (seen >= 8 and seen % 32):
            return
        ratio = input_tokens / max(1, size(turn))
        known = self._ratios.get(turn.model)
        self._ratios[turn.model] = ratio if known is None else known + _SMOOTHING * (ratio - known)


def replace_items(turn: Turn, items: list[object]) -> Turn:
    """Return the Turn with other items."""
    return msgspec.structs.replace(turn, items=items)
