"""JSON is composed by an encoder: nowhere in the package does a template put a value between quotes of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import msgspec
import pytest

from tests.package_source import modules, nodes, shown

# Texts that are not JSON, or are read and not written; each with its reason.
OTHER_TEXTS = {
    "backends/learning/chat_wishes.py": "a keyword of JSON Schema that is looked for in JSON: one of a fixed list",
    "backends/learning/refusal_words.py": "a key that is looked for in JSON: one of a pattern's names",
    "cli/checks/diagnosis.py": "a line of TOML for people to read",
    "core/tools/grammars/gbnf.py": "a GBNF literal, each character escaped",
    "core/tools/input_unwrapper.py": "a piece of a JSON string, matched as such, is given its quotes back to be decoded",
    "telemetry/metrics.py": "a Prometheus label: a worker's number",
    "server/pages/files.py": "an entity tag: a digest",
    "telemetry/prometheus.py": "Prometheus labels, escaped",
    "config/reading.py": "a key of TOML for people to read",
    "stores/postgres/connection/upkeep.py": "an identifier of SQL from the database's own catalogue",
    "stores/sqlite/disk/upkeep.py": "an identifier of SQL, its quotes doubled",
}

MSGSPEC = {"msgspec.MsgspecError", "msgspec.DecodeError"}

_PLACEHOLDER = re.compile(r'"%[bsra]|%[bsra]"')
_FORMAT_FIELD = re.compile(r'"\{[^{}]*\}|\{[^{}]*\}"')
_LIKE_JSON = re.compile(r'"\s*:|[{\[,]\s*"|^"|"$')


def _constant(node: ast.expr) -> str:
    """Return the text of a literal, "" for anything else."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bytes):
            return node.value.decode("latin-1")
        if isinstance(node.value, str):
            return node.value
    return ""


def _between_quotes(node: ast.AST) -> bool:
    """Tell whether an expression puts a value directly between or beside double quotes, in what looks like JSON."""
    match node:
        case ast.BinOp(left=left, op=ast.Mod()):
            text = _constant(left)
            return bool(_PLACEHOLDER.search(text) and _LIKE_JSON.search(text))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _constant(left).endswith('"') or _constant(right).startswith('"')
        case ast.Call(func=ast.Attribute(value=template, attr="format")):
            text = _constant(template)
            return bool(_FORMAT_FIELD.search(text) and _LIKE_JSON.search(text))
        case ast.Call(func=ast.Attribute(value=joiner, attr="join")):
            return '"' in _constant(joiner)
        case ast.JoinedStr(values=values):
            text = "".join(_constant(value) or "\0" for value in values)
            return bool(re.search(r'"\0|\0"', text) and _LIKE_JSON.search(text))
    return False


def _faults(tree: Iterable[ast.AST]) -> Iterator[int]:
    for node in tree:
        if _between_quotes(node):
            yield getattr(node, "lineno", 0)


def test_no_value_stands_between_quotes_of_a_template() -> None:
    faults = {shown(name): lines for name in modules() if (lines := list(_faults(nodes(name))))}
    assert not OTHER_TEXTS.keys() - faults.keys(), "these are no exceptions any more"
    wrong = {name: lines for name, lines in faults.items() if name not in OTHER_TEXTS}
    assert not wrong, "these lines put a value between quotes: let an encoder write name and value"


@pytest.mark.parametrize(
    "source",
    [
        """b'"%b":%b' % (name.encode(), value)""",
        """'{"a": "%s"}' % text""",
        """f'{{"name":"{name}"}}'""",
        """f'"{text}"'""",
        """'{{"a":"{}"}}'.format(text)""",
        """b'{"a":"' + text + b'"}'""",
        """'","'.join(names)""",
    ],
)
def test_what_is_found(source: str) -> None:
    assert set(_faults(ast.walk(ast.parse(source)))) == {1}


@pytest.mark.parametrize(
    "source",
    ["""b'{"type":%b}' % to_json(type)""", """f"'{name}' is not known." """, """b'"index":%d' % index"""],
)
def test_what_is_right(source: str) -> None:
    assert not list(_faults(ast.walk(ast.parse(source))))


def _caught(handlers: Iterable[ast.ExceptHandler]) -> set[str]:
    """Return the names of what a `try` catches."""
    types = [handler.type for handler in handlers]
    return {
        ast.unparse(one) if one is not None else "BaseException"
        for type in types
        for one in (type.elts if isinstance(type, ast.Tuple) else (type,))
    }


def test_who_decodes_catches_all_that_a_decoder_raises() -> None:
    """msgspec's own errors are not all: bytes that are no UTF-8 and half characters are a ValueError, depth a RecursionError."""
    found = []
    for name in modules():
        for node in nodes(name):
            if isinstance(node, ast.Try) and (caught := _caught(node.handlers)) & MSGSPEC:
                lacking = {"ValueError", "RecursionError"} - caught
                if lacking and not caught & {"Exception", "BaseException"}:
                    found.append(f"{shown(name)}:{node.lineno} lacks {', '.join(sorted(lacking))}")
    assert not found


@pytest.mark.parametrize(
    "data", [b'{"a":"\xff"}', '{"a":"\ud800"}', b'{"b":' + b"[" * 5000 + b"]" * 5000 + b"}", b"{", b'{"a":5}']
)
def test_that_is_what_it_raises(data: bytes | str) -> None:
    class Named(msgspec.Struct):
        a: str = ""

    with pytest.raises((msgspec.MsgspecError, ValueError, RecursionError)):
        msgspec.json.decode(data, type=Named)
