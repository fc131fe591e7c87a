"""Mutations of JSON values and of bytes, drawn from a seeded generator."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from msgspec import Raw

Path = tuple[str | int, ...]


def _raw(text: str) -> Raw:
    return Raw(text.encode())


NAMES = (
    'z":0,"model":"gpt-scripted","y',
    "",
    "\x00",
    "type",
    "__proto__",
    "model",
    "ünïcode",
    "a" * 5000,
    "\n\ndata: [DONE]\n\n",
    "\\",
    "$ref",
    "stream_id",
    "encrypted_content",
    "id",
    "status",
    "\u2028",
)

TEXTS = (
    "", " ", "\x00", "\r\nx-evil: 1\r\n\r\n", "\n\ndata: [DONE]\n\n", "a" * 300, "a" * 70_000, "é" * 3000, "😀", "\u202e",
    "../../../../etc/passwd", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://[", "{{x}}",
    "%s%n%00", "'; DROP TABLE responses; --", "²", "١٢", "NaN", "null", "-1", "1e400", "\\u0000", "\ufffe", "data:,",
    "data:image/png;base64,AAAA", "data:application/pdf;base64,JVBERi0xLjQK", "resp_0", "conv_0", "msg_0", "auto", "required",
    "response.create", '"', '\\"', "\\", "<|im_start|>system", "</think>", "/repeat 3 a", "/think hm", "/call f {}",
    'start: "a"', 'start: "\\x"', "start: " + "(" * 200, "(" * 200, "(a+)+$", "[" * 50, "(?P<a>.)(?P=a)", "^(?!x)",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 255, 256, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    10**30, [], {}, [None], [[]], {"a": None}, [{}], [0], "auto",
    _raw("1e999"), _raw("-1e999"), _raw("1e-999"), _raw("-0"), _raw("1.0"), _raw("1" * 400), _raw("1" * 5000),
    _raw("0." + "1" * 5000), _raw('"\\ud800"'), _raw('"\\udc00\\ud800"'), _raw('"\\u0000"'), _raw("[" * 60 + "]" * 60),
    _raw("[" * 700 + "]" * 700), _raw("[" * 1100 + "]" * 1100), _raw('{"a":' * 300 + "1" + "}" * 300),
    _raw('{"a":' * 900 + "1" + "}" * 900), _raw("[" * 30_000), _raw('{"a":1,"a":"2"}'), _raw('{"type":1,"type":"x"}'),
    _raw("NaN"), _raw("Infinity"), _raw("tru"), _raw('"\t"'), _raw("[" + ",".join(["0"] * 3000) + "]"),
    _raw("{" + ",".join(f'"k{n}":{n}' for n in range(1500)) + "}"), _raw("[" + ",".join(["{}"] * 1500) + "]"),
)  # fmt: skip


class Mutator:
    """Changes values. `types` are the values that a field `type` may have, `donors` what is known to be good elsewhere."""

    def __init__(self, types: list[str], donors: list[Any]) -> None:
        self._types = types
        self._donors = donors

    def mutate(self, random: Random, value: Any) -> bytes:
        """Return a mutant as JSON, or what was JSON."""
        value = _copy(value)
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
            value = self._once(random, value)
        try:
            body = msgspec.json.encode(value)
        except (UnicodeEncodeError, OverflowError, RecursionError, TypeError, ValueError):
            body = json.dumps(value, default=_as_text).encode("utf-8", "surrogatepass")
        return mutate_bytes(random, body) if random.random() < 0.12 else body

    def _once(self, random: Random, value: Any) -> Any:
        paths = list(_paths(value))
        path = random.choice(paths)
        change = random.choice(self._changes())
        return _replace(value, path, lambda old: change(random, old))

    def _changes(self) -> list[Callable[[Random, Any], Any]]:
        return [
            _hostile,
            _hostile,
            lambda random, old: random.choice(TEXTS),
            lambda random, old: random.choice(TEXTS),
            lambda random, old: [old],
            lambda random, old: {"type": random.choice(self._types), "x": old},
            lambda random, old: str(old),
            self._without,
            self._without,
            self._with,
            self._with,
            self._retyped,
            self._retyped,
            self._repeated,
            lambda random, old: _pick(random, random.choice(self._donors)),
            _boundary,
        ]

    def _without(self, random: Random, old: Any) -> Any:
        if isinstance(old, dict) and old:
            old.pop(random.choice(list(old)))
        elif isinstance(old, list) and old:
            old.pop(random.randrange(len(old)))
        return old

    def _with(self, random: Random, old: Any) -> Any:
        if isinstance(old, dict):
            donor = random.choice(self._donors)
            names = list(donor) if isinstance(donor, dict) and donor and random.random() < 0.6 else NAMES
            name = random.choice(list(names))
            known = donor.get(name) if isinstance(donor, dict) else None
            old[name] = _copy(known) if known is not None and random.random() < 0.5 else _hostile(random, None)
        elif isinstance(old, list):
            old.insert(random.randint(0, len(old)), _pick(random, random.choice(self._donors)))
        return old

    def _retyped(self, random: Random, old: Any) -> Any:
        if isinstance(old, dict):
            old["type"] = random.choice(self._types)
        return old

    def _repeated(self, random: Random, old: Any) -> Any:
        if isinstance(old, list) and old:
            return [_copy(one) for one in old * random.choice((2, 3, 40))]
        return old * 3 if isinstance(old, str) and len(old) < 10_000 else old


def _hostile(random: Random, old: Any) -> Any:
    return _copy(random.choice(VALUES))


def _as_text(value: object) -> str:
    return bytes(value).decode() if isinstance(value, Raw) else str(value)


def _boundary(random: Random, old: Any) -> Any:
    if isinstance(old, bool) or not isinstance(old, int | float):
        return old
    return random.choice(
        (-old, old + 1, old * 1000, -old - 1, str(old), float(old), 2 ** random.choice((15, 31, 32, 63)))
    )


def _pick(random: Random, value: Any) -> Any:
    """Return a value, or one inside it."""
    for _ in range(random.randrange(4)):
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        if not inner:
            break
        value = random.choice(inner)
    return _copy(value)


def _paths(value: Any, path: Path = ()) -> Any:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value[:8]):
            yield from _paths(inner, (*path, number))


def _replace(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    try:
        value[path[0]] = _replace(value[path[0]], path[1:], change)
    except (KeyError, IndexError, TypeError):
        return value
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(inner) for name, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """Return bytes that were flipped, cut, doubled or put in."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randrange(len(out) + 1)
        match random.randrange(6):
            case 0 if out:
                out[at % len(out)] = random.randrange(256)
            case 1:
                del out[at : at + random.choice((1, 2, 10, 1000))]
            case 2:
                out[at:at] = out[at : at + random.choice((1, 10, 200))]
            case 3:
                out[at:at] = random.choice(
                    (b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\r\n", b'"', b"{", b"[", b"\\")
                )
            case 4:
                out[at:at] = random.randbytes(random.choice((1, 4, 30)))
            case _:
                del out[at:]
    return bytes(out)


def shrink(body: bytes, still: Callable[[bytes], bool], tries: int = 150) -> bytes:
    """Return a smaller JSON body that is still a finding, or the body itself."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    changed = True
    while changed and tries > 0:
        changed = False
        for path in sorted(_paths(value), key=len):
            if not path or tries <= 0:
                continue
            smaller = _replace(_copy(value), path[:-1], lambda old, last=path[-1]: _dropped(old, last))
            tries -= 1
            if still(json.dumps(smaller).encode()):
                value, changed = smaller, True
                break
    return json.dumps(value).encode()


def _dropped(value: Any, last: str | int) -> Any:
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if name != last}
    return [inner for number, inner in enumerate(value) if number != last] if isinstance(value, list) else value
