"""Chat completions that are passed on: listed for operators beside responses, with tokens and how they ended."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2 as httpx
import pytest

from tests.server.messages.planned import Planned, plan_text
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with upstream(Planned) as url, whole_server(url) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("plan", "status", "error"),
    [({}, "completed", None), ({"finish": "length"}, "incomplete", None), ({"refuse": [400, "No."]}, "failed", 400)],
)
def test_a_chat_completion_is_listed(client: Client, stream: bool, plan: Json, status: str, error: int | None) -> None:
    said = [{"role": "user", "content": plan_text(deltas=[{"content": "Well."}], **plan)}]
    httpx.post(f"{client.url}/v1/chat/completions", json={"model": "m", "messages": said, "stream": stream})
    record = client.get("/admin/requests")[1]["data"][0]
    assert (record["model"], record["status"], record["stored"]) == ("m", status, False), record
    assert (record["error"] and record["error"]["status"]) == error
    if error is None:
        assert record["usage"]["input_tokens"] == 1000 and record["time_to_first_token"] is not None
