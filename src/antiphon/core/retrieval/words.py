"""Words as the search index has them: folded, stemmed (Porter, 1980), and pairs of characters where a script has no spaces.

All databases index and search these words, so that all rank alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from unicodedata import combining, normalize

MOST_QUERY_WORDS = 64
LONGEST_WORD = 64  # characters; the rest of a longer one is not indexed
REMEMBERED_WORDS = 50_000

STOP_WORDS = frozenset(
    """
    a about above after again against all also am an and any are as at be because been before being below between both but by
    can could did do does doing down during each few for from further had has have having he her here hers herself him himself
    his how i if in into is it its itself just me more most my myself no nor not of off on once only or other our ours ourselves
    out over own same she should so some such than that the their theirs them themselves then there these they this those
    through to too under until up us very was we were what when where which while who whom why will with would you your yours
    yourself yourselves
    """.split()
)

_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]+)"
)


def words(text: str) -> list[str]:
    """Return the words of a text in their order, each as often as it occurs."""
    if text.isascii():
        return [stem(word) for word in _WORD.findall(text.lower())]
    found: list[str] = []
    for word in _WORD.findall(normalize("NFKC", text).casefold()):
        if word.isascii():
            found.append(stem(word))
        else:
            found += _folded(word)
    return found


def query_words(query: str) -> Sequence[str]:
    """Return the distinct words to search for: without stop words, unless there are no others."""
    spelled = list(_WORD.findall(normalize("NFKC", query).casefold()))
    telling = [word for word in spelled if word not in STOP_WORDS] or spelled
    return list(dict.fromkeys(words(" ".join(telling))))[:MOST_QUERY_WORDS]


@lru_cache(REMEMBERED_WORDS)
def _folded(word: str) -> tuple[str, ...]:
    """Return a word without accents; of characters without spaces between words all pairs."""
    found: list[str] = []
    for index, piece in enumerate(_UNSPACED.split(word)):
        if index % 2:
            found += [piece[start : start + 2] for start in range(max(1, len(piece) - 1))]
        elif piece:
            bare = "".join([one for one in normalize("NFD", piece) if not combining(one)])
            found.append(stem(bare) if bare.isascii() else bare[:LONGEST_WORD])
    return tuple(found)


# Porter's stemmer. A word is [C](VC)^m[V]; m is its measure.


@lru_cache(REMEMBERED_WORDS)
def stem(word: str) -> str:
    """Return the stem of an English word in lower case; others lose their usual ends as well, alike wherever they stand."""
    if not 2 < len(word) < LONGEST_WORD or not word.isalpha():
        return word[:LONGEST_WORD]
    word = _plurals(word)
    word = _past(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    for suffixes in (_STEP_2, _STEP_3):
        word = _replaced(word, suffixes)
    return _tidy(_without_suffix(word))


def _plurals(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        root = word.removesuffix(suffix)
        if root != word and _has_vowel(root):
            return _mended(root)
    return word


def _mended(root: str) -> str:
    if root.endswith(("at", "bl", "iz")):
        return root + "e"
    if _doubled(root) and root[-1] not in "lsz":
        return root[:-1]
    return root + "e" if _measure(root) == 1 and _short(root) else root


_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "logi": "log",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = tuple(
    "al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize".split()
)  # the longest that fits counts


def _replaced(word: str, suffixes: dict[str, str]) -> str:
    if not word.endswith((*suffixes,)):
        return word
    found = max((suffix for suffix in suffixes if word.endswith(suffix)), key=len, default="")
    root = word[: len(word) - len(found)]
    return root + suffixes[found] if found and _measure(root) > 0 else word


def _without_suffix(word: str) -> str:
    if not word.endswith(_STEP_4):
        return word
    found = max((suffix for suffix in _STEP_4 if word.endswith(suffix)), key=len, default="")
    root = word[: len(word) - len(found)]
    if not found or _measure(root) <= 1 or (found == "ion" and not root.endswith(("s", "t"))):
        return word
    return root


def _tidy(word: str) -> str:
    if word.endswith("e"):
        root = word[:-1]
        measure = _measure(root)
        if measure > 1 or (measure == 1 and not _short(root)):
            word = root
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word


_KINDS = str.maketrans(
    {letter: "v" if letter in "aeiou" else "c" for letter in map(chr, range(97, 123)) if letter != "y"}
)


def _kinds(word: str) -> str:
    """Return a word with `c` for consonants and `v` for vowels; `y` is a vowel behind a consonant."""
    kinds = word.translate(_KINDS)
    while (offset := kinds.find("y")) >= 0:
        kinds = kinds[:offset] + ("v" if offset and kinds[offset - 1] == "c" else "c") + kinds[offset + 1 :]
    return kinds


def _measure(word: str) -> int:
    return _kinds(word).count("vc")


def _has_vowel(word: str) -> bool:
    return "v" in _kinds(word)


def _doubled(word: str) -> bool:
    return word[-1:] == word[-2:-1] != "" and _kinds(word).endswith("c")


def _short(word: str) -> bool:
    return word[-1:] not in ("w", "x", "y") and _kinds(word).endswith("cvc")
