"""SQL as SQL: named blocks of the .sql files beside this one, with `:name` for a parameter.

A response's columns are written `{columns}`, `{values}` and `{updates}` there (`response_columns.spelled`), those of its entry
in the log likewise. A block with the name `{mark}` is what that mark stands for in the others of its file.

`clock(:name)` converts a time of this server's clock to the database's: unchanged if the two agree within a second, else
shifted by their difference. So leases of servers with different clocks are compared by one clock.

Text in PostgreSQL cannot contain U+0000, which a client's id may: it is escaped when written and unescaped when read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from time import time
from typing import Any

from antiphon.stores.response_columns import spelled, without_marks

FOLDER = files("antiphon.stores.postgres")

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_CLOCK = re.compile(r"clock\((:[a-z_]+|0)\)")
_SKEW = "(extract(epoch FROM clock_timestamp())::double precision - :here::double precision)"
_SHIFTED = (
    "(SELECT {0}::double precision + CASE WHEN abs(skew) <= 1 THEN 0 ELSE skew END"  # noqa: S608  # from our own files
    f" FROM (SELECT {_SKEW}) AS clocks (skew))"
)
_ESCAPE = "\ufdd0"  # a noncharacter: not in anybody's text
_UNESCAPED = {_ESCAPE + "0": "\0", _ESCAPE + "1": _ESCAPE}


class Query:
    """A statement and the names of its parameters.

    `again` tells that the statement is a retry, `here` is this server's time when it is sent.
    """

    def __init__(self, text: str) -> None:
        text = _CLOCK.sub(lambda match: _SHIFTED.format(match[1]), text)
        self.names = list(dict.fromkeys(_PARAMETER.findall(text)))
        self.text = _PARAMETER.sub(lambda match: f"${self.names.index(match[1]) + 1}", text)

    def arguments(self, values: Mapping[str, Any], again: bool = False) -> list[Any]:
        """Return the values in the order of `$1`, `$2`, …"""
        found: dict[str, Any] = {"here": time(), **values}
        found["again"] = again or values.get("again", False)
        return [_escaped(found[name]) for name in self.names]


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value


def escape(text: str) -> str:
    """Return a text as PostgreSQL can keep it."""
    if "\0" in text or _ESCAPE in text:
        return text.replace(_ESCAPE, _ESCAPE + "1").replace("\0", _ESCAPE + "0")
    return text


def unescape(text: str) -> str:
    """Return a text as it was before `escape`."""
    if _ESCAPE in text:
        return re.sub(_ESCAPE + "[01]", lambda match: _UNESCAPED[match[0]], text)
    return text


def queries(noun: str) -> Mapping[str, Query]:
    """Return the statements of `queries/<noun>.sql` by the names in their `-- name:` lines."""
    return _blocks((FOLDER / "queries" / f"{noun}.sql").read_text(encoding="utf-8"))


def imports() -> Mapping[str, Query]:
    """Return the statements of all files of `imports/`, by name: each inserts what another store had."""
    texts = [file.read_text(encoding="utf-8") for file in (FOLDER / "imports").iterdir() if file.name.endswith(".sql")]
    return {name: query for text in texts for name, query in _blocks(text).items()}


def _blocks(text: str) -> Mapping[str, Query]:
    blocks = [block.partition("\n") for block in text.split("-- name: ")[1:]]
    bare = without_marks({name.strip(): _bare(statement) for name, _, statement in blocks})
    return {name: Query(spelled(statement, ":{0}::{1}", "{0} = excluded.{0}")) for name, statement in bare.items()}


def _bare(statement: str) -> str:
    """Leave out comments, which would be sent each time that a statement is prepared."""
    return "\n".join(line for line in statement.splitlines() if not line.lstrip().startswith("--")).strip()


def migrations() -> Sequence[str]:
    """Return the scripts of `schema/`, in order: the first one brings a database to version 1."""
    scripts = [file for file in (FOLDER / "schema").iterdir() if file.name.endswith(".sql")]
    return [file.read_text(encoding="utf-8") for file in sorted(scripts, key=lambda file: file.name)]


def indexes() -> Mapping[str, Query]:
    """Return the statements of `indexes/responses.sql` by the names of their indexes."""
    return _blocks((FOLDER / "indexes" / "responses.sql").read_text(encoding="utf-8"))
