"""`/v1/batches` over a real socket, with the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.config import KeyConfig
from antiphon.server.batches import making
from antiphon.server.batches.work import answering
from tests.server.batches.batch_client import client_of, ended, jsonl, lines_of, reached, response_line, submit
from tests.server.whole import whole_server

pytestmark = pytest.mark.slow

STORES = ["memory", "sqlite"]


@pytest.fixture(params=STORES, scope="module")
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    store = "memory" if request.param == "memory" else str(tmp_path_factory.mktemp("store") / "antiphon.db")
    with whole_server(store=store) as server:
        yield client_of(server.url)


def test_each_request_has_its_answer_in_the_order_of_the_file(client: openai.OpenAI) -> None:
    lines = [response_line(f"id {n}", f"Say {n}.") for n in range(30)]
    made = submit(client, jsonl(lines), metadata={"a": "b"})
    assert (made.status, made.object, made.endpoint) == ("validating", "batch", "/v1/responses")
    assert made.expires_at == made.created_at + 86_400
    batch = ended(client, made)
    assert (batch.status, batch.model, batch.metadata) == ("completed", "scripted", {"a": "b"})
    assert batch.request_counts is not None and batch.usage is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (30, 30, 0)
    assert batch.error_file_id is None and batch.errors is None
    assert batch.in_progress_at and batch.finalizing_at and batch.completed_at
    output = lines_of(client, batch.output_file_id)
    assert [line["custom_id"] for line in output] == [line["custom_id"] for line in lines]
    assert len({line["id"] for line in output}) == 30
    for number, line in enumerate(output):
        assert (line["error"], line["response"]["status_code"]) == (None, 200)
        assert line["response"]["body"]["output"][0]["content"][0]["text"] == f"Say {number}."
        assert line["response"]["request_id"].startswith("req_")
    used = [line["response"]["body"]["usage"] for line in output]
    assert batch.usage.total_tokens == sum(usage["total_tokens"] for usage in used) > 0
    file = client.files.retrieve(batch.output_file_id or "")
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")


BODIES: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "Hi."},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi."}]},
    "/v1/messages": {"messages": [{"role": "user", "content": "Hi."}], "max_tokens": 50},
}


@pytest.mark.parametrize("endpoint", BODIES)
def test_every_endpoint_answers_as_its_route_does(client: openai.OpenAI, endpoint: str) -> None:
    body = {"model": "scripted", **BODIES[endpoint]}
    line = {"custom_id": "1", "method": "POST", "url": endpoint, "body": body}
    batch = ended(client, submit(client, jsonl([line]), endpoint))
    assert batch.status == "completed" and batch.usage is not None and batch.usage.output_tokens > 0
    [answer] = lines_of(client, batch.output_file_id)
    direct = client.post(endpoint.removeprefix("/v1"), body=body, cast_to=dict[str, Any])
    assert answer["response"]["body"].keys() == direct.keys()
    assert "Hi." in json.dumps(answer["response"]["body"])


def test_refusals_go_into_the_error_file(client: openai.OpenAI) -> None:
    lines = [
        response_line("good", "Hi."),
        response_line("refused", "/error 400 no"),
        response_line("wrong", "Hi.", temperature=99),
        response_line("streamed", "Hi.", stream=True),
        response_line("background", "Hi.", background=True),
    ]
    batch = ended(client, submit(client, jsonl(lines)))
    assert batch.request_counts is not None
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 1, 4)
    assert [line["custom_id"] for line in lines_of(client, batch.output_file_id)] == ["good"]
    errors = {line["custom_id"]: line["response"] for line in lines_of(client, batch.error_file_id)}
    assert {id: one["status_code"] for id, one in errors.items()} == dict.fromkeys(errors, 400)
    params = {id: one["body"]["error"]["param"] for id, one in errors.items()}
    wanted = {"refused": "", "wrong": "temperature", "streamed": "stream", "background": "background"}
    assert {id: param or "" for id, param in params.items()} == wanted


GOOD = response_line("good", "Hi.")
BAD_LINES: dict[str, tuple[bytes, str, str | None]] = {
    "bad JSON": (b'{"custom_id": ', "invalid_json_line", None),
    "not UTF-8": (b'{"custom_id": "\xff"}', "invalid_json_line", None),
    "no object": (b"[1]", "invalid_type", None),
    "no custom_id": (b'{"method":"POST","url":"/v1/responses","body":{}}', "missing_required_parameter", "custom_id"),
    "a number as custom_id": (jsonl([{**GOOD, "custom_id": 5}]), "invalid_type", "custom_id"),
    "an empty custom_id": (jsonl([{**GOOD, "custom_id": ""}]), "invalid_value", "custom_id"),
    "a long custom_id": (jsonl([{**GOOD, "custom_id": "x" * 513}]), "invalid_value", "custom_id"),
    "the same custom_id": (jsonl([GOOD]), "duplicate_custom_id", "custom_id"),
    "another method": (jsonl([{**GOOD, "method": "GET"}]), "invalid_method", "method"),
    "another URL": (jsonl([{**GOOD, "url": "/v1/chat/completions"}]), "invalid_url", "url"),
    "no body": (b'{"custom_id":"x","method":"POST","url":"/v1/responses"}', "missing_required_parameter", "body"),
    "a body that is none": (jsonl([{**GOOD, "custom_id": "x", "body": []}]), "invalid_value", "body"),
    "another model": (jsonl([response_line("x", "Hi.", model="other")]), "mismatched_model", "body.model"),
    "deep": (b'{"custom_id":"x","method":"POST","url":"/v1/responses","body":' + b"[" * 500, "invalid_json_line", None),
}


@pytest.mark.parametrize("fault", BAD_LINES)
def test_a_file_is_checked_before_anything_is_asked(client: openai.OpenAI, fault: str) -> None:
    line, code, param = BAD_LINES[fault]
    content = jsonl([GOOD]) + b"\r\n" + line.rstrip(b"\n") + b"\n" + jsonl([response_line("last", "Hi.")])
    batch = ended(client, submit(client, content))
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert batch.failed_at and batch.errors is not None and batch.errors.data is not None
    [error] = batch.errors.data
    assert (error.code, error.line, error.param) == (code, 3, param)
    assert error.message


def test_all_faults_are_told_but_no_more_than_a_hundred(client: openai.OpenAI) -> None:
    batch = ended(client, submit(client, b"x\n" * 5000))
    assert batch.errors is not None and batch.errors.data is not None
    assert [error.line for error in batch.errors.data] == list(range(1, 101))


def test_blank_lines_and_a_byte_order_mark_are_nothing(client: openai.OpenAI) -> None:
    content = b"\xef\xbb\xbf" + jsonl([response_line("1", "One.")]) + b"\n \r\n" + jsonl([response_line("2", "Two.")])
    batch = ended(client, submit(client, content.rstrip(b"\n")))
    assert batch.status == "completed"
    assert [line["custom_id"] for line in lines_of(client, batch.output_file_id)] == ["1", "2"]


def test_a_file_without_requests_fails(client: openai.OpenAI) -> None:
    batch = ended(client, submit(client, b"\n\n"))
    assert batch.errors is not None and batch.errors.data is not None
    assert [error.code for error in batch.errors.data] == ["empty_file"]


def test_what_cannot_be_a_batch_is_refused_at_once(client: openai.OpenAI) -> None:
    file = client.files.create(file=("a.jsonl", jsonl([GOOD])), purpose="batch")
    other = client.files.create(file=("a.jsonl", jsonl([GOOD])), purpose="user_data")
    good: dict[str, Any] = {"input_file_id": file.id, "endpoint": "/v1/responses", "completion_window": "24h"}
    refused = {
        "input_file_id": (other.id, 400),
        "endpoint": ("/v1/files", 400),
        "completion_window": ("1h", 400),
        "metadata": ({"a": 1}, 400),
        "output_expires_after": ({"anchor": "created_at", "seconds": 5}, 400),
    }
    for name, (value, status) in refused.items():
        with pytest.raises(openai.APIStatusError) as caught:
            client.batches.create(**{**good, name: value})
        assert caught.value.status_code == status
        assert str(caught.value.param).startswith(name)  # type: ignore[attr-defined]
    with pytest.raises(openai.NotFoundError):
        client.batches.create(**{**good, "input_file_id": "file-unknown"})
    for missing in ("batch_unknown", "msgbatch_unknown"):
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve(missing)
        with pytest.raises(openai.NotFoundError):
            client.batches.cancel(missing)


def test_batches_are_listed_newest_first(client: openai.OpenAI) -> None:
    made = [submit(client, jsonl([GOOD])).id for _ in range(5)]
    found = [batch.id for batch in client.batches.list(limit=2)]  # all pages
    assert found[:5] == made[::-1]
    page = client.batches.list(after=made[3], limit=1)
    assert [batch.id for batch in page.data] == [made[2]] and page.has_more
    with pytest.raises(openai.BadRequestError):
        client.batches.list(after="batch_unknown")


SLOW = "/delay 20\nSlow."


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[openai.OpenAI]:
    """A server that waits for nothing long."""
    monkeypatch.setattr(answering, "LAST_SECONDS", 0.2)
    monkeypatch.setattr(answering, "DELAYS", (0.05, 0.05))
    with whole_server(store=str(tmp_path / "antiphon.db")) as server:
        yield client_of(server.url)


def test_a_cancelled_batch_keeps_what_is_done(hasty: openai.OpenAI) -> None:
    lines = [response_line(str(n), "Quick." if n < 5 else SLOW) for n in range(200)]
    running = reached(hasty, submit(hasty, jsonl(lines)), 5)
    cancelling = hasty.batches.cancel(running.id)
    assert cancelling.status == "cancelling" and cancelling.cancelling_at
    batch = ended(hasty, cancelling)
    assert (batch.status, batch.error_file_id) == ("cancelled", None) and batch.cancelled_at
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (200, 5, 0)
    assert [line["custom_id"] for line in lines_of(hasty, batch.output_file_id)] == ["0", "1", "2", "3", "4"]
    # What was on its way is given up: others have its place.
    assert ended(hasty, submit(hasty, jsonl([GOOD]))).status == "completed"


def test_a_batch_expires_with_what_is_done(hasty: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(making.WINDOWS, "24h", 3)
    lines = [response_line(str(n), "Quick." if n < 5 else SLOW) for n in range(50)]
    batch = ended(hasty, submit(hasty, jsonl(lines)))
    assert batch.status == "expired" and batch.expired_at and batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (5, 45)
    assert len(lines_of(hasty, batch.output_file_id)) == 5
    errors = lines_of(hasty, batch.error_file_id)
    assert [line["custom_id"] for line in errors] == [str(n) for n in range(5, 50)]
    assert {(line["response"], line["error"]["code"]) for line in errors} == {(None, "batch_expired")}


def test_troubles_of_a_backend_are_waited_out_for_a_while(hasty: openai.OpenAI) -> None:
    batch = ended(hasty, submit(hasty, jsonl([response_line("1", "/error 503 busy"), GOOD])))
    assert batch.status == "completed"
    [error] = lines_of(hasty, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("1", 503)


def test_an_input_file_that_is_deleted_meanwhile_is_told(hasty: openai.OpenAI) -> None:
    lines = [response_line(str(n), "/delay 0.5\nQuick.") for n in range(40)]
    batch = reached(hasty, submit(hasty, jsonl(lines)), 1)
    hasty.files.delete(batch.input_file_id)
    batch = ended(hasty, batch)
    assert batch.status == "completed"
    assert {line["error"]["code"] for line in lines_of(hasty, batch.error_file_id)} == {"file_not_found"}


def test_a_cancel_while_the_file_is_read_ends_it(client: openai.OpenAI) -> None:
    batch = submit(client, jsonl([response_line(str(n), "Hi.") for n in range(3000)]))
    client.batches.cancel(batch.id)
    batch = ended(client, batch)
    assert batch.status == "cancelled" and batch.cancelled_at
    again = client.batches.cancel(batch.id)
    assert (again.status, again.cancelled_at) == ("cancelled", batch.cancelled_at)


def test_output_files_expire_as_asked(client: openai.OpenAI) -> None:
    expires: Any = {"anchor": "created_at", "seconds": 3600}
    batch = ended(client, submit(client, jsonl([GOOD]), output_expires_after=expires))
    file = client.files.retrieve(batch.output_file_id or "")
    assert file.expires_at == file.created_at + 3600


def test_bounds_of_a_batch_are_told(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"batch_requests": 2, "batch_bytes": 1000, "max_body": 500, "batches_per_owner": 1}
    with whole_server(**settings) as server:
        client = client_of(server.url)

        def codes(content: bytes) -> list[tuple[Any, Any]]:
            batch = ended(client, submit(client, content))
            assert batch.errors is not None and batch.errors.data is not None
            return [(error.code, error.line) for error in batch.errors.data]

        assert codes(jsonl([response_line(str(n), "Hi.") for n in range(3)])) == [("too_many_requests", 3)]
        assert codes(jsonl([response_line("x", "y" * 2000)])) == [("file_too_large", None)]
        assert codes(jsonl([GOOD, response_line("x", "y" * 600)])) == [("line_too_large", 2)]
        submit(client, jsonl([response_line("1", "/delay 20\nHi.")]))
        with pytest.raises(openai.RateLimitError, match="batches_per_owner"):
            submit(client, jsonl([GOOD]))


def test_limits_of_a_key_hold_for_each_request() -> None:
    keys = {
        "slow": KeyConfig(key="sk-slow", limits=["2 requests/min"]),
        "spent": KeyConfig(key="sk-spent", limits=["2 requests/day"]),
        "other": KeyConfig(key="sk-other", models=["another"]),
        "reads": KeyConfig(key="sk-chat", scopes=["chat", "responses"]),
    }
    lines = [response_line(str(n), "Hi.") for n in range(3)]
    with whole_server(keys=keys) as server:
        limited = client_of(server.url, "sk-slow")
        batch = reached(limited, submit(limited, jsonl(lines)), 2)
        batch = limited.batches.retrieve(batch.id)
        assert batch.status == "in_progress" and batch.request_counts is not None
        assert batch.request_counts.completed == 2, "the third waits until the limit allows it"
        other = client_of(server.url, "sk-other")
        batch = ended(other, submit(other, jsonl(lines)))
        assert {line["response"]["status_code"] for line in lines_of(other, batch.error_file_id)} == {400}
        with pytest.raises(openai.NotFoundError):
            other.batches.retrieve(limited.batches.list().data[0].id)


def test_a_batch_is_told_to_webhooks_and_counted(client: openai.OpenAI) -> None:
    ended(client, submit(client, jsonl([GOOD])))
    metrics = client.with_options(base_url=str(client.base_url).removesuffix("v1/")).get("metrics", cast_to=str)
    assert 'antiphon_batches_total{status="completed"}' in metrics
