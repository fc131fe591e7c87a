"""web_search by the real server: searches, pages, citations, and what may not be opened."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.config import Config, KeyConfig
from antiphon.config.tools import ToolsConfig
from antiphon.config.web_search import WebSearchConfig
from tests.golden.rules import check_stream
from tests.server.chat_model import ChatModel, call, last_question, told
from tests.server.test_matrix import MODES, end_of, essence
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.web.site import Web, web

pytestmark = pytest.mark.slow

SEARCH = ["web_search", {"queries": ["fund"]}]


class Planned(ChatModel):
    """A model that does what the user says, in hexadecimal: `calls`, one for each Turn, and what to `say` at the end."""

    models = ("m", "text")

    def deltas(self, request: Json) -> list[Json]:
        messages = request["messages"]
        last = last_question(messages)
        content = messages[last]["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        plan = json.loads(bytes.fromhex(text.partition("PLAN ")[2]) or b'{"calls": [], "say": "Hm."}')
        done = len(told(messages[last:]))
        if done < len(plan["calls"]) and request.get("tools"):
            name, arguments = plan["calls"][done]
            return [{"tool_calls": [call(name, json.dumps(arguments), f"call_{done}")]}]
        return [{"content": plan["say"]}]

    @classmethod
    def told(cls) -> list[str]:
        """Return what the tools have told the model, as its last call has it."""
        return told(cls.asked[-1]["messages"])


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with web() as url:
        yield url


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with upstream(Planned) as url:
        yield url


def settings(base: str, **fields: Any) -> ToolsConfig:
    given = {"provider": f"searxng={base}", "guard_allow": ["127.0.0.0/8"], "timeout": 5.0, **fields}
    return ToolsConfig(web_search=WebSearchConfig(**given))


@pytest.fixture(scope="module")
def client(base: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = str(tmp_path_factory.mktemp("store") / "antiphon.db")
    with whole_server(model, store=store, tools=settings(base)) as served:
        yield served


def plan(*calls: Any, say: str = "Done.", before: str = "", **fields: Any) -> Json:
    text = f"{before} PLAN {json.dumps({'calls': calls, 'say': say}).encode().hex()}"
    return {"model": "m", "input": text, "tools": [{"type": "web_search"}], **fields}


def calls_of(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "web_search_call"]


def whole_plan(**fields: Any) -> Json:
    return plan(
        SEARCH,
        ["open_page", {"url": "1"}],
        ["find_in_page", {"url": "1", "pattern": "MONDAY"}],
        say="It did lapse【1】 on Monday【1†page】.",
        **fields,
    )


def test_search_open_find_and_cite(client: Client, base: str) -> None:
    events = client.stream(**whole_plan(include=["web_search_call.action.sources"]))
    check_stream(events)
    response = end_of(events)
    assert [item["action"] for item in calls_of(response)] == [
        {
            "type": "search",
            "query": "fund",
            "queries": ["fund"],
            "sources": [{"type": "url", "url": f"{base}/{name}"} for name in ("article", "more.html")],
        },
        {"type": "open_page", "url": f"{base}/article"},
        {"type": "find_in_page", "url": f"{base}/article", "pattern": "MONDAY"},
    ]
    assert {item["status"] for item in calls_of(response)} == {"completed"}
    part = response["output"][-1]["content"][0]
    link = f"([127.0.0.1]({base}/article))"
    assert part["text"] == f"It did lapse {link} on Monday {link}."
    for one in part["annotations"]:
        assert part["text"][one["start_index"] : one["end_index"]] == link
        assert (one["url"], one["title"]) == (f"{base}/article", "Lapse & relapse")
    assert response["tool_usage"]["web_search"] == {"num_requests": 1}
    search, page, found = Planned.told()
    assert search.startswith(f"【1†{base}/article】 Lapse & relapse\nThe fund lapsed.\n\n【2†{base}/more.html】 More")
    assert page.startswith(f"【1†{base}/article】 Lapse & relapse\n# The fund\n\nThe fund did lapse on Monday at noon.")
    assert "lapse on Monday at noon" in found and "Menu entry" not in page


def test_every_mode(client: Client) -> None:
    expected = essence(end_of(client.stream(**whole_plan())))
    assert "sources" not in json.dumps(expected)
    for mode in MODES:
        assert essence(mode(client, whole_plan())) == expected, mode.__name__


def test_the_next_response_cites_what_was_found_before(client: Client, base: str) -> None:
    first = client.create(**plan(SEARCH))
    then = client.create(**plan(say="More【2】."), previous_response_id=first["id"])
    (cited,) = then["output"][-1]["content"][0]["annotations"]
    assert cited["url"] == f"{base}/more.html"


def test_the_declaration_is_echoed_with_its_defaults(client: Client) -> None:
    location = {"type": "approximate", "country": "DE"}
    tool = {"type": "web_search_preview", "user_location": location}
    response = client.create(**plan(tools=[{"type": "web_search"}, tool]))
    nowhere = {"type": "approximate", "country": None, "region": None, "city": None, "timezone": None}
    assert response["tools"] == [
        {"type": "web_search", "filters": None, "search_context_size": "medium", "user_location": nowhere},
        {"type": "web_search_preview", "user_location": {**nowhere, "country": "DE"}, "search_context_size": "medium"},
    ]
    assert "The user is near DE." in Planned.asked[-1]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"search_context_size": "huge"}, "tools[0].search_context_size"),
        ({"filters": {"allowed_domains": "a.example"}}, "tools[0].filters.allowed_domains"),
        ({"filters": {"allowed_domains": ["a"] * 101}}, "tools[0].filters.allowed_domains"),
        ({"user_location": {"type": "exact"}}, "tools[0].user_location.type"),
        ({"external_web_access": "no"}, "tools[0].external_web_access"),
    ],
)
def test_a_wrong_declaration_is_refused(client: Client, fields: Json, param: str) -> None:
    asked = plan(tools=[{"type": "web_search", **fields}])
    for mode in ({}, {"stream": True}, {"background": True}):
        status, body = client.post("/v1/responses", **asked, **mode)
        assert (status, body["error"]["param"]) == (400, param)
    with client.websocket() as connection:
        (event,) = turn(connection, **asked)
        assert (event["status"], event["error"]["param"]) == (400, param)


def test_domains(client: Client, base: str) -> None:
    tool = {"type": "web_search", "filters": {"allowed_domains": ["https://a.example/"]}}
    response = client.create(**plan(SEARCH, ["open_page", {"url": f"{base}/article"}], tools=[tool]))
    assert Web.asked[-1]["query"]["q"] == "fund site:a.example"
    assert Planned.told() == ["Nothing was found.", "Error: Pages of this domain may not be opened."]
    assert [item["status"] for item in calls_of(response)] == ["completed", "failed"]


@pytest.mark.parametrize(
    ("before", "opened", "allowed"),
    [
        ("", "{base}/plain.txt?q=secret", False),
        ("Read {base}/plain.txt.", "{base}/plain.txt", True),
        ("Read {base}/plain.txt.", "{base}/plain.txt?q=secret", False),
        ("", "{base}/more.html#part", True),
        ("What does evil.example say?", "https://evil.example/?q=secret", False),
        ("", "7", False),
        ("", "file:///etc/passwd", False),
    ],
)
def test_only_what_was_named_is_opened(client: Client, base: str, before: str, opened: str, allowed: bool) -> None:
    Web.opened.clear()
    url = opened.format(base=base)
    response = client.create(**plan(SEARCH, ["open_page", {"url": url}], before=before.format(base=base)))
    assert calls_of(response)[1]["status"] == ("completed" if allowed else "failed")
    assert bool(Web.opened) is allowed


def test_a_page_that_an_opened_page_links_to(client: Client, base: str) -> None:
    response = client.create(
        **plan(
            ["open_page", {"url": f"{base}/article"}],
            ["open_page", {"url": f"{base}/more.html"}],
            before=f"{base}/article",
        )
    )
    assert [item["status"] for item in calls_of(response)] == ["completed", "completed"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/packed", "The fund did lapse on Monday"),
        ("/to-article", "The fund did lapse on Monday"),
        ("/latin", "café"),
        ("/plain.txt", "Plain text."),
        ("/report.pdf", "The fund is in the report.\n\nIts second page"),
        ("/download", "A paragraph of a document"),
        ("/cut.pdf", "Error: The document cannot be read: The PDF file is broken."),
        ("/scan.pdf", "Error: The document cannot be read: "),
        ("/archive.zip", "Error: The document cannot be read: "),
        ("/bomb", "Error: The page cannot be fetched"),
        ("/picture.png", "Error: The page is no text: its type is image/png."),
        ("/gone", "Error: The page cannot be fetched: its server answered with status 404."),
        ("/to-metadata", "Error: The URL's host '169.254.169.254' resolves to a private or reserved address"),
    ],
)
def test_pages(base: str, client: Client, path: str, told: str) -> None:
    client.create(**plan(["open_page", {"url": base + path}], before=f"See {base}{path}"))
    (text,) = Planned.told()
    assert told in text


def test_private_pages_are_not_opened_without_the_operators_word(base: str, model: str) -> None:
    Web.opened.clear()
    with whole_server(model, tools=settings(base, guard_allow=[])) as client:
        client.create(**plan(SEARCH, ["open_page", {"url": "1"}]))
    assert Planned.told()[1] == (
        "Error: The URL's host '127.0.0.1' resolves to a private or reserved address, which is not allowed."
    )
    assert not Web.opened


def test_the_operators_bounds(base: str, model: str) -> None:
    bounds = {"page_bytes": 1_000_000, "per_response": 1, "blocked_domains": ["example"], "open_only_found": False}
    with whole_server(model, tools=settings(base, **bounds)) as client:
        client.create(
            **plan(
                SEARCH, SEARCH, ["open_page", {"url": f"{base}/large"}], ["open_page", {"url": "https://a.example/"}]
            )
        )
    assert Planned.told()[1:] == [
        "Error: A response makes at most 1 searches.",
        "Error: The page is larger than 1000000 bytes.",
        "Error: Pages of this domain may not be opened.",
    ]


@pytest.mark.parametrize("arguments", ["{}", '"x"', "[1]", '{"queries": [7]}', '{"queries": []}'])
def test_arguments_that_are_wrong(client: Client, arguments: str) -> None:
    response = client.create(**plan(["web_search", json.loads(arguments)]))
    (call,) = calls_of(response)
    assert call["status"] == "failed" and call["action"] == {"type": "search", "query": "", "queries": []}


def test_a_provider_that_fails_is_told(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    response = client.create(**plan(["web_search", {"queries": ["status 403"]}]))
    assert calls_of(response)[0]["status"] == "failed"
    assert Planned.told() == ["Error: The search provider answered with status 403."]


def test_without_web_access_nothing_is_offered(client: Client) -> None:
    body = json.dumps(plan(SEARCH, tools=[{"type": "web_search", "external_web_access": False}])).encode()
    Web.asked.clear()
    with urllib.request.urlopen(urllib.request.Request(f"{client.url}/v1/responses", body), timeout=20) as reply:
        made = json.load(reply)
        assert reply.headers["x-antiphon-ignored"] == "web_search"
    assert not Web.asked and "tools" not in Planned.asked[-1] and not calls_of(made)


@pytest.mark.parametrize("choice", [{"type": "web_search"}, {"type": "web_search_preview"}, "required"])
def test_forced_once(client: Client, choice: Any) -> None:
    Planned.asked.clear()
    client.create(**plan(SEARCH, tool_choice=choice))
    assert [request.get("tool_choice") for request in Planned.asked] == ["required", None]


def test_off_with_keys(base: str, model: str, caplog: pytest.LogCaptureFixture) -> None:
    keys = {"ann": KeyConfig(key="sk-ann")}
    with whole_server(model, keys=keys) as served:
        request = urllib.request.Request(
            f"{served.url}/v1/responses", json.dumps(plan(SEARCH)).encode(), {"authorization": "Bearer sk-ann"}
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert reply.headers["x-antiphon-ignored"] == "web_search"
        status, body = Client(served.url, "sk-ann").post(
            "/v1/responses", **plan(SEARCH, tool_choice={"type": "web_search"})
        )
        assert (status, body["error"]["code"]) == (400, "tool_not_available")


def test_on_by_itself_on_loopback_without_keys(model: str) -> None:
    with whole_server(model) as client:
        client.create(**plan())
    assert [tool["function"]["name"] for tool in Planned.asked[-1]["tools"]] == [
        "web_search",
        "open_page",
        "find_in_page",
    ]


def test_calls_are_counted_and_timed(client: Client) -> None:
    client.create(**plan(SEARCH))
    with urllib.request.urlopen(f"{client.url}/metrics", timeout=20) as reply:
        page = reply.read().decode()
    labels = 'tool="web_search",kind="web_search",provider="searxng",outcome="ok"'
    assert f"antiphon_tool_duration_seconds_count{{{labels}}}" in page


def test_defaults() -> None:
    assert Config().tools.web_search == WebSearchConfig()
