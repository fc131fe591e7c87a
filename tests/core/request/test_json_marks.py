"""What stands outside the strings of JSON, against a reading of it character by character, however its strings are escaped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.request import json_text

TEXTS = st.text(st.sampled_from('ab\\"/\b\f\n\r\t[]{},:é\U0001f600u0n'), max_size=12)
JSON = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def outside(body: bytes, marks: bytes) -> bytes:
    """Return the marks that stand outside of strings."""
    found, quoted, escaped = bytearray(), False, False
    for byte in body:
        if quoted:
            quoted = escaped or byte != 0x22
            escaped = not escaped and byte == 0x5C
        elif byte == 0x22:
            quoted = True
        elif byte in marks:
            found.append(byte)
    return bytes(found).replace(b"{", b"[").replace(b"}", b"]")


@pytest.mark.parametrize("slice", [1024, 3, 7])
@given(JSON, st.booleans(), st.booleans())
def test_marks_are_those_outside_of_strings(slice: int, value: object, ascii: bool, slashes: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii).encode()
    body = body.replace(b"/", rb"\/") if slashes else body
    before, json_text._SLICE = json_text._SLICE, slice  # type: ignore[misc]  # a constant elsewhere
    try:
        assert json_text._outside(body, json_text._NO_STRUCTURE, "") == outside(body, b"[]{}")
        assert json_text._outside(body, json_text._NO_COMMAS, "") == outside(body, b",")
    finally:
        json_text._SLICE = before  # type: ignore[misc]
