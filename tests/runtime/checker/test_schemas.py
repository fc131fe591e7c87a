"""What is refused of a schema, and what fits it: the part that runs in the checking process."""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from antiphon.runtime.checker.protocol import CheckTask, Verdict
from antiphon.runtime.checker.schemas import LONGEST_REASON, MOST_DEPTH, _branches, perform
from antiphon.runtime.checker.schemas import inspect as inspect_schema
from tests.growth import assert_linear, cpu_time
from tests.runtime.checker import bombs

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
Json = dict[str, Any]


def compile(schema: object) -> Verdict:
    return perform(CheckTask(kind="compile", schema=json.dumps(schema).encode(), seconds=1.0))


def inspect(schema: object) -> Verdict:
    return perform(CheckTask(kind="inspect", schema=json.dumps(schema).encode(), seconds=1.0))


def check(text: str, schema: object = SCHEMA) -> Verdict:
    return perform(CheckTask(kind="check", schema=json.dumps(schema).encode(), text=text, seconds=1.0))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        SCHEMA,
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMA},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"},
        {"$defs": {"a~b/c d": {"type": "string"}}, "$ref": "#/$defs/a~0b~1c%20d"},
        {"$defs": {"a": {"$anchor": "here", "type": "string"}}, "items": {"$ref": "#here"}},
        {"$dynamicAnchor": "node", "properties": {"c": {"$dynamicRef": "#node"}}},
        {"$id": "http://example.com/a", "$defs": {"b": {"$id": "b", "type": "string"}}, "items": {"$ref": "b"}},
        {"$id": "http://example.com/a", "$defs": {"b": {"$id": "b"}}, "items": {"$ref": "http://example.com/b"}},
        {"properties": {"$ref": {"type": "string"}, "default": {"type": "string"}}},
        {"const": ["x", {"$ref": "http://127.0.0.1:9/x"}], "enum": [{"$ref": "file:///x"}]},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        # As zod writes an e-mail address.
        {
            "pattern": r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
        },
        {"type": "string", "format": "date-time"},
        {"unknownKeyword": {"$comment": "x"}},
    ],
)
def test_schemas_that_are_taken(schema: Json) -> None:
    if "const" in schema:  # an object as a sample value looks like a schema, one in a list does not
        assert inspect(schema) == compile(schema) == Verdict()
    assert compile(schema) == Verdict(), schema


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9/x",
        "https://example.com/x.json#/a",
        "HTTP://example.com/x",
        "file:///etc/passwd",
        "urn:example:x",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6#a",
        "ftp://example.com/x",
        "data:application/json,{}",
        "//example.com/x",
        "other.json",
        "other.json#/a",
        "/x",
        "../x",
        "?x",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["inspect", "compile"])
def test_nothing_outside_the_document_is_referred_to(kind: str, uri: str, keyword: str) -> None:
    for schema in ({"properties": {"a": {keyword: uri}}}, {"$defs": {"a": {"items": [{"not": {keyword: uri}}]}}}):
        verdict = inspect(schema) if kind == "inspect" else compile(schema)
        if uri == "" and verdict.outcome == "fits":
            continue  # the document itself
        assert verdict.outcome == "fault" and "outside" in verdict.reason, verdict


def test_a_name_of_its_own_opens_no_way_out() -> None:
    for base in ("http://127.0.0.1:9/a", "file:///etc/", "urn:x:y"):
        for keyword in ("$ref", "$dynamicRef"):
            verdict = compile({"$id": base, "properties": {"a": {keyword: "passwd"}}})
            assert verdict.outcome == "fault", (base, verdict)


class _Counting(BaseHTTPRequestHandler):
    hits = 0

    def do_GET(self) -> None:
        type(self).hits += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"const":"internal-secret"}')


def test_nothing_is_fetched_and_no_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"const":"file-secret","type":"object"}')
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        for uri in (f"http://127.0.0.1:{server.server_address[1]}/x", secret.as_uri(), f"{secret.as_uri()}#/x"):
            for schema in (
                {"$ref": uri},
                {"$dynamicRef": uri},
                {"$recursiveRef": uri},
                {"$schema": uri},
                {"$id": uri, "$ref": "y"},
                {"$id": uri, "properties": {"a": {"$ref": "y#/x"}}},
                {"$defs": {"m": {"$schema": uri, "$id": "m"}}, "$ref": "#/$defs/m"},
                {
                    "definitions": {"m": {"$id": uri}},
                    "$ref": "x.json",
                    "$schema": "http://json-schema.org/draft-04/schema#",
                },
            ):
                for verdict in (compile(schema), check("{}", schema)):
                    assert "secret" not in verdict.reason.replace(secret.as_uri(), ""), verdict
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert _Counting.hits == 0


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": 12}, "At '/type'"),
        ({"type": "strng"}, "At '/type'"),
        ({"$defs": [1]}, "At '/$defs'"),
        ({"definitions": "x"}, "At '/definitions'"),
        ({"required": "a"}, "At '/required'"),
        ({"pattern": "("}, "At '/pattern'"),
        ({"pattern": "(" * 5000}, "At '/pattern'"),
        ({"pattern": "((a{1000}){1000}){1000}"}, "At '/pattern'"),
        ({"$ref": "#/$defs/none"}, "nothing within the schema"),
        ({"$ref": "#none"}, "nothing within the schema"),
        ({"$schema": "http://127.0.0.1:9/x"}, "'$schema'"),
        ({"$schema": 5}, "'/$schema'"),
        ({"minLength": -1}, "At '/minLength'"),
        ({"properties": {"a": 5}}, "At '/properties/a'"),
        ([], "must be an object"),
        (True, "must be an object"),
        (bombs.nested(MOST_DEPTH), "deeper than 128"),
        ({"enum": [json.loads("[" * 200 + "]" * 200)]}, "deeper than 128"),
        (bombs.diamonds(20), "more than 10000 combinations"),
        (bombs.diamonds(40, "allOf"), "more than 10000 combinations"),
        (bombs.inner_diamonds(40), "more than 10000 combinations"),
        (bombs.chain(11_000), "more than 10000 combinations"),
    ],
)
def test_a_wrong_schema_is_told_why(schema: Json, words: str) -> None:
    verdict = compile(schema)
    assert verdict.outcome == "fault" and words in verdict.reason, verdict
    assert len(verdict.reason) <= LONGEST_REASON


@pytest.mark.parametrize("schema", [b"{", b"", b'{"a":NaN}', b'{"a":\xff}', b'{"a":%b}' % (b"1" * 5000), b"[" * 50_000])
def test_a_schema_that_is_no_json(schema: bytes) -> None:
    verdict = perform(CheckTask(kind="compile", schema=schema, seconds=1.0))
    assert verdict.outcome == "fault" and verdict.reason.endswith(".")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"n": 1}', ""),
        (' {"n": 1}\n', ""),
        ('{"n": "1"}', "At '/n'"),
        ('{"m": 1}', "At '/'"),
        ('{"n": 1', "not valid JSON"),
        ('{"n": 1} x', "not valid JSON"),
        ("", "not valid JSON"),
        ('{"n": NaN}', "'NaN' is not a JSON value"),
        ('{"n": Infinity}', "'Infinity' is not a JSON value"),
        ('{"n": -Infinity}', "'-Infinity' is not a JSON value"),
        ("NaN", "'NaN' is not a JSON value"),
        ('{"n": "\\ud800"}', "surrogate"),
        ('{"n": "' + "x" * 10_000 + '"}', "At '/n'"),
    ],
)
def test_answers(text: str, words: str) -> None:
    verdict = check(text)
    assert verdict.outcome == ("fault" if words else "fits") and words in verdict.reason, verdict
    assert len(verdict.reason) <= LONGEST_REASON


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 20_000, "nested"),
        ("[" * 20_000 + "]" * 20_000, "nested"),
        ("1" * 6000, "6000 digits"),
        ('{"n":-' + "1" * 6000 + "}", "digits"),
        ("1e400", "beyond"),
        ("[-1.5E+400]", "beyond"),
    ],
)
def test_answers_that_cannot_be_checked(text: str, words: str) -> None:
    verdict = check(text, {"maxItems": 5})
    assert verdict.outcome == "unchecked" and words in verdict.reason, verdict


def test_a_pattern_that_takes_too_many_steps_is_told_as_such() -> None:
    verdict = check('"' + "a" * 60 + '"', {"pattern": r"^(a|aa|a?)+\1c$"})
    assert verdict.outcome == "unchecked" and "steps" in verdict.reason
    assert check('"' + "a" * 100_000 + '"', {"pattern": "(a*)*b"}).outcome == "fault"  # linear: no steps are counted


KEYWORDS = (
    "$ref $dynamicRef $recursiveRef $id $schema $anchor $dynamicAnchor $defs definitions allOf anyOf oneOf not if then else"
    " properties patternProperties additionalProperties items prefixItems contains minContains propertyNames"
    " dependentSchemas dependentRequired dependencies unevaluatedProperties unevaluatedItems type enum const minimum"
    " multipleOf minLength pattern format minItems uniqueItems required contentEncoding contentMediaType contentSchema"
    " default examples $vocabulary id"
).split()
BY_NAME = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
STRINGS = [
    *"# #/ #/$defs/a #a % #%zz a http://h/x file:///x urn:x //x : ? http://[ string object array ( [a (?=a) a{1000}".split(),
    *"date-time email regex uri ipv4 idn-hostname uuid json-pointer uri-template duration base64 application/json".split(),
    "http://json-schema.org/draft-07/schema#",
    "http://json-schema.org/draft-04/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "",
    "\ud800",
    "\0",
    "é" * 50,
]
NUMBERS = [None, True, False, 0, -1, 1.5, 10**30, 1e308, 5e-324, 2**63, -(2**64)]


class _Chance:
    """Makes schemas and values that are half right."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def value(self, depth: int) -> Any:
        kind = self._random.random()
        if depth <= 0 or kind < 0.25:
            return self._random.choice(NUMBERS)
        if kind < 0.5:
            return self._random.choice(STRINGS)
        if kind < 0.65:
            return [self.value(depth - 1) for _ in range(self._random.randint(0, 3))]
        return self.schema(depth - 1)

    def schema(self, depth: int) -> Any:
        if depth <= 0:
            return True
        return {key: self._under(key, depth - 1) for key in self._random.sample(KEYWORDS, self._random.randint(0, 4))}

    def _under(self, key: str, depth: int) -> Any:
        if self._random.random() < 0.2:
            return self.value(depth)
        if key in BY_NAME:
            return {name: self.schema(depth) for name in self._random.sample([*STRINGS, "a", "b"], 2)}
        return [self.schema(depth) for _ in range(2)] if key in LISTS else self.value(depth)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_written_there_is_a_verdict(seed: int) -> None:
    chance = _Chance(seed)
    for _ in range(200):
        schema = json.dumps(chance.schema(5) or {}).encode()
        verdicts = [perform(CheckTask(kind=kind, schema=schema, seconds=1.0)) for kind in ("inspect", "compile")]
        verdicts += [
            perform(CheckTask(kind="check", schema=schema, text=json.dumps(chance.value(4)), seconds=1.0))
            for _ in range(3)
        ]
        assert all((verdict.outcome == "fits") == (verdict.reason == "") for verdict in verdicts)


def _named(size: int) -> Json:
    """Schemas with names of their own, and absolute references to them."""
    names = [f"http://example.com/{n}" for n in range(size)]
    return {"$defs": {str(n): {"$id": name, "items": {"$ref": name}} for n, name in enumerate(names)}}


GROWING = {
    "chain": bombs.chain,
    "properties": bombs.properties,
    "enum": bombs.enum,
    "named": _named,
    "long references": lambda size: {"$ref": "#/" + "a/" * size},
    "anchors": lambda size: {"$defs": {str(n): {"$anchor": f"a{n}", "$ref": f"#a{n}"} for n in range(size)}},
    "wide": lambda size: {"anyOf": [{"$ref": "#/$defs/x"}] * size, "$defs": {"x": {}}},
    "a loop": lambda size: {"$defs": {str(n): {"anyOf": [{"$ref": f"#/$defs/{(n + 1) % size}"}]} for n in range(size)}},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", GROWING)
def test_looking_at_a_schema_costs_what_its_size_is(kind: str) -> None:
    def cost(size: int) -> float:
        schema = json.dumps(GROWING[kind](size)).encode()
        return cpu_time(lambda: _branches(inspect_schema(schema)))

    assert_linear(cost, 1000)
