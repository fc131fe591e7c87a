"""Paths, methods, variables."""

from __future__ import annotations

import pytest

from antiphon.errors import APIError
from antiphon.server.http.messages import Reply
from antiphon.server.http.router import RouteTable
from tests.server.handlers import call


async def handler(request) -> Reply:
    return Reply(b"{}")


@pytest.fixture
def router() -> RouteTable:
    router = RouteTable()
    router.add("POST", "/responses", handler)
    router.add("GET", "/responses/{id}", handler)
    router.add("POST", "/responses/input_tokens", handler)
    router.add("POST", "/responses/{id}/cancel", handler)
    router.add("GET", "/models", handler)
    router.add("GET", "/models/{id:path}", handler)
    router.add("GET", "/", handler)
    router.websocket("/responses", handler)
    return router


FOUND = [
    ("POST", b"/responses", "/responses", {}),
    ("POST", b"/v1/responses", "/responses", {}),
    ("POST", b"/v1/responses/", "/responses", {}),
    ("GET", b"/v1/responses/resp_1", "/responses/{id}", {"id": "resp_1"}),
    ("HEAD", b"/v1/responses/resp_1", "/responses/{id}", {"id": "resp_1"}),
    ("POST", b"/responses/input_tokens", "/responses/input_tokens", {}),
    ("POST", b"/responses/a%20b%2Fc/cancel", "/responses/{id}/cancel", {"id": "a b/c"}),
    ("GET", b"/models/org/model", "/models/{id:path}", {"id": "org/model"}),
    ("GET", b"/v1/models/org%2Fmodel%3A7b/", "/models/{id:path}", {"id": "org/model:7b"}),
    ("GET", b"/models/%C3%BC", "/models/{id:path}", {"id": "ü"}),
    ("GET", b"/", "/", {}),
    ("GET", b"", "/", {}),
    ("GET", b"/v1", "/", {}),
]


@pytest.mark.parametrize(("method", "path", "route", "params"), FOUND)
def test_finds(router, method, path, route, params):
    match = router.match(method, path)
    assert (match.route.path, match.params) == (route, params)


MISSED = [
    ("GET", b"/response", 404),
    ("GET", b"/responses/a/b", 404),
    ("GET", b"/v2/models", 404),
    ("GET", b"/v1/v1/models", 404),
    ("GET", b"/responses/input_tokens", 405),
    ("GET", b"/responses", 426),
    ("PUT", b"/responses", 405),
    ("HEAD", b"/responses", 405),
    ("GET", b"/responses/{id}/cancel", 405),
    ("GET", b"\xff\xfe", 404),
    ("DELETE", b"/models/org/model", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), MISSED)
def test_misses(router, method, path, status):
    with pytest.raises(APIError) as caught:
        router.match(method, path)
    assert caught.value.status == status
    assert ":path" not in caught.value.message  # the route as the documents write it


def test_two_handlers_for_one_place_are_a_mistake(router):
    with pytest.raises(ValueError, match="two handlers"):
        router.add("POST", "/responses", handler)


def test_all_routes_are_listed(router):
    listed = {(route.method, route.path) for route in router.routes}
    assert len(listed) == 7 and ("POST", "/responses/{id}/cancel") in listed


def test_slashes_of_a_model_id_survive_the_wire(plain, mode):
    for path in ("/v1/models/a/b", "/v1/models/a%2Fb", "/models/a%2fb"):
        assert call(plain(mode).url, "GET", path).json()["params"] == {"id": "a/b"}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (b"/v1/response", "did you mean /v1/responses?"),
        (b"/modles", "did you mean /models?"),
        (b"/v1/responses/input_token/x", "did you mean /v1/responses/input_tokens?"),
        (b"/v1/zzzz", ""),
        (b"/v1/" + b"a" * 5000, ""),
        (b"/v1/v1/models", "'/v1' stands in it twice"),
    ],
)
def test_an_unknown_path_names_the_nearest(router: RouteTable, path: bytes, hint: str) -> None:
    with pytest.raises(APIError) as caught:
        router.match("GET", path)
    assert caught.value.status == 404
    assert (hint in caught.value.message) if hint else "did you mean" not in caught.value.message
