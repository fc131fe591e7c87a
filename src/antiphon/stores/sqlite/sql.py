"""SQL as SQL: named blocks of the .sql files beside this one.

A response's columns are written `{columns}`, `{values}` and `{updates}` there (`response_columns.spelled`), those of its entry
in the log likewise. A block with the name `{mark}` is what that mark stands for in the others of its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from sqlite3 import complete_statement

from antiphon.stores.response_columns import spelled, without_marks

FOLDER = files("antiphon.stores.sqlite")

_PARAMETER = re.compile(r":([a-z_]+)")


def queries(noun: str) -> Mapping[str, str]:
    """Return the statements of `queries/<noun>.sql` by the names in their `-- name:` lines."""
    text = (FOLDER / "queries" / f"{noun}.sql").read_text(encoding="utf-8")
    blocks = [block.partition("\n") for block in text.split("-- name: ")[1:]]
    bare = without_marks({name.strip(): statement.strip() for name, _, statement in blocks})
    return {name: spelled(statement, ":{0}", "{0} = :{0}") for name, statement in bare.items()}


def by_position(statement: str, columns: Iterable[str]) -> str:
    """Return a statement that takes its values as a tuple in the order of these columns: SQLite binds names half as fast."""
    positions = {name: f"?{position}" for position, name in enumerate(columns, start=1)}
    return _PARAMETER.sub(lambda match: positions[match[1]], statement)


def migrations() -> list[str]:
    """Return the scripts of `schema/`, in order: the first one brings a database to version 1."""
    scripts = [file for file in (FOLDER / "schema").iterdir() if file.name.endswith(".sql")]
    return [file.read_text(encoding="utf-8") for file in sorted(scripts, key=lambda file: file.name)]


def statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would commit the transaction that a migration runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if complete_statement(statement):
            yield statement
            statement = ""
