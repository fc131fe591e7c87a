"""Grammars → GBNF."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.tools.grammars.gbnf import MOST_CHARACTERS
from antiphon.core.tools.grammars.grammar import GrammarError, GrammarFault, lark_to_gbnf, regex_to_gbnf
from tests.growth import assert_linear, cpu_time

PATCH = r"""
start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk
    | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?
filename: /(.+)/
add_line: "+" /(.*)/ LF -> line
change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
"""


def test_the_patch_grammar_of_codex() -> None:
    assert lark_to_gbnf(PATCH).splitlines() == [
        "root ::= l-start",
        "l-start ::= l-begin-patch (l-hunk)+ l-end-patch",
        'l-begin-patch ::= "*** Begin Patch" l-LF',
        'l-end-patch ::= "*** End Patch" (l-LF)?',
        "l-hunk ::= l-add-hunk | l-delete-hunk | l-update-hunk",
        'l-add-hunk ::= "*** Add File: " l-filename l-LF (l-add-line)+',
        'l-delete-hunk ::= "*** Delete File: " l-filename l-LF',
        'l-update-hunk ::= "*** Update File: " l-filename l-LF (l-change-move)? (l-change)?',
        "l-filename ::= (([^\\n]+))",
        'l-add-line ::= "+" (([^\\n]*)) l-LF',
        'l-change-move ::= "*** Move to: " l-filename l-LF',
        "l-change ::= ((l-change-context | l-change-line))+ (l-eof-line)?",
        'l-change-context ::= ("@@" | "@@ " (([^\\n]+))) l-LF',
        'l-change-line ::= ("+" | "-" | " ") (([^\\n]*)) l-LF',
        'l-eof-line ::= "*** End of File" l-LF',
        'l-LF ::= "\\n"',
    ]


@pytest.mark.parametrize(
    ("lark", "lines"),
    [
        ('start: "a"i~2..3 ["b"]', ["root ::= l-start", 'l-start ::= ([aA]){2,3} ("b")?']),
        ('start: A\nA.2: "a".."f" | "\\"" // quote', ["root ::= l-start", "l-start ::= l-A", 'l-A ::= [a-f] | "\\""']),
        (
            "start: INT (OP INT)*\nOP: /[-+*\\/]/\n%import common (INT, WS)\n%ignore WS",
            [
                "root ::= ignored l-start",
                "l-start ::= l-INT ignored ((l-OP ignored l-INT ignored))*",
                "l-OP ::= ([\\x2D+*/])",
                "l-INT ::= [0-9]+",
                "l-WS ::= [ \\t\\x0C\\r\\n]+",
                "ignored ::= (l-WS)*",
            ],
        ),
        (
            "?start: _x | y -> z\n_x: \n!y: NUM~1\n%import common.NUMBER -> NUM",
            None,
        ),
    ],
)
def test_lark(lark: str, lines: list[str] | None) -> None:
    if lines is None:
        with pytest.raises(GrammarError):
            lark_to_gbnf(lark)
    else:
        assert lark_to_gbnf(lark).splitlines() == lines


@pytest.mark.parametrize(
    "lark",
    [
        'begin: "a"',
        "start: missing",
        'start: x{"a"}\nx{t}: t',
        "start: /(?=a)b/",
        "%declare X\nstart: X",
        "start: (",
        "§",
    ],
)
def test_what_has_no_counterpart_is_refused(lark: str) -> None:
    with pytest.raises(GrammarError):
        lark_to_gbnf(lark)


@pytest.mark.parametrize(
    ("pattern", "expression"),
    [
        ("^ab|c$", '"a" "b" | "c"'),
        (r"\d{4}-\d{2}(-\d{1,})?", '[0-9]{4} "-" [0-9]{2} ("-" [0-9]{1,})?'),
        (r"(?:a|(?P<n>b))*?", '("a" | ("b"))*'),
        (r"[^\]\s-]+\.", '[^\\] \\t\\n\\r\\x0B\\x0C\\x2D]+ "."'),
        (r"[a-c_\x41\n]", "[a-c_A\\n]"),
        (r"\S\W.", "[^ \\t\\n\\r\\x0B\\x0C] [^a-zA-Z0-9_] [^\\n]"),
        (r"[]a]", "[\\]a]"),
        ('"\\\\', '"\\"" "\\\\"'),
    ],
)
def test_regular_expressions(pattern: str, expression: str) -> None:
    assert regex_to_gbnf(pattern) == f"root ::= {expression}\n"


@pytest.mark.parametrize(
    "pattern", ["(?=a)", r"(a)\1", r"\bx", "(?i)a", "a)", "(a", "[a", "*a", "a{x}", "a\\", r"[\D]", r"\xg1"]
)
def test_expressions_that_gbnf_cannot_say(pattern: str) -> None:
    with pytest.raises(GrammarError):
        regex_to_gbnf(pattern)


@pytest.mark.parametrize(
    ("lark", "literal"),
    [
        (r'start: "\x41\u0042\U00000043"', '"ABC"'),
        (r'start: "\n\t\f"', r'"\n\t\x0C"'),
        (r'start: "\"\\"', r'"\"\\"'),
        (r'start: "\d\a\0"', r'"\\d\\a\\0"'),
        ('start: "a" # a comment\n', '"a"'),
        ('start: "\u00e4"', '"ä"'),
    ],
)
def test_strings_are_read_as_lark_reads_them(lark: str, literal: str) -> None:
    assert lark_to_gbnf(lark).splitlines()[1] == f"l-start ::= {literal}"


@pytest.mark.parametrize(
    "lark",
    [
        r'start: "\x"',
        r'start: "\x4"',
        r'start: "\xg1"',
        r'start: "\x+1"',
        r'start: "\u12"',
        r'start: "\ud800"',
        r'start: "\U00110000"',
        r'start: "\U1"',
        'start: "a"..foo',
        'start: "a"..',
        'start: "\\n\\n".."b"',
        'start: "".."b"',
        'start: "z".."a"',
        'start: "a"i.."b"',
        'start: "a".."b"i',
        'start: "\0"',
        'start: "\ud800"',
        'start: "a"~x',
        'start: "a"~"x"',
        'start: "a"~',
        'start: "a"~3..2',
        'start: "a"~1..x',
        'start: "a"~9999999999',
        "",
        "start:" + " (" * 5000,
        "start:" + " (" * 5000 + '"a"' + ")" * 5000,
        "start:" + " [" * 65,
        "start: *",
        'start: "a" : "b"',
        'start: "a" .. ',
        "start: /" + "(" * 5000 + "/",
        "start: )",
        "start: (",
        "start: missing",
        "begin: 'a'",
        'start: "a" ' + "x" * MOST_CHARACTERS,
    ],
)
def test_a_wrong_grammar_is_a_fault(lark: str) -> None:
    with pytest.raises(GrammarFault):
        lark_to_gbnf(lark)


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 5000,
        "(" * 5000 + "a" + ")" * 5000,
        "a{3,2}",
        "a{²}",
        "a{9999999999}",
        "[z-a]",
        r"\x+1",
        r"\u12",
        r"\ud800",
        r"[\x]",
        "\0",
        "\udfff",
        "[",
        "[a",
        "(",
        "(?<a",
        "a" * (MOST_CHARACTERS + 1),
    ],
)
def test_a_wrong_expression_is_a_fault(pattern: str) -> None:
    with pytest.raises(GrammarFault):
        regex_to_gbnf(pattern)


def test_letters_without_a_counterpart_of_one_character_stay_alone() -> None:
    assert lark_to_gbnf("start: /[ßa]/i").splitlines()[1] == "l-start ::= ([ßAa])"


_pieces = st.lists(
    st.one_of(
        st.sampled_from(
            'start: a b : | ( ) [ ] * + ? ~ .. . -> { } , % %ignore %import common.INT "x" "\\ "i /a/ / \\ \\x \\u \\U \\N{x} '
            "' # // ^ $ (?: (?P<n> (?= [^ \\d \\D \\1 {2} {2,1} {,} a-z !? 1 22 _ ~1..2".split(" ")
        ),
        st.sampled_from(["\n", " ", "\t", "\r", "\0"]),
        st.text(max_size=3),
    ),
    max_size=25,
).map("".join)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(_pieces)
def test_whatever_is_written_there_is_no_other_error(text: str) -> None:
    for grammar in (text, f"start: {text}", f'start: "{text}"', f"start: /{text}/"):
        for translate in (lark_to_gbnf, regex_to_gbnf):
            with contextlib.suppress(GrammarError):
                assert translate(grammar).encode()


GROWING: dict[str, Any] = {
    "names": lambda n: "start: " + "a " * (n // 2) + '\na: "x"',
    "strings": lambda n: "start: " + '"a"i ' * (n // 5),
    "deep": lambda n: "start: " + ("(" * 60 + '"a"' + ")" * 60) * (n // 123),
    "ignored": lambda n: "start: " + '"a" ' * (n // 4) + '\n%ignore "b"',
    "rules": lambda n: "\n".join(f'r{i}: "a"' for i in range(n // 12)) + "\nstart: r1",
    "an open string": lambda n: 'start: "' + "a" * (n - 10),
    "marks": lambda n: "!" * n,
    "slashes": lambda n: "start: " + "/a" * (n // 2 - 10),
    "an expression": lambda n: "start: /" + "a" * (n - 10) + "/",
    "lines": lambda n: 'start: "a"' + "\n " * (n // 2 - 10),
    "groups": lambda n: "start: /" + "(?<a>b)" * (n // 7 - 5) + "/",
    "a group's name": lambda n: "start: /(?<" + "a" * (n - 20) + "/",
    "braces": lambda n: "start: /" + "a{" * (n // 2 - 10) + "/",
    "classes": lambda n: "start: /[" + "a" * (n - 20) + "]/",
}


@pytest.mark.parametrize("kind", GROWING)
def test_the_cost_grows_with_the_length(kind: str) -> None:
    def translate(text: str) -> None:
        with contextlib.suppress(GrammarError):
            lark_to_gbnf(text)

    assert_linear(lambda n: cpu_time(lambda: translate(GROWING[kind](n))), MOST_CHARACTERS // 8 - 20)
