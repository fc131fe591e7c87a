"""GBNF, the grammar notation of llama.cpp and XGrammar: literals, classes, and regular expressions put into it.

All of it takes time in proportion to the length of what it reads, times the depth of its parentheses; both have a bound.
"""

from __future__ import annotations

from antiphon.errors import AntiphonError

MOST_CHARACTERS = 32_768  # of a definition
MOST_DEPTH = 64  # parentheses within each other


class GrammarError(AntiphonError, ValueError):
    """A grammar uses what GBNF cannot say."""


class GrammarFault(GrammarError):
    """A grammar is wrong in itself, or beyond the bounds."""


def check_size(definition: str) -> None:
    """Refuse a definition that is too long, or holds what no grammar can. Raises GrammarFault."""
    if len(definition) > MOST_CHARACTERS:
        raise GrammarFault(f"It has {len(definition)} characters; at most {MOST_CHARACTERS} are translated.")
    for char in definition:
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise GrammarFault(f"It holds the character U+{ord(char):04X}.")


def character(digits: str, size: int) -> str:
    """Return the character of a hexadecimal escape of `size` digits. Raises GrammarFault."""
    if len(digits) != size or not set(digits) <= _HEXADECIMAL or int(digits, 16) > 0x10FFFF:
        raise GrammarFault("A wrong escape.")
    char = chr(int(digits, 16))
    if "\ud800" <= char <= "\udfff":
        raise GrammarFault("An escape stands for half of a surrogate pair.")
    return char


_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")

_LITERAL = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_IN_CLASS = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "]": "\\]", "[": "\\[", "\\": "\\\\", "^": "\\x5E", "-": "\\x2D"}
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "a": "\a"}
_SETS = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\r\\x0B\\x0C"}


def literal(text: str, *, ignore_case: bool = False) -> str:
    """Return a text as a literal; where case does not count, letter by letter."""
    if not ignore_case:
        return '"' + "".join(_LITERAL.get(char) or _escaped(char) for char in text) + '"'
    return " ".join(_letter(char) for char in text) or '""'


def _letter(char: str) -> str:
    low, high = char.lower(), char.upper()
    return f"[{class_char(low)}{class_char(high)}]" if low != high and len(low) == len(high) == 1 else literal(char)


def class_char(char: str) -> str:
    """Return a character as it stands in a class."""
    return _IN_CLASS.get(char) or _escaped(char)


def _escaped(char: str) -> str:
    return char if char >= " " and char != "\x7f" else f"\\x{ord(char):02X}"


def regex_to_gbnf(pattern: str, flags: str = "") -> str:
    """Return an expression for a regular expression.

    Raises GrammarError for lookarounds, back references and the like, and GrammarFault for what is no regular expression.
    """
    check_size(pattern)
    reader = _Regex(pattern, flags)
    expression = reader.alternatives()
    if reader.offset < len(pattern):
        raise GrammarFault("An unmatched ')'.")
    return expression


def is_count(text: str) -> bool:
    """Tell whether a text is a number of repetitions, of nine digits at most."""
    return len(text) <= 9 and text.isascii() and text.isdigit()


class _Regex:
    """Reads a regular expression from left to right."""

    def __init__(self, pattern: str, flags: str) -> None:
        if set(flags) - set("imsu"):
            raise GrammarError(f"The flags '{flags}' are not supported.")
        self.offset = 0
        self._pattern = pattern
        self._depth = 0
        self._ignore_case = "i" in flags
        self._any = "[^\\x00]" if "s" in flags else "[^\\n]"

    def alternatives(self) -> str:
        """Read up to the end or a closing parenthesis."""
        branches = [self._sequence()]
        while self._next() == "|":
            self.offset += 1
            branches.append(self._sequence())
        return " | ".join(branch or '""' for branch in branches)

    def _next(self) -> str:
        return self._pattern[self.offset] if self.offset < len(self._pattern) else ""

    def _take(self) -> str:
        char = self._next()
        if not char:
            raise GrammarFault("The expression ends in the middle.")
        self.offset += 1
        return char

    def _sequence(self) -> str:
        parts: list[str] = []
        while self._next() not in ("", "|", ")"):
            if self._next() in "^$":
                # The whole input is what has to match: anchors at its ends say nothing new.
                self.offset += 1
                continue
            atom = self._atom()
            parts.append(atom + self._quantifier())
        return " ".join(part for part in parts if part)

    def _atom(self) -> str:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return self._any
        if char == "\\":
            return self._escape()
        if char in "*+?{":
            raise GrammarFault("A quantifier without an expression.")
        return literal(char, ignore_case=self._ignore_case)

    def _group(self) -> str:
        if self._next() == "?":
            self.offset += 1
            kind = self._take()
            if kind == "P" and self._next() == "<":
                self._take()
                kind = "<"
            if kind == "<" and self._next() not in "=!":
                while self._take() != ">":
                    pass
            elif kind != ":":
                raise GrammarError("Lookarounds and flags inside an expression are not supported.")
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise GrammarFault(f"Its parentheses are nested deeper than {MOST_DEPTH} levels.")
        inner = self.alternatives()
        if self._take() != ")":
            raise GrammarFault("An unmatched '('.")
        self._depth -= 1
        return f"({inner})"

    def _escape(self) -> str:
        char = self._take()
        if char.lower() in _SETS:
            return f"[{'^' if char.isupper() else ''}{_SETS[char.lower()]}]"
        if char in "AZz":
            return ""
        return literal(self._escaped_char(char), ignore_case=self._ignore_case)

    def _escaped_char(self, char: str) -> str:
        if char in "xu":
            size = 2 if char == "x" else 4
            digits, self.offset = self._pattern[self.offset : self.offset + size], self.offset + size
            return character(digits, size)
        if char in _CONTROL:
            return _CONTROL[char]
        if char.isalnum():
            raise GrammarError(f"'\\{char}' is not supported.")
        return char

    def _class(self) -> str:
        parts = ["["]
        if self._next() == "^":
            self.offset += 1
            parts.append("^")
        first = True
        while first or self._next() != "]":
            parts.append(self._class_part())
            first = False
        self.offset += 1
        return "".join(parts) + "]"

    def _class_part(self) -> str:
        low = self._class_item()
        if len(low) > 1 or self._next() != "-" or self._pattern[self.offset + 1 : self.offset + 2] in ("]", ""):
            return low if len(low) > 1 else self._cased(low)
        self.offset += 1
        high = self._class_item()
        if len(high) > 1:
            raise GrammarFault("A range without an end.")
        return self._range(low, high)

    def _range(self, low: str, high: str) -> str:
        if low > high:
            raise GrammarFault(f"The range from {low!r} to {high!r} is empty.")
        text = f"{class_char(low)}-{class_char(high)}"
        if self._ignore_case and low.isalpha() and high.isalpha():
            first, last = low.swapcase(), high.swapcase()
            if len(first) == len(last) == 1 and first <= last:
                return f"{text}{class_char(first)}-{class_char(last)}"
        return text

    def _cased(self, char: str) -> str:
        both = {char, char.lower(), char.upper()} if self._ignore_case else {char}
        return "".join(class_char(one) for one in sorted(both) if len(one) == 1)

    def _class_item(self) -> str:
        """Read one character, or a set such as `\\d`, which comes back as a class's inside."""
        char = self._take()
        if char != "\\":
            return char
        char = self._take()
        if char in _SETS:
            return _SETS[char]
        if char.lower() in _SETS:
            raise GrammarError("A negated set inside a class is not supported.")
        return "\b" if char == "b" else self._escaped_char(char)

    def _quantifier(self) -> str:
        char = self._next()
        if char in ("*", "+", "?"):
            self.offset += 1
            found = char
        elif char == "{":
            end = self._pattern.find("}", self.offset)
            low, comma, high = self._pattern[self.offset + 1 : end].partition(",")
            if end < 0 or not is_count(low.strip()) or (high.strip() and not is_count(high.strip())):
                raise GrammarFault("A wrong number of repetitions.")
            if comma and high.strip() and int(low) > int(high):
                raise GrammarFault("A repetition's lowest number is above its highest.")
            self.offset = end + 1
            found = f"{{{low.strip()}{comma}{high.strip()}}}"
        else:
            return ""
        # What a lazy or possessive quantifier matches is the same.
        if self._next() in ("?", "+"):
            self.offset += 1
        return found
