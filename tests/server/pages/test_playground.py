"""The page's files as they are served, and the comments by which it listens to the backend."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from importlib import resources
from pathlib import Path

import pytest

from antiphon.server.pages.playground import assets
from tests.server.whole import Client, parse_events, whole_server

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with whole_server() as client:
        yield client


def get(server: Client, path: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    return urllib.request.urlopen(urllib.request.Request(server.url + path, headers=dict(headers or {})), timeout=10)


def test_the_page_asks_for_files_that_there_are(server: Client) -> None:
    with get(server, "/") as page:
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        wanted = re.findall(r'(?:src|href)="playground/([^"]+)"', page.read().decode())
    assert {"main.mjs", "style.css"} <= set(wanted) <= set(assets())
    for name, text in own().items():
        for imported in re.findall(r'(?:from|import|import\() ?"(\.[^"]+)"', text):
            assert posixpath.normpath(posixpath.join(posixpath.dirname(name), imported)) in assets(), (name, imported)


def own() -> dict[str, str]:
    """Return the page's own files, without those of others and pictures of letters."""
    return {name: asset.content.decode() for name, asset in assets().items() if not name.startswith("vendor/")}


def test_libraries_of_others_are_their_releases_unchanged_with_their_licences() -> None:
    told = (DOCS / "dependencies.md").read_text()
    folder = resources.files("antiphon.server.pages") / "static" / "playground"
    for name, asset in assets().items():
        if name.startswith("vendor/") and not name.endswith(".woff2"):
            assert f"`{hashlib.sha256(asset.content).hexdigest()}`" in told, name
            assert (folder / posixpath.dirname(name) / "LICENSE").is_file(), name
    assert sum(len(asset.content) for asset in assets().values()) < 1_200_000


def test_scripts_of_others_and_scripts_in_text_are_forbidden(server: Client) -> None:
    for path in ("/", "/playground/main.mjs"):
        with get(server, path) as answer:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
            assert "require-trusted-types-for 'script'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_turns_text_into_html_and_no_other_host_is_named() -> None:
    for name, text in own().items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )
        hosts = re.findall(r"https?://[\w.]+", text)
        assert set(hosts) <= {"http://www.w3.org", "http://localhost"}, name  # a name space; the text of a curl command


def test_names_of_others_turn_no_text_around() -> None:
    """Blocks are isolated by browsers; what stands in a line has to be, or a name with U+202E reverses what is beside it."""
    style = (resources.files("antiphon.server.pages") / "static" / "playground" / "style.css").read_text()
    rule = re.search(r"^([a-z, ]+) \{ unicode-bidi: isolate \}$", style, re.MULTILINE)
    assert rule is not None and {"a", "b", "code", "span", "small", "time"} <= set(rule[1].split(", "))


def test_what_is_known_is_not_sent_again(server: Client) -> None:
    with get(server, "/playground/style.css") as answer:
        tag = answer.headers["etag"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server, "/playground/style.css", {"if-none-match": tag})
    with caught.value as error:
        assert (error.code, error.read()) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.mjs", "..%2Fdocs.html", "%2Fetc%2Fpasswd"])
def test_other_files_are_not_served(server: Client, name: str) -> None:
    status, body = server.get(f"/playground/{name}")
    assert (status, body["error"]["code"]) == (404, "not_found")


def stream(server: Client, headers: Mapping[str, str]) -> str:
    body = json.dumps({"model": "scripted", "input": "/think Hm\n/delay 0.01\n/call f {}", "stream": True}).encode()
    request = urllib.request.Request(f"{server.url}/v1/responses", body, dict(headers))
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_what_the_backend_said_comes_before_what_was_made_of_it(server: Client) -> None:
    blocks = stream(server, {"x-antiphon-trace": "deltas"}).split("\n\n")
    comments = [block for block in blocks if block.startswith(":")]
    said = [one for comment in comments for one in json.loads(comment.removeprefix(": backend "))]
    kinds = "ReasoningDelta CallStart CallDelta Finish UsageReport".split()
    assert [one["said"] for one in said] == kinds
    assert said[0] == {"said": "ReasoningDelta", "text": "Hm"}
    assert said[1]["name"] == "f"
    place = next(place for place, block in enumerate(blocks) if '"CallDelta"' in block)
    assert blocks[place + 1].startswith("event: response.function_call_arguments.delta")
    events = parse_events("\n\n".join(block for block in blocks if not block.startswith(":")).encode())
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_who_does_not_ask_gets_no_comments(server: Client) -> None:
    assert ": backend" not in stream(server, {})
