"""Fields of chat completions that a Response has no place for: a request with one is refused, rather than half answered.

Others, such as `stop` or `seed`, reach a chat backend as they came, and do there what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from antiphon.core.request.validation import decode_any
from antiphon.errors import InvalidRequest


def _any(value: object) -> bool:
    return True


def _several(value: object) -> bool:
    return value not in (1, None)


def _sounds(value: object) -> bool:
    return value not in (["text"], [], None)


REFUSED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "messages": (_any, "Unsupported parameter: 'messages' is not supported here. Use 'input' instead."),
    "max_tokens": (_any, "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_output_tokens' instead."),
    "n": (_several, "Unsupported parameter: a response is one answer, so 'n' can only be 1."),
    "modalities": (_sounds, "Unsupported parameter: answers are text, so 'modalities' can only be [\"text\"]."),
}
"""By name: which of its values are refused, and with which words."""


def check_chat_fields(extra: Mapping[str, Raw]) -> None:
    """Refuse what a chat backend would answer with more than a Response can tell. Raises InvalidRequest."""
    for name, (is_refused, words) in REFUSED.items():
        if name in extra and is_refused(decode_any(extra[name], name)):
            raise InvalidRequest(words, param=name, code="unsupported_parameter")
