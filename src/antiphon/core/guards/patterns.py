"""Patterns: words and regular expressions as one, which takes time linear in a text (RE2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.errors import ConfigError

MOST_MEMORY = 64 * 1024 * 1024  # bytes that RE2 may take for one list

_LETTER = r"[^\pL\pN_]"
_UNSPACED = 0x0E00
"""From here on most scripts write no spaces between words (Thai, Chinese, Japanese): a word is found inside of others."""


class Patterns:
    """The words and expressions of one guard; `path` is the setting that they come from. Raises ConfigError.

    Words are found as such, in upper or lower case.
    """

    def __init__(self, words: Sequence[str], patterns: Sequence[str], path: str) -> None:
        self._rules: list[tuple[str, Any]] = []
        sources = []
        for index, pattern in enumerate(patterns):
            where = f"{path}.patterns[{index}]"
            compiled = _compiled(pattern, where)
            if compiled.search("") is not None:
                raise ConfigError(f"{where}: fits an empty text, and so every text")
            self._rules.append((f"patterns[{index}]", compiled))
            sources.append(f"(?:{pattern})")
        for index, word in enumerate(words):
            if not word.strip():
                raise ConfigError(f"{path}.words[{index}]: is empty")
            self._rules.append((f"words[{index}]", _compiled(_word(word), f"{path}.words[{index}]")))
            sources.append(_word(word))
        self._all = _compiled("|".join(sources), path)

    def find(self, text: str, start: int = 0) -> tuple[int, int] | None:
        """Return where the first match at or behind `start` begins and ends; the expressions know what stands before.

        A text with lone surrogates has to be made `encodable` before.
        """
        found = self._all.search(text, start)
        if found is None:
            return None
        begin, end = found.span()
        return begin, end

    def rule(self, text: str) -> str:
        """Return the name of the first rule that a text breaks, as the settings have it; "" for none."""
        return next((name for name, rule in self._rules if rule.search(text) is not None), "")


def encodable(text: str) -> str:
    """Return a text without lone surrogates, which RE2 cannot read; it has as many characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _word(word: str) -> str:
    before = f"(?:^|{_LETTER})" if _spaced(word[0]) else ""
    behind = f"(?:$|{_LETTER})" if _spaced(word[-1]) else ""
    import re2

    return f"(?i:{before}{re2.escape(word)}{behind})"


def _spaced(edge: str) -> bool:
    """Tell whether a word with this letter at its edge ends there; one with a sign at its edge is found anywhere."""
    return ord(edge) < _UNSPACED and (edge.isalnum() or edge == "_")


def _compiled(pattern: str, where: str) -> Any:
    import re2  # not without need: no other part of the server uses it

    options = re2.Options()
    options.max_mem = MOST_MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(encodable(pattern), options)
    except re2.error as error:
        words = error.args[0] if error.args else b""
        said = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
        raise ConfigError(f"{where}: is no regular expression of RE2: {said}") from None
