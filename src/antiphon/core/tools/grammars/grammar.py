"""Lark grammars of custom tools → GBNF."""

from __future__ import annotations

import re
from itertools import pairwise

from antiphon.core.tools.grammars.gbnf import (
    MOST_DEPTH,
    GrammarError,
    GrammarFault,
    character,
    check_size,
    class_char,
    is_count,
    literal,
)
from antiphon.core.tools.grammars.gbnf import regex_to_gbnf as _expression

__all__ = ["GrammarError", "GrammarFault", "lark_to_gbnf", "regex_to_gbnf"]

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f]+|//[^\n]*|\#[^\n]*|\\\r?\n)
  | (?P<line>\n\s*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"i?)
  | (?P<regex>/(?!/)(?:[^/\\\n]|\\.)+/[imslux]*)
  | (?P<directive>%[a-z]+)
  | (?P<range>\.\.)
  | (?P<priority>\.-?[0-9]+)
  | (?P<alias>->\s*[a-z_][a-z0-9_]*)
  | (?P<name>[!?]*[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9]+)
  | (?P<mark>[:|()\[\]*+?~.,{}])
    """,
    re.VERBOSE,
)

# Lark's library of terminals, as far as grammars import them.
_COMMON = {
    "LF": '"\\n"',
    "CR": '"\\r"',
    "NEWLINE": '("\\r"? "\\n")+',
    "WS": "[ \\t\\x0C\\r\\n]+",
    "WS_INLINE": "[ \\t]+",
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[a-fA-F0-9]",
    "INT": "[0-9]+",
    "SIGNED_INT": "[+\\x2D]? [0-9]+",
    "DECIMAL": '([0-9]+ "." [0-9]* | "." [0-9]+)',
    "FLOAT": '([0-9]+ [eE] [+\\x2D]? [0-9]+ | ([0-9]+ "." [0-9]* | "." [0-9]+) ([eE] [+\\x2D]? [0-9]+)?)',
    "NUMBER": '([0-9]+ ("." [0-9]*)? | "." [0-9]+) ([eE] [+\\x2D]? [0-9]+)?',
    "SIGNED_NUMBER": '[+\\x2D]? ([0-9]+ ("." [0-9]*)? | "." [0-9]+) ([eE] [+\\x2D]? [0-9]+)?',
    "ESCAPED_STRING": '"\\"" ([^"\\\\\\n] | "\\\\" [^\\n])* "\\""',
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[a-zA-Z]",
    "WORD": "[a-zA-Z]+",
    "CNAME": "[a-zA-Z_] [a-zA-Z0-9_]*",
}

Token = tuple[str, str]


def regex_to_gbnf(pattern: str) -> str:
    """Translate a regular expression into a grammar. Raises GrammarError."""
    return f"root ::= {_expression(pattern)}\n"


def lark_to_gbnf(grammar: str) -> str:
    """Translate a grammar whose start is `start`.

    Raises GrammarError for templates and other things that GBNF has not, and GrammarFault for what Lark itself would refuse.
    """
    check_size(grammar)
    return _Lark(_tokens(grammar)).translate()


def _tokens(grammar: str) -> list[Token]:
    tokens: list[Token] = []
    offset = 0
    while offset < len(grammar):
        found = _TOKEN.match(grammar, offset)
        if found is None or found.lastgroup is None:
            raise GrammarFault(f"The grammar cannot be read at {grammar[offset : offset + 20]!r}.")
        offset = found.end()
        if found.lastgroup != "space":
            tokens.append((found.lastgroup, found[0]))
    return [*_joined(tokens), ("line", "\n")]


def _joined(tokens: list[Token]) -> list[Token]:
    """Drop the line breaks before a `|`: the definition goes on."""
    return [
        token
        for token, after in pairwise([*tokens, ("line", "")])
        if not (token[0] == "line" and after == ("mark", "|"))
    ]


class _Lark:
    """Reads the definitions, then writes them."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._offset = 0
        self._rules: dict[str, str] = {}
        self._used: set[str] = set()
        self._depth = 0
        self._ignored: list[str] = []
        self._in_rule = False
        # What is ignored may follow each terminal: whether there is such a thing has to be known first.
        self._ignores = ("directive", "%ignore") in tokens

    def translate(self) -> str:
        """Return the whole grammar."""
        while self._offset < len(self._tokens):
            self._definition()
        for name in sorted(self._used - self._rules.keys()):
            raise GrammarFault(f"'{name}' is not defined.")
        if "start" not in self._rules:
            raise GrammarFault("There is no rule 'start'.")
        lines = [f"{_name(name)} ::= {body}" for name, body in self._rules.items()]
        if self._ignores:
            lines.append(f"ignored ::= ({' | '.join(self._ignored)})*")
        before = "ignored " if self._ignores else ""
        return "\n".join([f"root ::= {before}{_name('start')}", *lines]) + "\n"

    # Tokens

    def _next(self) -> Token:
        return self._tokens[self._offset] if self._offset < len(self._tokens) else ("line", "")

    def _take(self) -> Token:
        token = self._next()
        self._offset += 1
        return token

    def _takes(self, mark: str) -> bool:
        if self._next() == ("mark", mark):
            self._offset += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._takes(mark):
            raise GrammarFault(f"'{mark}' is missing before {self._next()[1]!r}.")

    # Definitions

    def _definition(self) -> None:
        kind, text = self._take()
        if kind == "line":
            return
        if kind == "directive":
            self._directive(text)
            return
        if kind != "name":
            raise GrammarFault(f"A definition cannot begin with {text!r}.")
        if self._next()[0] == "priority":
            self._take()
        self._expect(":")
        name = text.lstrip("!?")
        self._in_rule = not name.lstrip("_")[:1].isupper()
        self._rules[name] = self._alternatives()

    def _directive(self, text: str) -> None:
        if text == "%import":
            self._import()
        elif text == "%ignore":
            self._in_rule = False
            self._ignored.append(self._alternatives())
        else:
            raise GrammarError(f"{text} is not supported.")

    def _import(self) -> None:
        words = []
        while self._next()[0] != "line":
            words.append(self._take())
        names = [text for kind, text in words if kind == "name"]
        alias = next((text.removeprefix("->").strip() for kind, text in words if kind == "alias"), None)
        if names[:1] != ["common"] or (alias is not None and len(names) != 2):
            raise GrammarError("Only terminals of 'common' can be imported.")
        for name in names[1:]:
            if name not in _COMMON:
                raise GrammarError(f"Unknown terminal '{name}' of 'common'.")
            self._rules[alias or name] = _COMMON[name]

    # Expressions

    def _alternatives(self) -> str:
        branches = [self._sequence()]
        while self._takes("|"):
            branches.append(self._sequence())
        return " | ".join(branch or '""' for branch in branches)

    def _sequence(self) -> str:
        parts: list[str] = []
        while True:
            kind, text = self._next()
            if kind == "alias":
                self._take()
            elif kind == "line" or (kind == "mark" and text in "|)]"):
                return " ".join(parts)
            else:
                parts.append(self._repeated(self._atom()))

    def _repeated(self, atom: str) -> str:
        kind, text = self._next()
        if kind == "mark" and text in "*+?":
            self._take()
            return f"({atom}){text}"
        if not self._takes("~"):
            return atom
        low = high = self._count()
        if self._next()[0] == "range":
            self._take()
            high = self._count()
        if int(low) > int(high):
            raise GrammarFault(f"The repetition '{low}..{high}' is empty.")
        return f"({atom}){{{low},{high}}}"

    def _count(self) -> str:
        kind, text = self._take()
        if kind != "number" or not is_count(text):
            raise GrammarFault(f"{text!r} is no number of repetitions.")
        return text

    def _atom(self) -> str:
        kind, text = self._take()
        if kind == "mark" and text in "([":
            self._depth += 1
            if self._depth > MOST_DEPTH:
                raise GrammarFault(f"Its parentheses are nested deeper than {MOST_DEPTH} levels.")
            inner = self._alternatives()
            self._expect(")" if text == "(" else "]")
            self._depth -= 1
            return f"({inner})" if text == "(" else f"({inner})?"
        if kind == "string":
            return self._terminal(self._string(text))
        if kind == "regex":
            end = text.rindex("/")
            return self._terminal(f"({_expression(text[1:end].replace(chr(92) + '/', '/'), text[end + 1 :])})")
        if kind == "name" and self._next() != ("mark", "{"):
            return self._reference(text)
        if kind == "name":
            raise GrammarError(f"The template '{text}' is not supported.")
        raise GrammarFault(f"{text!r} cannot stand here.")

    def _reference(self, name: str) -> str:
        self._used.add(name)
        is_terminal = name.lstrip("_")[:1].isupper()
        return self._terminal(_name(name)) if is_terminal else _name(name)

    def _string(self, text: str) -> str:
        ignore_case = text.endswith("i")
        value = _unquoted(text.removesuffix("i"))
        if self._next()[0] != "range":
            return literal(value, ignore_case=ignore_case)
        self._take()
        kind, end = self._take()
        last = _unquoted(end) if kind == "string" and not end.endswith("i") else ""
        if len(value) != 1 or len(last) != 1 or value > last or ignore_case:
            raise GrammarFault(f"{text}..{end} is no range of characters.")
        return f"[{class_char(value)}-{class_char(last)}]"

    def _terminal(self, expression: str) -> str:
        return f"{expression} ignored" if self._in_rule and self._ignores else expression


def _unquoted(text: str) -> str:
    """Return what a string in quotes stands for, as Lark reads it. Raises GrammarFault."""
    return _ESCAPE.sub(_unescaped, text[1:-1])


_ESCAPE = re.compile(r"\\(x.{0,2}|u.{0,4}|U.{0,8}|.)", re.DOTALL)
_CONTROL = {"n": "\n", "f": "\f", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def _unescaped(found: re.Match[str]) -> str:
    kind, digits = found[1][0], found[1][1:]
    if kind in _SIZES:
        return character(digits, _SIZES[kind])
    return _CONTROL.get(kind) or f"\\{kind}"  # Lark keeps the backslash before any other character


_SIZES = {"x": 2, "u": 4, "U": 8}


def _name(name: str) -> str:
    """Return a rule's name as GBNF takes it: no underscores, none of our own names."""
    return "l-" + name.replace("_", "-")
