"""Markdown of answers: what is shown, also while it grows; what is never made of text."""

from __future__ import annotations

import json
import random

import pytest

from tests.page.browser import Page

IMPORT = "import('/playground/items.mjs').then(({ItemView}) => window.ItemView = ItemView)"


def answer(text: str) -> str:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return json.dumps({"type": "message", "role": "assistant", "status": "completed", "content": content})


def show(page: Page, text: str) -> None:
    """Show a finished answer."""
    page.js(IMPORT)
    page.js(f"document.querySelector('#thread').replaceChildren(new ItemView({answer(text)}).element)")


def count(page: Page, selector: str) -> int:
    return int(page.js(f"document.querySelectorAll({json.dumps(f'#thread .text {selector}')}).length"))


TOUR = {
    "lists keep their depth": ("- a\n  - b\n    - c\n      - d", {"ul ul ul ul": 1}),
    "a numbered list goes on": ("3. c\n4. d", {"ol[start='3'] > li": 2}),
    "an escaped pipe is no cell": ("| a | b |\n|---|---|\n| x\\|y | `p\\|q` |", {"tbody td": 2, "td code": 1}),
    "columns are aligned": ("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |", {"td.center": 1, "td.right": 1, "td": 3}),
    "quotes are nested": ("> a\n>\n> > b", {"blockquote blockquote": 1}),
    "struck out": ("~~gone~~", {"s": 1}),
    "tasks": ("- [ ] a\n- [x] b", {"li > input[type=checkbox]": 2, "input:checked": 1}),
    "footnotes": ("A[^1].\n\n[^1]: The note.", {"sup.cited": 1, "ol.notes li": 1}),
    "entities": ("&amp; &lt;b&gt;", {"b": 0}),
    "a link ends before the full stop": ("See https://example.com/a.", {"a[href='https://example.com/a']": 1}),
    "emphasis": ("**b** *i* `c`", {"strong": 1, "em": 1, "code": 1}),
    "headings": ("# a\n\nSetext\n---", {"h3": 1, "h4": 1}),
    "HTML is text": ("<b>x</b>\n\n<script>document.title = 1</script>", {":is(b, script)": 0}),
    "only web addresses are links": ("[a](javascript:alert(1)) [b](/x) [c](data:text/html,x)", {"a": 0}),
    "no picture is fetched": ("![x](http://192.0.2.1/x.png)", {"img": 0, "a": 1}),
    "money is no math": ("It is $5 and then $10.", {".math": 0}),
    "math": ("$a^2$ and \\(b\\)\n\n$$\nc\n$$\n\n\\[ d \\]", {".math": 4, ".math.display": 2}),
}


@pytest.mark.parametrize(("text", "expected"), TOUR.values(), ids=list(TOUR))
def test_markdown(page: Page, text: str, expected: dict[str, int]) -> None:
    show(page, text)
    assert {selector: count(page, selector) for selector in expected} == expected


def test_text_of_entities_and_of_what_is_no_link(page: Page) -> None:
    show(page, "&amp; [a](javascript:alert(1)) <i>")
    assert page.text("#thread .text") == "& [a](javascript:alert(1)) <i>"


def test_code_is_coloured_and_copied(page: Page) -> None:
    show(page, "```python\ndef f():\n    return 'x'  # y\n```\n\n```nolanguage\nplain\n```")
    page.wait("document.querySelector('#thread .hl-keyword')")
    assert page.text("#thread .hl-keyword") == "def"
    assert page.js("document.querySelectorAll('#thread pre')[1].childElementCount") == 0
    page.js(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => (window.copied = text)}})"
    )
    page.click("#thread .code button")
    assert page.js("copied") == "def f():\n    return 'x'  # y"


def test_formulas_are_laid_out_and_broken_ones_are_told(page: Page) -> None:
    show(page, "$\\frac{a}{b}$ and $\\nosuch{x}$ and $\\href{http://192.0.2.1/}{z}$")
    page.wait("document.querySelector('#thread .katex .mfrac')")
    assert count(page, ".math a") == 0
    assert "nosuch" in page.text("#thread .text")
    assert any("katex.min.css" in url for url in page.requests)


LONG = "\n\n".join(
    [*(text for text, _ in TOUR.values()), "```js\nlet a = 1;\n\nlet b;\n```", "[r]: https://example.com/r", "A [r]."]
)


@pytest.mark.parametrize("seed", range(3))
def test_text_that_grows_ends_as_if_it_had_come_at_once(page: Page, seed: int) -> None:
    page.js("import('/playground/text/flow.mjs').then(({Flow}) => window.Flow = Flow)")
    page.js("import('/playground/markdown.mjs').then(({markdown}) => window.whole = markdown)")
    show(page, "$a$ `b`\n```js\n1\n```")  # both libraries are there
    page.wait("document.querySelector('#thread .katex') && document.querySelector('#thread .hl-number')")
    rng, ends = random.Random(seed), [0]
    while ends[-1] < len(LONG):
        ends.append(min(len(LONG), ends[-1] + rng.randrange(1, 60)))
    page.js(f"window.text = {json.dumps(LONG)}; window.flow = new Flow(document.createElement('div')); 1")
    page.js(f"{ends}.forEach((end) => flow.show(text.slice(0, end), false)); flow.show(text, true); 1")
    page.js("window.other = document.createElement('div'); other.append(whole(text)); 1")
    assert page.js("flow.element.isEqualNode(other)"), page.js("[flow.element.outerHTML, other.outerHTML]")


def test_a_block_that_has_ended_is_not_laid_out_again(page: Page) -> None:
    page.js("import('/playground/text/flow.mjs').then(({Flow}) => window.Flow = Flow)")
    text = "".join(f"Paragraph {number} with *some* words.\n\n" for number in range(200))
    page.js(f"window.text = {json.dumps(text)}; window.flow = new Flow(document.createElement('div')); 1")
    page.js(
        "window.added = 0; new MutationObserver((list) => list.forEach((one) => added += one.addedNodes.length))"
        ".observe(flow.element, {childList: true}); 1"
    )
    page.js("(async () => { for (let end = 0; end < text.length; end += 20) flow.show(text.slice(0, end), false);"
            " flow.show(text, true); await null; })()")  # fmt: skip
    assert page.js("flow.element.childElementCount") == 200
    assert page.js("added") < 2 * 200  # each once, and a few while they grew


BOMBS = {
    "stars": "*",
    "openings of formulas": "\\(",
    "openings of formulas in lines": "\\[\n",
    "dollars": "$a ",
    "brackets": "![",
    "notes": "^[",
    "quotes": "> ",
    "code": "``",
    "formulas": "$x_1$ ",
}


@pytest.mark.parametrize("size", [150_000, 1_000_000])
@pytest.mark.parametrize("piece", BOMBS.values(), ids=list(BOMBS))
def test_a_text_that_is_made_to_take_long(page: Page, piece: str, size: int) -> None:
    """Some of these took minutes: the time grew with the square of the text."""
    page.js(IMPORT)
    page.js(
        f"window.content = {answer('TEXT')}; content.content[0].text = {json.dumps(piece)}.repeat({size // len(piece)})"
    )
    page.js(
        "window.started = performance.now(); document.querySelector('#thread').replaceChildren(new ItemView(content).element)"
    )
    assert float(page.js("performance.now() - started")) < 20_000
    assert page.js("document.querySelector('#thread .text').childNodes.length > 0")
    assert count(page, "p.note") == (size > 200_000)


@pytest.mark.parametrize("define", ["\\def", "\\gdef", "\\edef", "\\newcommand", "\\let"])
def test_a_formula_that_defines_commands_stays_as_it_is(page: Page, define: str) -> None:
    bomb = f"{define}\\a{{{'x' * 4000}}}" + "\\a" * 190
    show(page, f"${bomb}$ and $b$")
    page.wait("document.querySelector('#thread .math .katex')")
    assert page.text("#thread .math") == f"${bomb}$"


@pytest.mark.parametrize(("language", "piece"), [("c", "a"), ("csharp", "A"), ("ruby", "\n"), ("bash", "1e")])
def test_code_that_is_made_to_take_long_has_no_colours(page: Page, language: str, piece: str) -> None:
    """One such block took 9 s."""
    show(page, "```js\nlet a = 1\n```")
    page.wait("document.querySelector('#thread .hl-keyword')")
    show(page, f"```{language}\n{piece * (29_000 // len(piece))};\n```")
    assert count(page, "figure.code pre") == 1 and count(page, "figure.code span") == 0
