"""Defaults of hosted tools' declarations, as a response repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json

_LOCATION = {"type": "approximate", "country": None, "region": None, "city": None, "timezone": None}
_PREVIEW: Mapping[str, Any] = {"search_context_size": "medium", "user_location": _LOCATION}
_SEARCH: Mapping[str, Any] = {"filters": None, **_PREVIEW}

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "web_search": _SEARCH,
    "web_search_2025_08_26": _SEARCH,
    "web_search_preview": _PREVIEW,
    "web_search_preview_2025_03_11": _PREVIEW,
    "file_search": {
        "filters": None,
        "max_num_results": 20,
        "ranking_options": {"ranker": "auto", "score_threshold": 0},
    },
}
"""Type of a tool → the fields that a declaration may leave out."""

_object = msgspec.json.Decoder(dict[str, Raw])


def with_defaults(type: str, declared: Raw) -> bytes:
    """Return a declaration with its defaults filled in; one that is no object, and any other tool, as it is."""
    defaults = DEFAULTS.get(type)
    if defaults is None:
        return bytes(declared)
    return to_json(_filled(declared, defaults))


def _filled(declared: Raw, defaults: Mapping[str, Any]) -> object:
    try:
        given = _object.decode(declared)
    except msgspec.ValidationError:
        return declared
    filled: dict[str, object] = {**defaults, **given}
    for name, default in defaults.items():
        if name in given and isinstance(default, Mapping):
            filled[name] = _filled(given[name], default)
    order = [*given, *(name for name in defaults if name not in given)]
    return {name: filled[name] for name in order}
