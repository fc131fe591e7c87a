"""Grammars of custom tools (Lark, regular expressions) → GBNF, the notation of llama.cpp and XGrammar."""

from __future__ import annotations


class GrammarError(ValueError):
    """A grammar uses what GBNF cannot say."""


def lark_to_gbnf(grammar: str) -> str:
    """Translate a Lark grammar. Raises GrammarError."""
    raise GrammarError("not yet")


def regex_to_gbnf(pattern: str) -> str:
    """Translate a regular expression. Raises GrammarError."""
    raise GrammarError("not yet")
