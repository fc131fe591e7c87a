"""`/v1/webhook_endpoints` over a real socket, with the official client and real receivers."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import openai
import pytest

from antiphon.responses.webhooks import EVENTS
from tests.server.batches.batch_client import PATIENCE, client_of, ended, jsonl, response_line, submit
from tests.server.whole import Client, upstream, whole_server

pytestmark = pytest.mark.slow

ALLOWED = ["127.0.0.0/8"]


class Receiving(BaseHTTPRequestHandler):
    """A receiver: keeps what came, and answers with the status that its path names."""

    protocol_version = "HTTP/1.1"
    came: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    lock = threading.Lock()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.lock:
            self.came.append((self.path, dict(self.headers), body))
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("content-length", "0")
        self.end_headers()


def received(path: str) -> list[tuple[dict[str, str], bytes]]:
    with Receiving.lock:
        return [(headers, body) for where, headers, body in Receiving.came if where == f"/v1{path}"]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    with upstream(Receiving) as url:
        yield url


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "antiphon.db"


@pytest.fixture(scope="module")
def url(store: Path) -> Iterator[str]:
    settings: dict[str, Any] = {"api_keys": ["ann", "bob"], "url_guard_allow": ALLOWED, "secret": "s" * 32}
    with whole_server(store=str(store), **settings) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    client = client_of(url, "ann")
    yield client
    for one in client.webhooks.list():
        client.webhooks.delete(one.id)


def make(client: openai.OpenAI, url: str, types: Any = ("batch.completed",), name: str = "mine") -> Any:
    return client.webhooks.create(event_types=list(types), name=name, url=url)


def test_an_endpoint_is_made_read_changed_and_deleted(client: openai.OpenAI, receiver: str) -> None:
    made = make(client, f"{receiver}/a/200", ["batch.completed", "batch.completed", "response.failed"])
    assert made.id.startswith("whe_") and made.object == "webhook_endpoint"
    assert made.event_types == ["batch.completed", "response.failed"]
    assert made.signing_secret.startswith("whsec_") and made.signing_secret_hint == f"whsec_…{made.signing_secret[-4:]}"
    read = client.webhooks.retrieve(made.id)
    assert (read.name, read.url, read.created_at, read.updated_at) == (
        "mine",
        made.url,
        made.created_at,
        made.created_at,
    )
    same = client.webhooks.update(made.id, name="mine")
    assert same == read
    changed = client.webhooks.update(made.id, name="other", event_types=["batch.failed"], url=f"{receiver}/b/200")
    assert (changed.name, changed.event_types, changed.url) == ("other", ["batch.failed"], f"{receiver}/b/200")
    gone = client.webhooks.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "webhook_endpoint.deleted", True)
    with pytest.raises(openai.NotFoundError):
        client.webhooks.retrieve(made.id)


def test_endpoints_are_listed_by_their_owner(client: openai.OpenAI, url: str, receiver: str) -> None:
    ids = [make(client, f"{receiver}/a/200", name=str(number)).id for number in range(3)][::-1]
    page = client.webhooks.list(limit=2)
    assert ([one.id for one in page.data], page.has_more) == (ids[:2], True)
    assert [one.id for one in client.webhooks.list(limit=1)] == ids
    assert client_of(url, "bob").webhooks.list().data == []
    with pytest.raises(openai.NotFoundError):
        client_of(url, "bob").webhooks.retrieve(ids[0])
    assert client.webhooks.event_types.list().data == list(EVENTS)


def test_a_batch_is_told_to_those_who_want_it(client: openai.OpenAI, url: str, receiver: str) -> None:
    wanted = make(client, f"{receiver}/wanted/200")
    make(client, f"{receiver}/unwanted/200", ["batch.failed"])
    make(client_of(url, "bob"), f"{receiver}/foreign/200")
    batch = ended(client, submit(client, jsonl([response_line("1", "Hi.")])))
    until(lambda: received("/wanted/200"))
    [(headers, body)] = received("/wanted/200")
    event = openai.OpenAI(api_key="x", webhook_secret=wanted.signing_secret).webhooks.unwrap(body, headers)
    assert (event.type, event.data.id) == ("batch.completed", batch.id)  # type: ignore[union-attr]
    assert not received("/unwanted/200") and not received("/foreign/200")


def test_a_background_response_is_told_too(client: openai.OpenAI, receiver: str) -> None:
    made = make(client, f"{receiver}/background/200", ["response.completed"])
    response = client.responses.create(model="scripted", input="Hi.", background=True)
    until(lambda: received("/background/200"))
    [(headers, body)] = received("/background/200")
    event = openai.OpenAI(api_key="x", webhook_secret=made.signing_secret).webhooks.unwrap(body, headers)
    assert (event.type, event.data.id) == ("response.completed", response.id)  # type: ignore[union-attr]


def _verified(secret: str, came: tuple[dict[str, str], bytes]) -> bool:
    headers, body = came
    try:
        openai.OpenAI(api_key="x", webhook_secret=secret).webhooks.unwrap(body, headers)
    except openai.InvalidWebhookSignatureError:
        return False
    return True


def test_a_rotated_secret_signs_and_the_old_one_for_a_day_where_asked(client: openai.OpenAI, receiver: str) -> None:
    made = make(client, f"{receiver}/rotated/204")
    secrets = [made.signing_secret]
    for keep in (True, False):
        rotated = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=keep)
        secrets.append(rotated.signing_secret)
        assert client.webhooks.test(made.id, event_type="batch.failed").status_code == 204
    both, last = received("/rotated/204")
    assert [_verified(secret, both) for secret in secrets] == [True, True, False]
    assert [_verified(secret, last) for secret in secrets] == [False, False, True]


@pytest.mark.parametrize("type", EVENTS)
def test_a_sample_of_each_event_is_sent_at_once(client: openai.OpenAI, receiver: str, type: Any) -> None:
    made = make(client, f"{receiver}/sample-{type}/418")
    result = client.webhooks.test(made.id, event_type=type)
    assert (result.status_code, result.event_type, result.webhook_endpoint_id) == (418, type, made.id)
    [came] = received(f"/sample-{type}/418")
    assert json.loads(came[1])["type"] == type and _verified(made.signing_secret, came)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a private address": ({"url": "http://10.0.0.1/"}, "url"),
    "a name of one's own network": ({"url": "http://metadata.internal/"}, "url"),
    "a link-local address": ({"url": "http://169.254.169.254/latest"}, "url"),
    "no URL": ({"url": "https://"}, "url"),
    "another scheme": ({"url": "file:///etc/passwd"}, "url"),
    "a user in the URL": ({"url": "http://a:b@127.0.0.1/"}, "url"),
    "a long URL": ({"url": "http://127.0.0.1/" + "x" * 3000}, "url"),
    "no event": ({"event_types": []}, "event_types"),
    "an unknown event": ({"event_types": ["video.completed"]}, "event_types[0]"),
    "no name": ({"name": ""}, "name"),
    "a long name": ({"name": "x" * 257}, "name"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_an_endpoint_is_refused(client: openai.OpenAI, receiver: str, fault: str) -> None:
    fields, param = REFUSED[fault]
    good: dict[str, Any] = {"event_types": ["batch.completed"], "name": "n", "url": f"{receiver}/a/200"}
    made = client.webhooks.create(**good)
    for call in (
        lambda: client.webhooks.create(**{**good, **fields}),
        lambda: client.webhooks.update(made.id, **fields),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        assert caught.value.param == param
    assert client.webhooks.retrieve(made.id).url == good["url"]


def test_one_that_nobody_answers_is_told(client: openai.OpenAI) -> None:
    made = make(client, "http://127.0.0.1:9/")
    with pytest.raises(openai.BadRequestError, match="did not answer"):
        client.webhooks.test(made.id, event_type="batch.completed")


def test_an_owner_has_at_most_twenty(client: openai.OpenAI, receiver: str) -> None:
    for number in range(20):
        make(client, f"{receiver}/a/200", name=str(number))
    with pytest.raises(openai.RateLimitError):
        make(client, f"{receiver}/a/200")


def test_a_secret_is_in_no_other_answer_and_not_in_the_store(
    client: openai.OpenAI, url: str, receiver: str, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = make(client, f"{receiver}/secret/500")
    raw = Client(url, "ann")
    part = made.signing_secret.removeprefix("whsec_")
    for path in ("", f"/{made.id}"):
        assert part not in json.dumps(raw.get(f"/v1/webhook_endpoints{path}")[1])
    client.webhooks.test(made.id, event_type="batch.completed")
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute("SELECT * FROM webhook_endpoints").fetchall()
    assert rows and part not in repr(rows)
    assert part not in caplog.text


def test_endpoints_are_kept_over_a_restart(tmp_path: Path, receiver: str) -> None:
    settings: dict[str, Any] = {"url_guard_allow": ALLOWED, "secret": "s" * 32, "store": str(tmp_path / "a.db")}
    with whole_server(**settings) as server:
        made = make(client_of(server.url), f"{receiver}/restart/200")
    with whole_server(**settings) as server:
        client = client_of(server.url)
        client.webhooks.test(made.id, event_type="batch.completed")
        [came] = received("/restart/200")
        assert _verified(made.signing_secret, came)
