"""Sealed thoughts and compactions: for their owner, as what they are, within bounds; in every mode and place."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.compaction import Compacted
from antiphon.core.json_encoding import to_json
from antiphon.responses.sealing import MOST_BYTES, Sealer
from antiphon.responses.unsealing import MOST_TOGETHER
from tests.bounds import bound
from tests.server.process.watched import Watched, watched
from tests.server.whole import Client, turn, whole_server

pytestmark = pytest.mark.slow

SECRET = "a-secret-of-the-tests"
THOUGHTS = "thoughts of alice"
HELD = bound(0.05)


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with whole_server(api_keys=["sk-alice", "sk-bob"], secret=SECRET) as client:
        yield client


@pytest.fixture(scope="module")
def alice(server: Client) -> Client:
    return Client(server.url, "sk-alice")


@pytest.fixture(scope="module")
def bob(server: Client) -> Client:
    return Client(server.url, "sk-bob")


@pytest.fixture(scope="module")
def sealed(alice: Client) -> dict[str, str]:
    """What the server has sealed for Alice: thoughts and a compaction."""
    asked = {"store": False, "include": ["reasoning.encrypted_content"]}
    made = alice.create(model="scripted", input=f"/think {THOUGHTS}\nAnswer.", **asked)
    compacted = alice.post("/v1/responses/compact", model="scripted", input="What a day.")[1]
    return {
        "reasoning": made["output"][0]["encrypted_content"],
        "compaction": compacted["output"][-1]["encrypted_content"],
    }


def holding(type: str, content: object) -> dict[str, Any]:
    return {"type": type, "encrypted_content": content, **({"summary": []} if type == "reasoning" else {})}


QUESTION = {"role": "user", "content": "Go on."}


def in_all_places(client: Client, item: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Send an item in every mode and through every door; return the statuses and bodies."""
    items = [QUESTION, item, QUESTION]
    base = {"model": "scripted", "input": items}
    answers = [
        client.post("/v1/responses", **base),
        client.post("/v1/responses", **base, stream=True),
        client.post("/v1/responses", **base, store=False),
        client.post("/v1/responses", **base, background=True),
        client.post("/v1/responses/input_tokens", **base),
        client.post("/v1/responses/compact", **base),
    ]
    status, conversation = client.post("/v1/conversations", items=items)
    if status == 200:
        answers.append(client.post("/v1/responses", model="scripted", input="x", conversation=conversation["id"]))
    with client.websocket() as connection:
        last = turn(connection, **base)[-1]
        answers.append((last.get("status", 200), last) if last["type"] == "error" else (200, last))
    return answers


@pytest.mark.parametrize("type", ["reasoning", "compaction", "compaction_summary"])
def test_a_seal_opens_for_its_owner_alone(alice: Client, bob: Client, sealed: dict[str, str], type: str) -> None:
    item = holding(type, sealed[type.removesuffix("_summary")])
    assert {status for status, _ in in_all_places(alice, item)} == {200}
    answers = in_all_places(bob, item)
    assert {status for status, _ in answers} == {400}
    assert {body["error"]["code"] for _, body in answers} == {"invalid_encrypted_content"}
    assert {body["error"]["param"] for _, body in answers} == {"input[1].encrypted_content", "conversation"}
    assert THOUGHTS not in json.dumps(answers)


@pytest.mark.parametrize(("type", "other"), [("reasoning", "compaction"), ("compaction", "reasoning")])
def test_a_seal_is_good_for_what_it_was_made_for(alice: Client, sealed: dict[str, str], type: str, other: str) -> None:
    for status, body in in_all_places(alice, holding(type, sealed[other])):
        assert (status, body["error"]["code"]) == (400, "invalid_encrypted_content")


@pytest.mark.parametrize("type", ["reasoning", "compaction"])
@pytest.mark.parametrize("content", ["ANT2", "ANT2.", "ANT2.x.y.z.é", "ANT1.x.y", "ANT99.x", "ANT2." + "." * 1000])
def test_a_seal_that_was_tampered_with_is_refused(alice: Client, type: str, content: str) -> None:
    answers = in_all_places(alice, holding(type, content))
    if "." in content:
        assert {status for status, _ in answers} == {400}
    else:  # no seal of ours: another server's, which is passed over
        assert {status for status, _ in answers} == {200}


@pytest.mark.parametrize("content", [5, [], {}, True, 1.5, ["x"]])
@pytest.mark.parametrize("type", ["reasoning", "compaction", "compaction_summary"])
def test_a_seal_of_another_type_is_refused(alice: Client, type: str, content: object) -> None:
    for status, body in in_all_places(alice, holding(type, content)):
        assert status == 400, body
        assert body["error"]["param"].endswith("[1].encrypted_content")


def test_a_compaction_without_a_seal_is_refused(alice: Client) -> None:
    for item in ({"type": "compaction"}, holding("compaction", None)):
        assert {status for status, _ in in_all_places(alice, item)} == {400}


@pytest.mark.parametrize("type", ["reasoning", "compaction"])
def test_what_another_server_sealed_is_passed_over(alice: Client, type: str) -> None:
    assert {status for status, _ in in_all_places(alice, holding(type, "gAAAAABo.x-y_z="))} == {200}


@pytest.mark.parametrize(("keys", "status"), [([], 200), (["sk-alice"], 400)])
def test_seals_of_the_first_version_open_where_nobody_else_is(keys: list[str], status: int) -> None:
    key_id, cipher = next(iter(Sealer([SECRET])._load().items()))
    box = cipher.encrypt(b"n" * 12, zlib.compress(b"old thoughts"), b"ANT1")
    old = f"ANT1.{key_id}.{urlsafe_b64encode(b'n' * 12 + box).decode()}"
    with whole_server(api_keys=keys, secret=SECRET) as server:
        client = Client(server.url, *keys)
        items = [holding("reasoning", old), QUESTION]
        assert client.post("/v1/responses", model="scripted", input=items)[0] == status
        # Of another kind than it says: no compaction is among these thoughts
        items = [holding("compaction", old), QUESTION]
        assert client.post("/v1/responses", model="scripted", input=items)[0] == 400


def large(kind: Any, size: int, fill: str = "a") -> str:
    """Seal so many bytes, all the same: a small seal of a large text."""
    text = fill * size
    if kind == "compaction":
        kept = [{"type": "message", "role": "user", "content": fill * (size - 200)}]
        text = to_json(Compacted("", [to_raw(one) for one in kept])).decode()
    return Sealer([SECRET]).seal(text, kind, "local")


def to_raw(value: object) -> Any:
    from msgspec import Raw

    return Raw(to_json(value))


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    backends = {"upstream": {"url": "http://127.0.0.1:9/v1", "api": "scripted"}}
    folder: Path = tmp_path_factory.mktemp("watched")
    with watched(folder, backends=backends, store="memory", secret=SECRET) as running:
        Client(running.url).create(
            model="scripted", input=[holding("reasoning", large("reasoning", 500_000)), QUESTION]
        )
        running.held()
        yield running


@pytest.mark.alone
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["reasoning", "compaction"])
@pytest.mark.parametrize(("size", "count"), [(MOST_BYTES, 40), (64 * 1024, 1000), (MOST_BYTES, 1), (64 * 1024, 100)])
def test_many_and_large_seals_are_bounded(process: Watched, kind: str, size: int, count: int) -> None:
    before = process.memory()
    items = [holding(kind, large(kind, size)) for _ in range(min(count, 4))] * (count // min(count, 4))
    status, body = Client(process.url).post("/v1/responses", model="scripted", input=[*items, QUESTION], store=False)
    fits = kind == "compaction" or size * count <= MOST_TOGETHER  # of compactions the last one counts
    assert (status == 200) == fits, body
    if not fits:
        assert body["error"]["code"] == "invalid_encrypted_content"
        assert str(MOST_TOGETHER) in body["error"]["message"]
    held = process.held()
    assert held < HELD, f"held for {held * 1000:.0f} ms"
    assert process.memory() < before + 200_000_000


def test_what_stays_of_a_conversation_has_a_limit() -> None:
    with whole_server(secret=SECRET) as client:
        items = [{"role": "user", "content": "x " * 100}, {"role": "user", "content": "a" * (MOST_BYTES + 1)}]
        rule = [{"type": "compaction", "compact_threshold": 1}]
        status, body = client.post("/v1/responses", model="scripted", input=items, context_management=rule)
        assert (status, body["error"]["param"]) == (400, "input"), body
