"""`/docs` and `/docs/guide`: what is served, under which policy; the libraries in the package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config
from antiphon.server.pages import guide
from antiphon.server.pages.files import FILES, static_file
from tests.server.handlers import call
from tests.server.serving import serving

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
STATIC = ROOT / "src/antiphon/server/pages/static"
PAGES = sorted(guide.guide_pages())


@pytest.fixture(scope="module")
def served():
    backends = {"s": BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")}
    config = Config(store="memory", backends=backends, api_keys=["key"])
    with serving(build(config), config) as served:
        yield served


@pytest.mark.parametrize("path", ["/docs", "/docs/guide", "/docs/guide/tutorials/first-answer", "/v1/docs", "/docs/"])
def test_a_page_needs_no_key_and_nothing_from_elsewhere(served, path):
    answer = call(served.url, "GET", path)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    head = answer.body.decode().partition("<body>")[0]
    assert not re.search(r"(src|href)=\"(https?:)?//", head) and "<script>" not in head and "<style" not in head


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/", "/v1/docs", "/docs/guide", "/docs/guide/", "/docs/guide/tutorials/first-answer"]
)
def test_its_files_are_found_from_wherever_it_is_shown(served, path):
    page = call(served.url, "GET", path).body.decode()
    (up,) = re.findall(r'<base href="([./]+)">', page)
    folders = path.split("/")[1:-1]
    climbed = folders[: len(folders) - up.count("../")]
    for name in re.findall(r'(?:src|href)="(docs/assets/[^"]+)"', page):
        assert call(served.url, "GET", "/" + "/".join([*climbed, name])).status == 200


@pytest.mark.parametrize("name", FILES)
def test_files_are_sent_once(served, name):
    answer = call(served.url, "GET", f"/docs/assets/{name}")
    assert answer.headers["content-type"].startswith(("text/javascript", "text/css"))
    again = call(served.url, "GET", f"/docs/assets/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/assets/api.html",
        "/docs/assets/..%2Fapi.html",
        "/docs/guide/..%2F..%2FREADME",
        "/docs/guide/no",
        "/docs/guide/no.md",
    ],
)
def test_other_files_are_not_served(served, path):
    assert call(served.url, "GET", path).status == 404


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_the_guide_is_sent_as_html_and_as_markdown(served, path):
    raw = call(served.url, "GET", f"/docs/guide/{path}")
    assert raw.headers["content-type"] == "text/markdown; charset=utf-8"
    assert raw.body.decode().startswith("# ") and "<!-- " not in raw.body.decode().replace("`<!-- ", "")
    page = call(served.url, "GET", f"/docs/guide/{path.removesuffix('.md')}")
    assert page.status == 200 and 'aria-current="page"' in page.body.decode()


def test_every_page_of_the_documentation_is_in_it():
    assert set(PAGES) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_language_models_get_a_list_whose_links_work(served):
    text = call(served.url, "GET", "/llms.txt").body.decode()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert text.startswith("# Antiphon\n\n> ") and len(links) == len(PAGES) - 1
    assert call(served.url, "GET", f"/{links[0]}").status == 200
    whole = call(served.url, "GET", "/llms-full.txt").body.decode()
    assert whole.count("Source: docs/guide/") == len(PAGES)


def test_libraries_of_others_are_their_releases_unchanged_with_their_licences():
    told = (DOCS / "dependencies.md").read_text()
    for name, path in FILES.items():
        if "/vendor/" in path:
            assert f"`{hashlib.sha256(static_file(name).content).hexdigest()}`" in told, name
            assert (STATIC / path).parent.joinpath("LICENSE").is_file(), name


def test_no_text_of_a_page_is_read_as_html():
    script = static_file("guide.mjs").content.decode()
    assert "html: false" in script and script.count("innerHTML") == 1
    for name in ("guide.mjs", "api.mjs"):
        assert not re.search(
            r"insertAdjacentHTML|document\.write|\beval\(|new Function", static_file(name).content.decode()
        )
