"""Another key reads, changes and uses nothing: every route with another owner's ids answers as if they did not exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from antiphon.access.caller import ADMIN
from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from antiphon.server.asgi import AntiphonApp
from tests.server.handlers import call
from tests.server.serving import serving
from tests.server.whole import Client, turn

CONFIG = Config(
    store="memory",
    shutdown_grace=1.0,
    api_keys=["ann", "bob"],
    url_guard_allow=["127.0.0.0/8"],
    backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
)
SECRET = "The crown jewels are under the stairs."


class Things(msgspec.Struct):
    """What Ann has; and the ids in the places of the routes' variables."""

    response: str
    running: str
    item: str
    conversation: str
    conversation_item: str
    file: str
    vector_store: str = ""
    batch: str = ""
    container: str = ""
    container_file: str = ""
    upload: str = ""
    skill: str = ""
    job: str = ""
    message_batch: str = ""
    webhook_endpoint: str = ""
    chat: str = ""

    def path(self, template: str) -> str:
        """Return a route's path with Ann's ids in it."""
        noun = template.split("/")[1]
        id = {
            "responses": self.response,
            "conversations": self.conversation,
            "files": self.file,
            "vector_stores": self.vector_store,
            "containers": self.container,
            "uploads": self.upload,
            "skills": self.skill,
            "batches": self.job,
            "messages": self.message_batch,
            "webhook_endpoints": self.webhook_endpoint,
            "chat": self.chat,
        }[noun]
        file = self.container_file if noun == "containers" else self.file
        path = template.replace("{id}", id).replace("{item_id}", self.conversation_item)
        return path.replace("{file_id}", file).replace("{batch_id}", self.batch).replace("{version}", "1")


@pytest.fixture(scope="module")
def application() -> AntiphonApp:
    return app.build(CONFIG)


@pytest.fixture(scope="module")
def url(application: AntiphonApp) -> Iterator[str]:
    with serving(application, CONFIG) as served:
        yield served.url


@pytest.fixture(scope="module")
def things(url: str) -> Things:
    ann = Client(url, "ann")
    response = ann.create(model="scripted", input=SECRET)
    running = ann.create(model="scripted", input=f"/delay 20\n/repeat 50 {SECRET}", background=True)
    items = [{"type": "message", "role": "user", "content": SECRET}]
    conversation = ann.post("/v1/conversations", items=items, metadata={"secret": SECRET})[1]
    listing = ann.get(f"/v1/conversations/{conversation['id']}/items")[1]
    file = upload(url)
    vector_store = ann.post("/v1/vector_stores", name=SECRET, file_ids=[file])[1]["id"]
    container = ann.post("/v1/containers", name=SECRET)[1]["id"]
    return Things(
        response=response["id"],
        running=running["id"],
        item=response["output"][0]["id"],
        conversation=conversation["id"],
        conversation_item=listing["data"][0]["id"],
        file=file,
        vector_store=vector_store,
        batch=ann.post(f"/v1/vector_stores/{vector_store}/file_batches", file_ids=[file])[1]["id"],
        container=container,
        upload=ann.post("/v1/uploads", **UPLOAD)[1]["id"],
        container_file=ann.post(f"/v1/containers/{container}/files", file_id=file)[1]["id"],
        skill=a_skill(url),
        job=a_batch(url),
        message_batch=ann.post("/v1/messages/batches", requests=[MESSAGE])[1]["id"],
        webhook_endpoint=ann.post("/v1/webhook_endpoints", **ENDPOINT)[1]["id"],
        chat=a_chat(ann),
    )


def upload(url: str, content: str = SECRET, purpose: str = "user_data") -> str:
    """Upload a file as Ann; return its id."""
    parts = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n%b\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="secret.txt"\r\n\r\n%b\r\n--b--\r\n'
    )
    headers = {"x-api-key": "ann", "content-type": "multipart/form-data; boundary=b"}
    answer = call(url, "POST", "/v1/files", parts % (purpose.encode(), content.encode()), headers)
    assert answer.status == 200, answer.body
    return answer.json()["id"]


ENDPOINT = {"name": SECRET, "url": "http://127.0.0.1:9/", "event_types": ["batch.completed"]}
MESSAGE = {
    "custom_id": "a",
    "params": {"model": "scripted", "max_tokens": 9, "messages": [{"role": "user", "content": SECRET}]},
}


def a_batch(url: str) -> str:
    """Make a batch as Ann; return its id."""
    body = {"model": "scripted", "input": SECRET}
    line = {"custom_id": SECRET, "method": "POST", "url": "/v1/responses", "body": body}
    file = upload(url, json.dumps(line), "batch")
    fields = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h", "metadata": {"a": SECRET}}
    status, made = Client(url, "ann").post("/v1/batches", **fields)
    assert status == 200, made
    return str(made["id"])


UPLOAD = {"filename": SECRET, "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}


def a_skill(url: str) -> str:
    """Keep a skill as Ann; return its id."""
    part = b'--b\r\ncontent-disposition: form-data; name="files[]"; filename="SKILL.md"\r\n\r\n%b\r\n--b--\r\n'
    headers = {"x-api-key": "ann", "content-type": "multipart/form-data; boundary=b"}
    body = part % f"---\nname: mine\ndescription: {SECRET}\n---\n".encode()
    return str(call(url, "POST", "/v1/skills", body, headers).json()["id"])


def a_chat(ann: Client) -> str:
    """Keep a chat completion as Ann; return its id."""
    messages = [{"role": "user", "content": SECRET}]
    asked = {"model": "scripted", "messages": messages, "store": True, "metadata": {"secret": SECRET}}
    return str(ann.post("/v1/chat/completions", **asked)[1]["id"])


BODIES = {
    "POST /webhook_endpoints/{id}/test": {"event_type": "batch.failed"},
    "POST /chat/completions/{id}": {"metadata": {"mine": "now"}},
    "POST /uploads/{id}/complete": {"part_ids": ["part_1"]},
    "POST /skills/{id}": {"default_version": "1"},
    "POST /vector_stores/{id}/search": {"query": "crown"},
    "POST /vector_stores/{id}/files": {"file_id": "file-1"},
    "POST /vector_stores/{id}/file_batches": {"file_ids": ["file-1"]},
    "POST /containers/{id}/files": {"file_id": "file-1"},
    "POST /vector_stores/{id}/files/{file_id}": {"attributes": {}},
    "POST /conversations/{id}": {"metadata": {"mine": "now"}},
    "POST /conversations/{id}/items": {"items": [{"type": "message", "role": "user", "content": "x"}]},
}
OF_NOBODY = "/models/{id:path}"


def _routes() -> list[tuple[str, str]]:
    """Return all routes that name an object, as the server has them: a new one is in this table by itself."""
    routes = [one for one in app.Parts(CONFIG).app.router.routes if not one.public and one.scopes != {ADMIN}]
    return [(one.method, one.path) for one in routes if "{" in one.path and one.path != OF_NOBODY]


ROUTES = _routes()


def test_the_table_holds_the_routes_that_there_are() -> None:
    assert len(ROUTES) >= 14
    assert set(BODIES) <= {f"{method} {path}" for method, path in ROUTES}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_id_is_as_good_as_absent(url: str, things: Things, method: str, path: str) -> None:
    body = json.dumps(BODIES.get(f"{method} {path}", {})).encode() if method == "POST" else None
    foreign = call(url, method, things.path(path), body, {"x-api-key": "bob"})
    assert foreign.status == 404 and SECRET.encode() not in foreign.body
    noun, ids = things.path(path)[1:].split("/", 1)
    unknown = call(url, method, f"/{noun}/{ids.replace('_', '_0', 1)}", body, {"x-api-key": "bob"})
    if noun == "messages":  # Anthropic's envelope
        errors = [answer.json()["error"] for answer in (foreign, unknown)]
        assert {error["details"]["error_code"] for error in errors} == {"batch_not_found"}
    else:
        errors = [answer.error() for answer in (foreign, unknown)]
        assert errors[0]["code"] == errors[1]["code"]
    assert [error["type"] for error in errors] == ["not_found_error"] * 2


@pytest.mark.parametrize("rest", ["", "?stream=true", "/input_items"])
def test_a_foreign_running_response_is_as_good_as_absent(url: str, things: Things, rest: str) -> None:
    bob = Client(url, "bob")
    assert bob.get(f"/v1/responses/{things.running}{rest}")[0] == 404
    assert bob.post(f"/v1/responses/{things.running}/cancel")[0] == 404
    assert bob.send("DELETE", f"/v1/responses/{things.running}")[0] == 404
    assert Client(url, "ann").get(f"/v1/responses/{things.running}")[1]["status"] in ("queued", "in_progress")


def _uses(things: Things) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return requests that would use what is Ann's, and the status that they get."""
    part = {"type": "input_file", "file_id": things.file}
    return {
        "previous_response_id": (400, {"previous_response_id": things.response}),
        "running previous_response_id": (400, {"previous_response_id": things.running}),
        "conversation": (404, {"conversation": things.conversation}),
        "conversation object": (404, {"conversation": {"id": things.conversation}}),
        "item_reference": (404, {"input": [{"type": "item_reference", "id": things.item}]}),
        "reference to a conversation's item": (
            404,
            {"input": [{"type": "item_reference", "id": things.conversation_item}]},
        ),
        "input_file": (404, {"input": [{"type": "message", "role": "user", "content": [part]}]}),
        "file_id": (404, {"file_id": things.file}),
    }


USES = list(_uses(Things("", "", "", "", "", "")))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact"])
def test_a_request_cannot_use_what_is_anothers(url: str, things: Things, use: str, path: str) -> None:
    status, fields = _uses(things)[use]
    got, body = Client(url, "bob").post(path, **{"model": "scripted", "input": "Say it.", **fields})
    assert got in (status, 400 if use in ("input_file", "file_id") else status), body
    assert SECRET not in json.dumps(body)


@pytest.mark.parametrize("use", USES)
def test_nor_can_a_turn_over_websocket(url: str, things: Things, use: str) -> None:
    status, fields = _uses(things)[use]
    with Client(url, "bob").websocket() as connection:
        events = turn(connection, **{"model": "scripted", "input": "Say it.", **fields})
    assert events[-1]["type"] == "error" and events[-1]["status"] in (status, 400)
    assert SECRET not in json.dumps(events)


def test_nor_can_it_be_steered_or_continued_by_its_own_conversation(url: str, things: Things) -> None:
    with Client(url, "bob").websocket() as connection:
        steer = {"type": "response.steer", "previous_response_id": things.running, "input": "Stop."}
        connection.send(json.dumps(steer))
        refused = json.loads(connection.recv(timeout=10))
    assert (refused["type"], refused["error"]["code"]) == ("response.steer.failed", "response_not_found")
    bob = Client(url, "bob")
    own = bob.post("/v1/conversations")[1]["id"]
    item = {"type": "item_reference", "id": things.item}
    assert bob.post(f"/v1/conversations/{own}/items", items=[item])[0] in (400, 404)
    assert SECRET not in json.dumps(bob.get(f"/v1/conversations/{own}/items")[1])


def test_lists_hold_only_ones_own(url: str, things: Things) -> None:
    bob, ann = Client(url, "bob"), Client(url, "ann")
    for path, own in (
        ("/v1/files?purpose=user_data", things.file),
        ("/v1/batches", things.job),
        ("/v1/webhook_endpoints", things.webhook_endpoint),
        ("/v1/messages/batches", things.message_batch),
    ):
        assert bob.get(path)[1]["data"] == []
        assert [one["id"] for one in ann.get(path)[1]["data"]] == [own]


def test_a_batch_of_anothers_file_is_not_made(url: str, things: Things) -> None:
    fields = {"input_file_id": things.file, "endpoint": "/v1/responses", "completion_window": "24h"}
    status, body = Client(url, "bob").post("/v1/batches", **fields)
    assert (status, body["error"]["code"]) == (404, "file_not_found")


def test_a_foreign_id_cannot_be_made_anew(url: str, things: Things) -> None:
    """An item that carries another's id is Bob's own item: Ann's stays what it is."""
    bob, ann = Client(url, "bob"), Client(url, "ann")
    item = {
        "type": "message",
        "id": things.item,
        "role": "assistant",
        "content": [{"type": "output_text", "text": "x"}],
    }
    bob.create(model="scripted", input=[item, {"role": "user", "content": "Hi."}])
    reference = {"type": "item_reference", "id": things.item}
    again = ann.create(model="scripted", input=[reference, {"role": "user", "content": "Hi."}])
    listed = ann.get(f"/v1/responses/{again['id']}/input_items?order=asc")[1]["data"]
    assert SECRET in json.dumps(listed[0])
