"""`/openapi.json` of the whole application."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import jsonschema_rs
import msgspec
import pytest

from antiphon import __version__
from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config
from antiphon.server.http.router import RouteTable
from antiphon.server.pages import openapi
from antiphon.server.pages.openapi import document
from antiphon.server.pages.operations import OPERATIONS
from tests.server.handlers import call
from tests.server.serving import serving

HTTP_METHODS = {"get", "post", "delete"}


@pytest.fixture(scope="module")
def app():
    return build(Config(store="memory", backends={"s": BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")}))


@pytest.fixture(scope="module")
def served(app):
    with serving(app) as served:
        yield served


@pytest.fixture(scope="module")
def spec(served):
    answer = call(served.url, "GET", "/openapi.json")
    assert answer.status == 200
    return answer.json()


def test_every_route_is_in_it(app, spec):
    documented = {(method.upper(), path) for path, methods in spec["paths"].items() for method in methods}
    for route in app.router.routes:
        path = re.sub(r"\{(\w+):path\}", r"{\1}", route.path)
        assert (route.method, path) in documented or (route.method, "/v1" + path) in documented


def test_what_it_documents_exists(served, spec):
    for path, methods in spec["paths"].items():
        for method in methods:
            answer = call(served.url, method.upper(), re.sub(r"\{\w+\}", "x", path))
            assert answer.status not in (405, 426)
            assert "{" in path or answer.status != 404 or answer.error()["code"] != "not_found"


def test_it_is_sound(spec):
    """Every reference leads somewhere, every name is used once, every path variable is a parameter."""
    assert spec["openapi"] == "3.1.0" and spec["info"]["version"] == __version__
    schemas = spec["components"]["schemas"]
    for name in re.findall(r'"\$ref":"#/components/schemas/(\w+)"', msgspec.json.encode(spec).decode()):
        assert name in schemas
    operations = [(path, methods[method]) for path, methods in spec["paths"].items() for method in methods]
    assert len({operation["operationId"] for _, operation in operations}) == len(operations)
    for path, operation in operations:
        variables = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
        assert variables == re.findall(r"\{(\w+)\}", path)
        assert re.fullmatch(r"[A-Z][^/`{}]*[^.]", operation["summary"]), f"{path}: {operation['summary']} is no title"
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Error"}


@pytest.mark.slow
def test_schemas_are_valid_json_schema(spec):
    for schema in spec["components"]["schemas"].values():
        jsonschema_rs.validator_for({**schema, "components": spec["components"]})


def test_schemas_describe_what_is_sent(served, spec):
    for path, name in (("/v1/models", "ModelList"), ("/health", "HealthStatus"), ("/nothing", "Error")):
        schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
        jsonschema_rs.validator_for(schema).validate(call(served.url, "GET", path).json())


def test_a_request_of_the_document_is_accepted(spec):
    schema = {"$ref": "#/components/schemas/CreateResponse", "components": spec["components"]}
    check = jsonschema_rs.validator_for(schema)
    check.validate({"model": "m", "input": [{"type": "message", "role": "user", "content": "hi"}], "stream": True})
    assert not check.is_valid({"input": "no model"})
    assert not check.is_valid({"model": "m", "temperature": 3})


def test_examples_fit_their_schemas(spec):
    for methods in spec["paths"].values():
        for operation in methods.values():
            media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if "example" in media:
                example = {**media["example"], **({"model": "m"} if "model" in media["example"] else {})}
                jsonschema_rs.validator_for({**media["schema"], "components": spec["components"]}).validate(example)


def test_streams_and_public_routes_are_marked(spec):
    content = spec["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]
    assert list(content) == ["application/json", "text/event-stream"]
    assert spec["paths"]["/health"]["get"]["security"] == []
    assert "security" not in spec["paths"]["/v1/models"]["get"]


def test_scopes_are_told_where_not_any_will_do(spec):
    def told(method: str, path: str) -> str:
        paths = spec["paths"]
        return (paths.get(path) or paths["/v1" + path])[method].get("description", "")

    assert told("get", "/admin/keys").endswith(" Needs the scope `admin`.")
    assert told("post", "/responses").endswith("Needs the scope `responses`.")
    assert told("get", "/vector_stores").endswith("Needs the scope `responses` or `read`.")
    assert "scope" not in told("get", "/models") + told("get", "/health")


def test_an_undescribed_route_is_described_by_its_handler():
    async def handler(request):
        """GET /v1/widgets/{id}: return a widget."""

    router = RouteTable()
    router.add("GET", "/widgets/{id}", handler)
    operation = document(router.routes)["paths"]["/v1/widgets/{id}"]["get"]
    assert (operation["tags"], operation["summary"]) == (["Widgets"], "Return a widget.")


def test_operations_name_no_unknown_tags():
    assert {operation.tag for operation in OPERATIONS.values()} == {
        *("Responses", "Conversations", "Models", "Messages", "Server"),
        *("Batches", "Containers", "Decisions", "Files", "Relayed routes", "Skills", "Vector stores", "Webhooks"),
    }


def test_it_is_made_once_however_many_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def slow(routes):
        made.append(routes)
        time.sleep(0.2)
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(openapi, "document", slow)
    other = build(Config(store="memory", backends={"s": BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")}))
    with serving(other) as served, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(served.url, "GET", "/openapi.json"), range(8)))
    assert [answer.json() for answer in answers] == [{"openapi": "3.1.0"}] * 8
    assert len(made) == 1
