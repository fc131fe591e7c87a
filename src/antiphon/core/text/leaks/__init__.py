"""Tool calls that a backend leaks as text: streaming filters that turn them back into calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from antiphon.core.text.leaks.base import Found, LeakedCall, LeakFilter, Offered
from antiphon.core.text.leaks.harmony import HarmonyFilter
from antiphon.core.text.leaks.json_calls import HermesFilter, LlamaFilter, MistralFilter
from antiphon.core.text.leaks.marked_calls import DeepSeekFilter, QwenXmlFilter

__all__ = ["FILTERS", "Found", "LeakFilter", "LeakedCall", "Offered", "open_filters"]

FILTERS: dict[str, Callable[[Offered], LeakFilter]] = {
    "harmony": HarmonyFilter,
    "hermes": HermesFilter,
    "qwen_xml": QwenXmlFilter,
    "mistral": MistralFilter,
    "llama": LlamaFilter,
    "deepseek": DeepSeekFilter,
}


def open_filters(leaks: Sequence[str], offered: Offered) -> list[LeakFilter]:
    """Return the filters of these kinds, in this order; only tools that were `offered` are called."""
    return [FILTERS[leak](offered) for leak in leaks]
