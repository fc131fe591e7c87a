"""`/docs/guide` and `/docs` in the browser: Markdown becomes a page, links lead somewhere, search finds, nothing is blocked."""

from __future__ import annotations

import json

import pytest

from antiphon.server.pages.guide import guide_pages
from tests.page.browser import Page
from tests.server.whole import Client


def read(page: Page, server: Client, path: str) -> None:
    """Go to a page of the guide and wait until it is shown."""
    page.goto(f"{server.url}/docs/guide/{path}")
    page.wait("document.querySelector('#text h1')")


def test_a_page_is_shown_and_search_finds(page: Page, server: Client) -> None:
    read(page, server, "tutorials/first-answer")
    assert page.text("#text h1") == "First answer"
    assert page.js("document.querySelectorAll('#text pre').length") > 4
    page.type("#find", "pgbouncer transaction")
    page.wait("document.querySelector('#found a')")
    assert "Transaction mode" in page.text("#found ol")
    page.click("#found a")
    page.wait("location.pathname.endsWith('/operate/pgbouncer') && document.querySelector('#text h1')")


LINKS = """
(async () => {
  const bad = [];
  for (const link of document.querySelectorAll("#text a[href]")) {
    const url = new URL(link.href);
    if (url.origin !== location.origin) continue;
    const answer = await fetch(url, { method: "HEAD" });
    const here = url.pathname === location.pathname;
    if (!answer.ok || (here && url.hash && !document.getElementById(decodeURIComponent(url.hash.slice(1))))) bad.push(link.href);
  }
  return bad;
})()
"""


def test_links_of_all_pages_lead_somewhere(page: Page, server: Client) -> None:
    for path in guide_pages():
        read(page, server, path.removesuffix(".md"))
        assert page.js(LINKS) == [], path


def test_text_of_a_page_is_never_an_element(page: Page, server: Client) -> None:
    read(page, server, "index")
    made = page.js(f"globalThis.markdownit({{ html: false }}).render({json.dumps('<img src=x onerror=alert(1)>')})")
    assert "&lt;img" in made


def test_the_api_is_shown_with_a_form_to_try_it(page: Page, server: Client) -> None:
    page.goto(server.url + "/docs")
    page.wait("document.querySelector('#operations-Responses-post_responses')")
    page.click("#operations-Responses-post_responses button.opblock-summary-control")
    page.wait("document.querySelector('.try-out__btn')")
    page.click(".try-out__btn")
    page.wait("document.querySelector('.execute')")


SWAGGER = {"nested-interactive": {"enabled": False}}
"""What Swagger UI does against a rule: a link to copy stands in the button that opens an operation."""


@pytest.mark.parametrize("path", ["docs", "docs/guide", "docs/guide/keys"])
@pytest.mark.parametrize(
    ("width", "dark"), [(1440, False), (1440, True), (400, False)], ids=["light", "dark", "narrow"]
)
def test_axe_finds_nothing_serious(page: Page, server: Client, axe: str, path: str, width: int, dark: bool) -> None:
    page.goto(f"{server.url}/{path}")
    page.look(width, dark=dark)
    page.wait("document.querySelector('#text h1, #operations-Responses-post_responses')")
    page.js(axe + "; 1")
    options = f"{{resultTypes: ['violations'], rules: {json.dumps(SWAGGER if path == 'docs' else {})}}}"
    found = page.js(f"axe.run(document, {options}).then((found) => found.violations)")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, "\n".join(
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in serious for node in one["nodes"][:5]
    )
