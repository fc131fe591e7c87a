"""Hostile documents: schemas, grammars, files, images and URLs, each sent to models of several kinds."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

from tests.attack.fuzz import check_alive
from tests.attack.report import Report
from tests.attack.target import ANN, CHAT_MODELS, Target
from tests.attack.verdict import fault_of

Json = dict[str, Any]

LARGEST = 700.0
"""MB that the server may use while it looks at all of them."""

_OBJECT: Json = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def _a(schema: Any, **more: Any) -> Json:
    return {"type": "object", "properties": {"a": schema}, **more}


def _deep(size: int) -> Json:
    schema: Any = {"type": "integer"}
    for _ in range(size):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


SCHEMAS: dict[str, Any] = {
    "true": True, "false": False, "null": None, "a list": [], "a text": "object", "a number": 5, "nothing": {},
    "file": _a({"$ref": "file:///etc/passwd"}), "http": _a({"$ref": "http://127.0.0.1:9/x"}), "metadata": _a({"$ref": "http://169.254.169.254/"}),
    "urn": _a({"$ref": "urn:x"}), "relative": _a({"$ref": "other.json"}), "another $schema": {**_OBJECT, "$schema": "http://127.0.0.1:9/s"},
    "$schema of a file": {**_OBJECT, "$schema": "file:///etc/hostname"}, "$schema of a number": {**_OBJECT, "$schema": 5},
    "$id elsewhere": {**_OBJECT, "$id": "http://127.0.0.1:9/a"}, "$ref through $id": _a({"$id": "http://127.0.0.1:9/b", "$ref": "c"}),
    "draft 4": {**_OBJECT, "$schema": "http://json-schema.org/draft-04/schema#", "id": "http://127.0.0.1:9/"},
    "itself": {"$ref": "#"}, "two that call each other": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "recursive": _a({"$ref": "#"}), "missing": _a({"$ref": "#/$defs/none"}), "pointer to nowhere": _a({"$ref": "#/~2"}),
    "pointer of percents": _a({"$ref": "#/%"}), "$dynamicRef": _a({"$dynamicRef": "#x"}, **{"$dynamicAnchor": "x"}),
    "$recursiveRef": _a({"$recursiveRef": "#"}), "$ref of a number": _a({"$ref": 5}), "$defs of a list": {**_OBJECT, "$defs": [1]},
    "definitions of a text": {**_OBJECT, "definitions": "x"}, "properties of a list": {"type": "object", "properties": []},
    "required of a text": {**_OBJECT, "required": "a"}, "required of numbers": {**_OBJECT, "required": [1]}, "type of a number": _a({"type": 5}),
    "type unknown": _a({"type": "decimal"}), "no types": _a({"type": []}), "enum of nothing": _a({"enum": []}), "enum of a text": _a({"enum": "a"}),
    "const deep": _a({"const": json.loads("[" * 90 + "]" * 90)}), "300 deep": _deep(300), "60 deep": _deep(60),
    "negative lengths": _a({"type": "string", "minLength": -1}), "lengths of 10^30": _a({"type": "string", "maxLength": 10**30}),
    "multipleOf 0": _a({"type": "number", "multipleOf": 0}), "multipleOf tiny": _a({"type": "number", "multipleOf": 1e-320}),
    "pattern that backtracks": _a({"type": "string", "pattern": "^(a+)+$"}), "pattern unbalanced": _a({"type": "string", "pattern": "("}),
    "pattern of back references": _a({"type": "string", "pattern": "(a)\\1"}), "pattern of look-behinds": _a({"type": "string", "pattern": "(?<!a*)b"}),
    "pattern of counts": _a({"type": "string", "pattern": "(((a{100}){100}){100}){100}"}), "pattern of 1 MB": _a({"type": "string", "pattern": "a" * 10**6}),
    "pattern of a number": _a({"type": "string", "pattern": 5}), "patternProperties": {"type": "object", "patternProperties": {"(": {}}},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^(x+x+)+y$"}}, "format unknown": _a({"type": "string", "format": "x" * 10**5}),
    "format regex": _a({"type": "string", "format": "regex"}), "content": _a({"contentMediaType": "application/json", "contentSchema": {"$ref": "file:///x"}}),
    "names": {"type": "object", "properties": {"": {}, "\x00": {}, "\n": {}, '"': {}, "\\": {}, "a" * 10**5: {}, "é": {}, "\u2028": {}}},
    "not not not": _a(json.loads('{"not":' * 60 + "true" + "}" * 60)), "if if if": _a(json.loads('{"if":true,"then":' * 60 + "true" + "}" * 60)),
    "branches": _a({"$ref": "#/$defs/d0"}, **{"$defs": {**{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}, "d40": {"type": "string"}}}),
    "allOf branches": _a({"$ref": "#/$defs/d0"}, **{"$defs": {**{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}, "d40": {}}}),
    "oneOf of 3,000": _a({"oneOf": [{"const": n} for n in range(3000)]}), "uniqueItems": _a({"type": "array", "uniqueItems": True}),
    "dependentSchemas": {**_OBJECT, "dependentSchemas": {"a": {"$ref": "#"}}}, "unevaluated": {**_OBJECT, "unevaluatedProperties": {"$ref": "#"}},
    "vocabulary": {**_OBJECT, "$vocabulary": {"http://127.0.0.1:9/": True}}, "anchor": _a({"$ref": "#x"}, **{"$defs": {"y": {"$anchor": "x", "type": "integer"}}}),
    "chain of 4,000": {"$ref": "#/$defs/d0", "$defs": {**{f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(4000)}, "d4000": _OBJECT}},
}  # fmt: skip

GRAMMARS: tuple[str, ...] = (
    "", "start", "start:", 'start: "a"', 'start: "\\x"', 'start: "\\N{foo}"', 'start: "a"..foo', 'start: "\\n\\n".."b"', 'start: "\x00"',
    'start: "a"..""', "start: start", "start: a\na: start", "start: " + "(" * 5000, "start: /(/", "start: /(a+)+$/", "start: /a{1,99999}/", 'start: "a"~99999',
    'start: "a"~5..1', "%import common.WORD", "%import os.system\nstart: X", "%include x", "%declare X\nstart: X", 'start: "a"\nstart: "b"', "start: undefined",
    "start: " + '"a" | ' * 5000 + '"b"', 'start: "' + "a" * 10**5 + '"', "start: [[[a]]]\na: 'x'", "// " + "x" * 10**5, "start: /[/", "start: /[^]/", "start: /\\p{L}/",
    'start{a}: a', '_x.5: "a"', '?start: "a"', 'start: "a" -> b', 'START: "é😀"', "\ufeffstart: 'a'", "start: \"\\ud800\"", 'start: "a"i', "start: /a/xyz",
)  # fmt: skip

REGEXES = (
    "",
    "(",
    "(" * 5000,
    "(a+)+$",
    "a{99999}",
    "a{5,1}",
    "[z-a]",
    "(?P<n>a)(?P=n)",
    "(?<!a)",
    "\\p{L}",
    "\\",
    "[",
    "(?i)a",
    "\x00",
    "é",
    "a" * 10**5,
    "(a|b)*" * 500,
    "$^",
)


def _bomb(size: int) -> bytes:
    return zlib.compress(b"\0" * size, 9)


def _png(width: int, height: int) -> bytes:
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06\0\0\0"
    data = b"IDAT" + _bomb(5_000_000)
    chunks = [
        len(part[4:]).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in (head, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


PDF = (
    b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj\n2 0 obj<</Filter["
    + b"/FlateDecode " * 20
    + b"]/Length 9>>stream\n"
)

FILES: dict[str, bytes] = {
    "empty.txt": b"", "nul.txt": b"\0" * 1000, "latin.txt": b"caf\xe9" * 100, "utf16.txt": "hello".encode("utf-16"), "utf32.txt": "hello".encode("utf-32"),
    "bom.csv": b"\xef\xbb\xbfa,b\r\n", "lines.txt": b"\r" * 100_000, "surrogates.txt": b"\xed\xa0\x80" * 100, "controls.txt": bytes(range(256)) * 20,
    "separators.txt": "\u2028\u2029\x85".encode() * 1000, "bomb.gz": gzip.compress(b"\0" * 20_000_000), "bomb.pdf": PDF + _bomb(30_000_000) + b"endstream",
    "cut.pdf": PDF, "only-head.pdf": b"%PDF-", "script.html": b"<script>alert(1)</script>" * 100, "xxe.xml": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "laughs.xml": b'<!DOCTYPE l [<!ENTITY a "ha">' + b"".join(b'<!ENTITY b%d "&a;&a;">' % n for n in range(50)) + b"]><l>&b49;</l>", "zip.docx": b"PK\x03\x04" + b"\0" * 100,
    "vast.png": _png(65_535, 65_535), "zero.png": _png(0, 0), "cut.png": b"\x89PNG\r\n\x1a\n", "pretends.png": b"GIF89a", "x.exe": b"MZ" + b"\0" * 100, "../../etc/passwd": b"x",
    "a\x00b.txt": b"x", "é" * 300 + ".txt": b"x", '"; x="y.txt': b"x", "\r\nx: y.txt": b"x", "deep.json": b"[" * 100_000, "CON": b"x", "": b"x", ".": b"x",
}  # fmt: skip

URLS = (
    "", "x", "http://", "http://[", "http://[::1", "http://a:99999/", "http://a:b/", "http://\x00/", "http://a b/", "http://user:pass@127.0.0.1/", "http://127.1/",
    "http://0x7f000001/", "http://2130706433/", "http://017700000001/", "http://localhost./", "http://127.0.0.1.nip.io/", "http://[::ffff:127.0.0.1]/", "http://①②⑦.0.0.1/",
    "HTTP://127.0.0.1", "//127.0.0.1/", "http:127.0.0.1", "http:\\\\127.0.0.1\\", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_", "javascript:alert(1)",
    "data:", "data:,", "data:;base64,", "data:image/png;base64,!!!!", "data:image/png;base64,A", "data:image/png,%", "data:text/html,<script>", "data:image/svg+xml,<svg/>",
    "http://" + "a" * 70_000 + "/", "http://a/" + "b" * 70_000, "http://" + "a." * 200, "http://xn--/", "http://-.-/", "http://a..b/", "http://%31%32%37.0.0.1/", "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data", "http://metadata.google.internal/", "http://[fd00:ec2::254]/", "http://168.63.129.16/", "http://0/", "http://255.255.255.255/", "blob:http://a/",
)  # fmt: skip


def requests() -> dict[str, Json]:
    """Return all requests by name, without their model."""
    found: dict[str, Json] = {}
    for name, schema in SCHEMAS.items():
        for strict in (True, False):
            format = {"type": "json_schema", "name": "x", "strict": strict, "schema": schema}
            found[f"schema, {name}, {strict}"] = {"input": '{"a":1}', "text": {"format": format}}
            tool = {"type": "function", "name": "f", "strict": strict, "parameters": schema}
            found[f"tool, {name}, {strict}"] = {
                "input": "hi",
                "tools": [tool],
                "tool_choice": {"type": "function", "name": "f"},
            }
    for syntax, definitions in (("lark", GRAMMARS), ("regex", REGEXES)):
        for definition in definitions:
            tool = {
                "type": "custom",
                "name": "g",
                "format": {"type": "grammar", "syntax": syntax, "definition": definition},
            }
            found[f"{syntax}, {definition[:40]!r}"] = {"input": "hi", "tools": [tool]}
    for name, data in FILES.items():
        encoded = base64.b64encode(data).decode()
        for part in (
            {"type": "input_file", "filename": name, "file_data": encoded},
            {"type": "input_file", "filename": name, "file_data": f"data:application/pdf;base64,{encoded}"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{encoded}"},
            {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}},
        ):
            found[f"{part['type']}, {name[:40]!r}, {str(part)[:60]}"] = {"input": [{"role": "user", "content": [part]}]}
    for url in URLS:
        for part in ({"type": "input_image", "image_url": url}, {"type": "input_file", "file_url": url}):
            found[f"{part['type']}, {url[:60]!r}"] = {"input": [{"role": "user", "content": [part]}]}
    return found


async def run_documents(target: Target, report: Report, only: str = "") -> None:
    """Send every document to every model, streamed and not."""
    tried, most = 0, 0.0
    for name, body in requests().items():
        if only not in name or not target.alive:
            continue
        models = (
            ("scripted", *CHAT_MODELS)
            if name.startswith(("schema", "tool", "lark", "regex"))
            else ("chat-generic", "relayed")
        )
        for number, model in enumerate(models):
            answer = await target.ask(
                "POST", "/v1/responses", {**body, "model": model, "stream": number % 2 == 1}, key=ANN, seconds=40
            )
            tried += 1
            fault = fault_of(answer)
            if fault:
                sent = json.dumps({**body, "model": model}).encode()
                report.found(
                    "documents", fault, f"{name} to {model}", sent, answer.body[-500:].decode(errors="replace")
                )
        most = max(most, target.rss)
    if most > LARGEST:
        report.found("documents", "memory has grown beyond its bound", "", b"", f"{most:.0f} MB")
    report.figure("documents: requests", tried)
    report.figure("documents: memory of the server in MB, most", round(most))
    report.figure("documents: loop delay in s, most of the last minute", await target.largest_delay())
    await check_alive(target, report, "documents", "")
