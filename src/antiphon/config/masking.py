"""Masking of keys, addresses and file paths in texts of backends and other servers.

The operator's own secrets are known by their values (`know`), in the forms in which servers repeat them; all others by what
they look like. Every pattern is linear: each begins where a word begins, and none repeats what another repetition may take.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from antiphon.config.shapes import shapes
from antiphon.config.structs import Config
from antiphon.config.tables import SECRET_QUERY, Settings

SHORTEST = 6
"""Characters: a shorter value is a word like any other, and would be taken out of every text."""
LONGEST_TEXT = 16 * 1024
"""Characters of a text that are looked at; what comes behind them is cut off."""

KEY, ADDRESS, PATH = "[key]", "[address]", "[path]"
_NO_SECRETS = frozenset(("bearer", "default", "no-key", "not-needed", "nokey", "secret", "token-abc123"))

_KEYS = (
    # JSON Web Tokens; keys of known services
    (re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]*){0,4}", re.ASCII), KEY),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}", re.ASCII), KEY),
    (re.compile(r"\bAIza[\w-]{20,}", re.ASCII), KEY),
    (
        re.compile(
            r"\b(?:gh[pousr]|github_pat|glpat|xox[a-z]|hf|whsec|gsk|xai|nvapi|r8|pplx|csk|tgp)[-_][\w-]{8,}", re.ASCII
        ),
        KEY,
    ),
    (re.compile(r"\b(?:sk|pk|rk|key)[-_][\w\-*.]{8,}", re.ASCII), KEY),
    (re.compile(r"\b(?:sk|pk|key) (?=[a-z_\-*.]*[0-9*])[\w\-*.]{8,}", re.ASCII), KEY),
    (re.compile(r"\b(?:Bearer|Basic)[-_ ]\s{0,4}[\w\-*.+/=~]{8,}", re.IGNORECASE | re.ASCII), KEY),
    # name=value and "name": "value"
    (
        re.compile(
            r"\b(?P<name>(?:[a-z0-9]{1,20}[-_]){0,3}"
            r"(?:api-?key|apikey|key|token|secret|passwd|password|pwd|authorization|credentials?|signature|sig))"
            r"(?P<sign>[\"']?\s{0,4}[=:]\s{0,4}[\"']?)(?P<value>[^\s\"'&,;<>{}()\[\]]{8,})",
            re.IGNORECASE | re.ASCII,
        ),
        rf"\g<name>\g<sign>{KEY}",
    ),
    (re.compile(r"-----BEGIN [A-Z ]{0,40}-----[^-]*(?:-----END [A-Z ]{0,40}-----)?", re.ASCII), KEY),
)
_PLACES = (
    # machines
    (re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])", re.ASCII), ADDRESS),
    (
        re.compile(r"\[[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8}(?:%\w{1,16})?\](?::\d{1,5})?", re.IGNORECASE | re.ASCII),
        ADDRESS,
    ),
    (
        re.compile(
            r"(?<![\w.\-/@])[a-z][a-z0-9-]{0,62}(?:(?:\.[a-z0-9-]{1,63}){1,8}:\d{2,5}|:\d{4,5})(?![\w.:])",
            re.IGNORECASE | re.ASCII,
        ),
        ADDRESS,
    ),
    (
        re.compile(
            r"(?<![\w.\-/@])(?:localhost|[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,7}"
            r"\.(?:internal|local|localdomain|lan|intranet|corp|svc))(?![\w-])",
            re.IGNORECASE | re.ASCII,
        ),
        ADDRESS,
    ),
    # files
    (
        re.compile(
            r"(?<![\w./])/(?:home|root|usr|opt|var|etc|tmp|mnt|srv|app|workspace|data|Users|private|proc|run|build|lib|nix"
            r"|code|models?|dev|sys|media|snap|venv|site-packages)/[^\s\"'<>|,;:()]+"
        ),
        PATH,
    ),
    (re.compile(r"(?<!\w)[A-Za-z]:\\[^\s\"'<>|,;:()]+"), PATH),
)
_URLS = (re.compile(r"\b[a-z][a-z0-9+.-]{0,31}://[^\s\"'<>]+", re.IGNORECASE), ADDRESS)
_PATTERNS = (_URLS, *_KEYS, *_PLACES)
_USER = re.compile(r"(?<=://)[^/@\s]{1,512}(?=@)")


class Secrets:
    """The operator's own secrets. `know` may be called again: when the settings change."""

    def __init__(self) -> None:
        self._words: tuple[str, ...] = ()
        self._bytes: tuple[bytes, ...] = ()

    def know(self, values: Iterable[str]) -> None:
        """Take out these values from now on, in every form in which a server may repeat them."""
        words = {form for value in values if _is_secret(value) for form in _forms(value)}
        self._words = tuple(sorted(words, key=len, reverse=True))
        self._bytes = tuple(word.encode() for word in self._words)

    def hide(self, text: str) -> str:
        """Return a text without them."""
        for word in self._words:
            if word in text:
                text = text.replace(word, KEY)
        return text

    def hide_in_bytes(self, data: bytes) -> bytes:
        """Return UTF-8 without them."""
        for word in self._bytes:
            if word in data:
                data = data.replace(word, KEY.encode())
        return data

    def begun(self, data: bytes) -> int:
        """Return how many of the last bytes may be the beginning of one."""
        return max((_begun(word, data) for word in self._bytes), default=0)


def _begun(word: bytes, data: bytes) -> int:
    return next((size for size in range(min(len(word) - 1, len(data)), 0, -1) if data.endswith(word[:size])), 0)


class MaskedErrors:
    """A stream of bytes whose errors do not tell the operator's secrets, however it is cut; what comes before passes as it is."""

    __slots__ = ("_held", "_last", "_secrets", "_seen")

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._seen = False
        self._last = self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be passed on; b"" is the end, where all that was held back is returned."""
        if not self._seen:
            around = self._last + data[: len(_ERROR)]
            if _ERROR not in data and _ERROR not in around:
                self._last = data[-len(_ERROR) :] if len(data) >= len(_ERROR) else around[-len(_ERROR) :]
                return data
            self._seen = True
        shown = self._secrets.hide_in_bytes(self._held + data)
        held = self._secrets.begun(shown) if data else 0
        self._held = shown[len(shown) - held :]
        return shown[: len(shown) - held]


_ERROR = b'"error"'


def _is_secret(value: str) -> bool:
    return len(value) >= SHORTEST and value.lower() not in _NO_SECRETS


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="")
    yield msgspec.json.encode(value).decode()[1:-1]
    packed = base64.b64encode(value.encode()).decode().rstrip("=")
    yield packed
    yield packed.replace("+", "-").replace("/", "_")


SECRETS = Secrets()
"""Those of this process."""


def masked(text: str, limit: int | None = None) -> str:
    """Return a text as a client may see it: `limit` characters of it at most. Linear in its length."""
    text = SECRETS.hide(text[:LONGEST_TEXT])
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text if limit is None else text[:limit]


def masked_for_operators(text: str) -> str:
    """Return a text for the log: without keys and passwords, but with addresses and paths, which operators need."""
    text = _USER.sub(KEY, SECRETS.hide(text))
    for pattern, instead in _KEYS:
        text = pattern.sub(instead, text)
    return text


def secrets_of(config: Config) -> Iterator[str]:
    """Yield every secret of the settings: those that are marked as such, and those inside of URLs."""
    yield from _values(config)


def _values(settings: Any) -> Iterator[str]:
    table: type[Settings] = type(settings)
    for shape in shapes(table):
        value = getattr(settings, shape.name)
        if shape.secret:
            yield from _texts(value)
        else:
            yield from _inside(value)


def _inside(value: Any) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        yield from _values(value)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _inside(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _inside(entry)
    elif isinstance(value, str) and "://" in value:
        yield from _passwords(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a secret setting; of a header such as `Bearer KEY` the key alone, too."""
    if isinstance(value, dict):
        value = list(value.values())
    for text in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(text, str) and text:
            yield text
            yield text.rsplit(" ", 1)[-1]


def _passwords(url: str) -> Iterator[str]:
    for _, value in SECRET_QUERY.findall(url):
        yield value
        yield unquote(value)
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
