"""Every regular expression in the package takes time linear in its input.

Each one of the source is named here, with inputs that would be dear if it backtracked, or as one that sees nothing from outside.
"""

from __future__ import annotations

import ast
import importlib
import re
import re._parser as _parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.growth import assert_linear, cpu_time

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent / "src" / "antiphon"
COMPILING = frozenset("compile match fullmatch search sub subn split findall finditer".split())
SIZE = 2500
MOST_FRAGMENTS = 6

Hostile = Callable[[int], str]


def expressions() -> Iterator[tuple[str, ast.Call]]:
    """Yield `module:name` of each expression; for those that are no constant, of the function that it stands in."""
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield from _in(ast.parse(path.read_text()), module, "")


def _in(node: ast.AST, module: str, name: str) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{name}.{child.name}".strip(".")
        elif isinstance(child, (ast.Assign, ast.AnnAssign)) and not _in_function(node):
            target = child.targets[0] if isinstance(child, ast.Assign) else child.target
            if isinstance(target, ast.Name):
                inner = f"{name}.{target.id}".strip(".")
        if isinstance(child, ast.Call) and _compiles(child.func):
            yield f"{module}:{inner}", child
        yield from _in(child, module, inner)


def _in_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def _compiles(function: ast.AST) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in COMPILING
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )


def fragments(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[str]:
    """Return texts that the parts of an expression fit: its literals, and one character of each class."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    found: list[str] = []
    _collect(
        list(_parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else 0)), found
    )
    whole = "".join(found)
    return list(dict.fromkeys([whole, *(text for text in found if text), " ", "a", "\n"]))[:MOST_FRAGMENTS]


def _collect(parts: list[Any], found: list[str]) -> None:
    run = ""
    for kind, value in parts:
        name = str(kind)
        if name == "LITERAL":
            run += chr(value)
            continue
        found.append(run)
        run = ""
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _collect(list(value[2]), found)
        elif name == "SUBPATTERN":
            _collect(list(value[3]), found)
        elif name in ("ASSERT", "ASSERT_NOT"):
            _collect(list(value[1]), found)
        elif name == "ATOMIC_GROUP":
            _collect(list(value), found)
        elif name == "BRANCH":
            for branch in value[1]:
                _collect(list(branch), found)
        elif name in ("IN", "ANY", "NOT_LITERAL"):
            found.append(_member(kind, value))
    found.append(run)


def _member(kind: Any, value: Any) -> str:
    """Return a character of a class."""
    test = re.compile(r".", re.DOTALL) if str(kind) != "IN" else None
    for character in 'a0 \n:._-\\"/{}[]<>|=@%+*AZ~':
        if test is not None or _is_in(value, character):
            return character
    return "a"


def _is_in(items: Any, character: str) -> bool:
    inside = negated = False
    for kind, value in items:
        name = str(kind)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            inside |= ord(character) == value
        elif name == "RANGE":
            inside |= value[0] <= ord(character) <= value[1]
        elif name == "CATEGORY":
            inside |= re.match(CATEGORIES[str(value)], character) is not None
    return inside != negated


CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def hostile(pattern: re.Pattern[str] | re.Pattern[bytes]) -> Iterator[Hostile]:
    """Yield inputs that repeat what an expression's parts fit, alone, in pairs, and behind and before others."""
    texts = fragments(pattern)
    for one in texts:
        yield lambda n, one=one: one * (n // len(one))
        for other in texts:
            yield lambda n, one=one, other=other: other + one * (n // len(one))
            yield lambda n, one=one, other=other: one * (n // len(one)) + other
            yield lambda n, one=one, other=other: (one + other) * (n // len(one + other))


# Expressions that see input from outside, and how they are used.
OUTSIDE: dict[str, str] = {
    "core.text.html_pieces:_TAG": "match",
    "core.text.html_pieces:_SCRIPT_END": "search",
    "core.text.html_pieces:_STYLE_END": "search",
    "core.text.html_pieces:_TEXTAREA_END": "search",
    "core.text.html_pieces:_TITLE_END": "search",
    "tools.web.page_text:_HREF": "search",
    "tools.web.page_text:_TITLE": "search",
    "tools.web.page_text:_MAIN": "search",
    "tools.web.page_text:_BLANK": "sub",
    "tools.web.pages:_CHARSET": "search",
    "tools.web.provider_calls:_URL": "findall",
    "tools.web.providers:_MARKUP": "sub",
    "tools.web.search:_URL": "findall",
    "core.decisions.label_reading:_FIRST_WORD": "match",
    "core.decisions.label_reading:_SAYS_ANSWER": "search",
    "core.tools.grammars.grammar:_ESCAPE": "search",
    "types.raw:_ESCAPE": "search",
    "core.request.json_text:_SURROGATE": "search",
    "core.request.json_text:_MAY_BE_LONE": "search",
    "core.request.json_text:_ESCAPE": "search",
    "core.text.sse:_STRAY": "search",
    "core.text.sse:_SILENT_LINE": "search",
    "config.masking:_KEYS": "search",
    "config.masking:_PLACES": "search",
    "config.masking:_URLS": "search",
    "config.masking:_USER": "search",
    "config.tables:SECRET_QUERY": "search",
    "backends.anthropic.lessons:_SIGNATURE": "search",
    "backends.anthropic.lessons:_MISSING": "search",
    "backends.anthropic.lessons:_FORCED": "search",
    "backends.anthropic.lessons:_THINKING": "search",
    "backends.anthropic.lessons:_EFFORT": "search",
    "backends.anthropic.lessons:_FORMAT": "search",
    "backends.anthropic.lessons:_CONFIG": "search",
    "backends.anthropic.lessons:_CACHE": "search",
    "backends.anthropic.lessons:_METADATA": "search",
    "backends.anthropic.lessons:_ROLE": "search",
    "backends.anthropic.lessons:_ONE_OF_BOTH": "search",
    "backends.anthropic.lessons:_STRICT": "search",
    "backends.anthropic.lessons:_WORDS": "search",
    "backends.anthropic.origin:_PREFIX": "search",
    "backends.anthropic.origin:_DATE": "search",
    "backends.anthropic.thinking:_ADAPTIVE": "search",
    "backends.anthropic.thinking:_NO_THOUGHTS": "search",
    "backends.anthropic.backend:_WORD": "fullmatch",
    "backends.chat.tool_calls:_MARKS": "search",
    "backends.llama.process:STAMP": "match",
    "backends.refusals:_CODE": "fullmatch",
    "backends.overflow_phrases:_LONG": "search",
    "backends.overflow_phrases:_GENERAL": "search",
    "backends.overflow_phrases:_OTHER": "search",
    "backends.overflow_phrases:_RATE": "search",
    "backends.refusals:_NO_PATH": "fullmatch",
    "backends.refusals:_STATUS_OF_WORDS": "search",
    "backends.waits:_PART": "search",
    "backends.waits:_WORDS": "search",
    "backends.refusals:_PARAMS": "search",
    "backends.refusals:_OF_REQUEST": "search",
    "backends.refusals:_TRACE": "search",
    "backends.learning.refusal_words:_UNSUPPORTED": "search",
    "backends.learning.refusal_words:_WRONG_VALUE": "search",
    "backends.learning.refusal_words:_LISTED": "search",
    "backends.learning.refusal_words:_EXPECTED": "search",
    "backends.learning.refusal_words:_ONLY_STREAMS": "search",
    "backends.learning.refusal_words:_NEVER_STREAMS": "search",
    "backends.learning.refusal_words:_TOOLS_WITH_STREAM": "search",
    "backends.learning.refusal_words:_TOKEN_FIELDS": "search",
    "backends.learning.refusal_words:_FORMAT": "search",
    "backends.learning.refusal_words:_BAD_SCHEMA": "search",
    "backends.learning.refusal_words:_CHOICE": "search",
    "backends.learning.refusal_words:_EFFORT": "search",
    "backends.learning.refusal_words:_TEMPLATE": "search",
    "backends.learning.refusal_words:_STRICT": "search",
    "backends.learning.refusal_words:_WORDS": "search",
    "backends.learning.refusal_words:_TOOLS_AND_FORMAT": "search",
    "backends.learning.refusal_words:_MUST_THINK": "search",
    "backends.learning.refusal_words:_SCHEMA": "search",
    "backends.learning.refusal_words:_QUOTED": "search",
    "backends.learning.refusal_words:_NAMED": "search",
    "backends.learning.refusal_words:_NAMES": "search",
    "backends.learning.refusal_words:_NO_THOUGHTS": "search",
    "backends.learning.refusal_words:_NO_SIGNATURE": "search",
    "backends.learning.refusal_words:_THOUGHTS": "search",
    "backends.learning.refused_shapes:_SHAPES": "search",
    "backends.learning.refused_shapes:_KEYWORD": "search",
    "backends.learning.refused_shapes:_UNSUPPORTED": "search",
    "backends.engine_details:_NUM_CTX": "search",
    "backends.learning.overflow_words:_WINDOWS": "search",
    "backends.learning.overflow_words:_INPUTS": "search",
    "backends.learning.overflow_words:_OUTPUT": "search",
    "backends.learning.overflow_words:_OUTPUT_AT_FAULT": "search",
    "backends.learning.overflow_words:_WINDOW_NAMED": "search",
    "backends.learning.overflow_words:_NUMBERS": "search",
    "backends.responses.decoder:_TYPE": "fullmatch",
    "backends.responses.refused_forms:_SIGNS": "search",
    "backends.responses.text_template:_PLACES": "search",
    "backends.scripted:_PIECE": "search",
    "core.retrieval.chunking:_PIECE": "findall",
    "core.retrieval.words:_UNSPACED": "split",
    "core.retrieval.words:_WORD": "findall",
    "core.token_count:_MEDIA": "search",
    "tools.retrieval.formats.documents:_CONTROLS": "sub",
    "tools.retrieval.formats.office:_SHEET": "fullmatch",
    "tools.retrieval.formats.office:_SLIDE": "fullmatch",
    "core.tools.call_thoughts:_RANDOM": "search",
    "core.tools.mcp_content:_PART": "search",
    "core.tools.call_ids:_NUMBERED": "fullmatch",
    "core.tools.call_ids:_SHORT": "fullmatch",
    "core.tools.call_names:_TOKEN": "search",
    "core.tools.call_names:_PREFIX": "match",
    "core.tools.call_names:_COUNT": "search",
    "core.tools.call_names:_PARTED": "search",
    "core.tools.call_names:_ODD": "search",
    "core.tools.call_names:_HUMP": "search",
    "core.tools.grammars.grammar:_TOKEN": "match",
    "core.request.json_text:_TOKEN": "search",
    "core.request.json_text:_NAME": "fullmatch",
    "core.text.leaks.harmony:_CHANNEL": "search",
    "core.text.leaks.harmony:_RECIPIENT": "search",
    "core.text.leaks.base:_COUNT": "search",
    "core.text.leaks.base:_ONE_WORD": "fullmatch",
    "core.text.leaks.base:_BLANKS": "match",
    "core.text.leaks.json_shapes:_FENCE": "match",
    "core.text.leaks.json_shapes:_PARTS": "match",
    "core.text.leaks.json_shapes:_NAME": "match",
    "core.text.leaks.json_shapes:_WORD": "match",
    "core.text.leaks.json_shapes:_MARKS": "search",
    "core.text.leaks.json_shapes:_BEGIN": "match",
    "core.text.leaks.json_shapes:_SHORT": "match",
    "core.text.leaks.json_shapes:_NAMED": "match",
    "core.text.leaks.markup:_ATTRIBUTE": "match",
    "core.text.leaks.markup:_HEAD": "match",
    "core.text.leaks.pythonic:_WORD": "match",
    "core.text.leaks.pythonic:_STRING": "match",
    "core.text.leaks.pythonic:_NUMERIC": "match",
    "core.text.leaks.pythonic:_NUMBER": "match",
    "core.text.leaks.pythonic:_CALL": "search",
    "core.text.leaks.braces:_KEY": "match",
    "core.request.prompts:_PLACEHOLDER": "search",
    "core.tools.redaction:_URL": "fullmatch",
    "core.request.tool_decoding:_STRING_REQUIRED": "search",
    "core.tools.tool_map:_NOT_IN_NAMES": "search",
    "core.citations.citer:_OPENING": "search",
    "core.citations.citer:_HOST": "match",
    "core.tools.input_unwrapper:_HEADS": "match",
    "core.tools.input_unwrapper:_PARTIAL_HEADS": "match",
    "core.tools.input_unwrapper:_WHOLE": "match",
    "core.tools.input_unwrapper:_PARTIAL_ESCAPE": "search",
    "core.tools.input_unwrapper:_LONE_HIGH": "search",
    "core.request.validation:_OFFSET": "search",
    "core.request.validation:_MISSING": "search",
    "telemetry.otlp:_PARENT": "fullmatch",
    "server.http.response_head:_SANE_ID": "fullmatch",
    "server.http.response_head:_UNSAFE": "search",
    "server.api.routing_hints:_PARENT": "fullmatch",
    "server.messages.relay:_MODEL_FIRST": "match",
    "server.messages.relay:_OUR_SEAL": "search",
    "server.ws.connection:_LANE": "search",
    "tools.mcp.headers:_TOKEN": "fullmatch",
    "tools.mcp.headers:_VALUE": "fullmatch",
    "tools.mcp.headers:_OURS": "fullmatch",
    "tools.mcp.param_headers:_TOKEN": "fullmatch",
    "tools.mcp.param_headers:_PLAIN": "fullmatch",
    "tools.mcp.refusals:_PARAMETER": "search",
}

# Those that see only what the operator, the developers or this machine say.
INSIDE = frozenset(
    """
    server.pages.guide:ROW
    server.pages.guide:TEST
    stores.postgres.sql:_CLOCK
    backends.llama.hub.models:NAME
    backends.llama.hub.choosing:SHARD
    backends.llama.hub.choosing:QUANT
    backends.llama.model:_id
    access.caller:_LIMIT
    cli.checks.diagnosis:_think
    cli.checks.doctor:described
    cli.keys:_SPAN
    core.text.leaks.reader:PreparedForms.__init__
    cli.monitor.scrape:_SERIES
    cli.monitor.scrape:_LABEL cli.monitor.scrape:_ESCAPE
    config.tables:_USERINFO
    server.pages.guide:ROW
    server.pages.guide:TEST
    server.pages.openapi:_VARIABLE
    server.pages.openapi:from_docstring
    server.pages.openapi:operation_id
    server.http.router:_VARIABLE
    config.environment:_KUBERNETES config.environment:_plain config.environment:_split
    config.layers:_VARIABLE
    config.shortcuts:_ADDRESS
    config.shortcuts:_NAMED
    stores.postgres.sql:_PARAMETER
    stores.sqlite.sql:_PARAMETER
    server.http.router:_pattern
    stores.postgres.sql:unescape
    """.split()
)


def test_every_expression_is_named_here() -> None:
    found = {name for name, _ in expressions()}
    named = OUTSIDE.keys() | INSIDE
    assert found - named == set(), "name them in OUTSIDE, with hostile input, or in INSIDE"
    assert named - found == set(), "these are gone"


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_expression_is_linear(name: str) -> None:
    found = patterns(name)
    assert found
    for pattern in found:
        measure(pattern, OUTSIDE[name])


def measure(pattern: re.Pattern[str] | re.Pattern[bytes], use: str, tries: int = 3) -> None:
    """Make sure that an expression is linear in all hostile inputs."""
    for make in hostile(pattern):
        assert_linear(lambda size, make=make: cost(pattern, make(size), use), SIZE, tries=tries)


def patterns(name: str) -> list[re.Pattern[str] | re.Pattern[bytes]]:
    """Return the compiled expressions of a name."""
    module, _, path = name.partition(":")
    value: Any = importlib.import_module(f"antiphon.{module}")
    for step in path.split("."):
        value = getattr(value, step)
    return list(_compiled(value))


def _compiled(value: Any) -> Iterator[re.Pattern[str] | re.Pattern[bytes]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _compiled(one)


def cost(pattern: re.Pattern[str] | re.Pattern[bytes], text: str, use: str) -> float:
    """Return the CPU seconds that an expression takes for a text."""
    given: Any = text.encode("utf-8") if isinstance(pattern.pattern, bytes) else text
    if use == "match":
        return cpu_time(lambda: pattern.match(given))
    if use == "fullmatch":
        return cpu_time(lambda: pattern.fullmatch(given))
    return cpu_time(lambda: sum(1 for _ in pattern.finditer(given)))


@pytest.mark.parametrize("bad", [r"\s+$", r"<a[^>]+>", r"a.*?b"])
def test_a_bad_expression_would_be_found(bad: str) -> None:
    pattern = re.compile(bad, re.DOTALL)
    with pytest.raises(AssertionError):
        measure(pattern, "search", tries=1)
