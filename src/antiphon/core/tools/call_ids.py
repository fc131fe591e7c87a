"""Ids of calls: unique towards clients, in the form that a backend takes towards backends. Pure.

Clients carry ids from one backend to another: after a fallback or a change of the model, a backend reads ids that another one
has made. An id that is not in the backend's form becomes one that follows from it, the same for a call and its output and in
each later request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Literal, get_args

IdForm = Literal["auto", "plain", "short", "counted", "keep"]
"""`plain`: letters, digits, `_` and `-`, at most 40. `short`: nine letters or digits (Mistral). `counted`: `functions.NAME:0`,
counted over the conversation (Kimi). `keep`: as they come. `auto`: nobody has said anything, which means `plain`."""

_LONGEST_PLAIN = 40
_SHORT = re.compile(r"[A-Za-z0-9]{9}")
_NUMBERED = re.compile(r"([^:]{0,128}:)([0-9]{1,9})")


def is_plain(id: str) -> bool:
    """Tell whether all known backends take an id. A regular expression would take five times as long."""
    if len(id) > _LONGEST_PLAIN or not id.isascii():
        return False
    return id.isidentifier() or id.replace("_", "a").replace("-", "a").isalnum()


def _is_short(id: str) -> bool:
    return _SHORT.fullmatch(id) is not None


def _never(id: str) -> bool:
    return False


def _always(id: str) -> bool:
    return True


def _plain(id: str, name: str, index: int) -> str:
    return f"call_{_digest(id, 12)}"


def _short(id: str, name: str, index: int) -> str:
    return _digest(id, 8)[:9]


def _counted(id: str, name: str, index: int) -> str:
    return f"functions.{name}:{index}"


def _digest(id: str, size: int) -> str:
    return blake2b(id.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


_FORMS: dict[IdForm, tuple[Callable[[str], bool], Callable[[str, str, int], str]]] = {
    "auto": (is_plain, _plain),
    "plain": (is_plain, _plain),
    "short": (_is_short, _short),
    "counted": (_never, _counted),
    "keep": (_always, _plain),
}
"""Whether an id is in a form, and what instead of an id that is not."""

assert set(_FORMS) == set(get_args(IdForm))


LONGEST_OF_RESPONSES = 64  # characters of a `call_id` that servers of the Responses API take


def responses_id(id: str) -> str:
    """Return a `call_id` as servers of the Responses API take it: any text, but no long one."""
    return id if len(id) <= LONGEST_OF_RESPONSES else _plain(id, "", 0)


class FreshIds:
    """Gives ids that are not taken yet, as near to the wanted ones as can be.

    A number behind a colon is raised: Kimi's models are trained on ids that count the calls of the whole conversation
    (`functions.read:0`, `functions.read:1`).
    """

    __slots__ = ("_next", "_taken")

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def take(self, id: str, instead: str = "") -> str:
        """Return the id, or where it is taken `instead` or one like it; it is taken from now on."""
        if id in self._taken:
            id = self._other(id, instead)
        self._taken.add(id)
        return id

    def _other(self, id: str, instead: str) -> str:
        numbered = _NUMBERED.fullmatch(id)
        if numbered is None and instead and instead not in self._taken:
            return instead
        base, number = (numbered[1], int(numbered[2])) if numbered else (f"{id}_", 1)
        number = max(self._next.get(base, 0), number + 1)
        while f"{base}{number}" in self._taken:
            number += 1
        self._next[base] = number + 1
        return f"{base}{number}"


class BackendIds(FreshIds):
    """Gives the calls of one conversation their ids, in order: no two are the same."""

    __slots__ = ("_fits", "_made")

    def __init__(self, form: IdForm) -> None:
        super().__init__()
        self._fits, self._made = _FORMS[form]

    def copy(self) -> BackendIds:
        """Return others that go on as these would."""
        other = BackendIds.__new__(BackendIds)
        other._taken, other._next = self._taken.copy(), self._next.copy()
        other._fits, other._made = self._fits, self._made
        return other

    def next(self, id: str, name: str) -> str:
        """Return the id of the next call, which calls the function of that name."""
        if id in self._taken:
            id = self._other(id, "")
        self._taken.add(id)  # one for each call
        return id if self._fits(id) else self._made(id, name, len(self._taken) - 1)
