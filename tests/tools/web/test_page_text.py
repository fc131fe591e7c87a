"""HTML → text: what a page says; hostile pages cost no more than their size."""

from __future__ import annotations

import sys

import pytest

from antiphon.tools.web.page_text import MOST_LINKS, MOST_TEXT, page_text
from antiphon.tools.web.pages import matches
from tests.growth import assert_linear, cpu_time
from tests.tools.web.site import ARTICLE

URL = "https://example.org/a/page.html"


def test_a_page() -> None:
    page = page_text(ARTICLE, URL)
    assert page.title == "Lapse & relapse"
    assert page.text == (
        "# The fund\n\nThe fund did lapse on Monday at noon.\n\n- first\n- second\n\nyear | 2025 |\n\na\n  b\n\n"
        "See [more of it](https://example.org/a/more.html) and this. It was a long story, and there are enough words in this"
        " paragraph that nobody can think it was a menu, whatever else there may be to say about menus."
    )
    assert page.links == {"https://example.org/a/more.html"}


def test_a_page_without_a_main_part_is_read_whole() -> None:
    assert page_text("<nav>Only a menu</nav>", URL).text == "Only a menu"
    long = "<header>Top</header><p>" + "word " * 100 + "</p>"
    assert page_text(long, URL).text.startswith("word word")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a < b <3 <>", "a < b <3 <>"),
        ("a<!-- b --> c<!-- d", "a c"),
        ("a<script>b</SCRIPT >c<script>d", "ac"),
        ("<a href='http://['>x</a> <a href=//b.example/c>y</a>", "x [y](https://b.example/c)"),
        ("<p>a<p>b<br>c", "a\n\nb\nc"),
        ("</div></a></pre>x", "x"),
        ("", ""),
    ],
)
def test_broken_pages(page: str, text: str) -> None:
    assert page_text(page, URL).text == text


def test_a_character_of_too_many_digits_is_text() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)  # as in the server
    try:
        page = "&lt;p&gt; &#" + "9" * 5000 + ";"
        assert page_text(page, URL).text == page
    finally:
        sys.set_int_max_str_digits(limit)


def test_its_size_is_bounded() -> None:
    page = page_text("".join(f"<a href='/{n}'>link {n}</a> " for n in range(60_000)), URL)
    assert len(page.text) <= MOST_TEXT and len(page.links) == MOST_LINKS


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    ["<", "<a ", "<a href='", "<!--", "<script>", "<div>", "</div>", "&#9", "&amp", "<nav>", "<main>", "<a href='/x'>", "<title>",
     "<article", "<p ", "<!", '<a "', " ", "<pre>\n"],
)  # fmt: skip
def test_its_time_is_linear(unit: str) -> None:
    assert_linear(lambda size: cpu_time(lambda: page_text(unit * size, URL)), 2000)


def test_text_in_a_page() -> None:
    text = "x" * 500 + " The Fund did lapse. " + "y" * 500
    (found,) = matches(text, "fund DID")
    assert "The Fund did lapse." in found and len(found) < 450
    assert matches(text, "") == matches(text, "zebra") == []
    assert len(matches("ab" * 100_000, "a")) == 10
