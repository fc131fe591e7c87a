"""Grammars → GBNF."""

from __future__ import annotations

import pytest

from antiphon.core.grammar import GrammarError, lark_to_gbnf, regex_to_gbnf

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
