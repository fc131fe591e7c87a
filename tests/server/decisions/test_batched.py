"""Decisions in a batch: answered by the same handler, without a connection; their tokens are the batch's."""

from __future__ import annotations

from tests.server.batches.batch_client import client_of, ended, jsonl, lines_of, submit
from tests.server.decisions.judge import judge
from tests.server.decisions.test_decisions import ALL, EXPECTED
from tests.server.whole import whole_server


def test_a_batch_of_decisions() -> None:
    with judge() as (url, _), whole_server(url) as server:
        client = client_of(server.url)
        bodies = [{"model": "judge", "input": "x", "questions": questions} for questions in (ALL, [], ALL[:1])]
        lines = [
            {"custom_id": str(number), "method": "POST", "url": "/v1/decisions", "body": body}
            for number, body in enumerate(bodies)
        ]
        batch = ended(client, submit(client, jsonl(lines), "/v1/decisions"))
        assert batch.status == "completed" and batch.request_counts is not None and batch.usage is not None
        assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
        first, last = lines_of(client, batch.output_file_id)
        assert first["response"]["body"]["answers"] == EXPECTED
        assert last["response"]["body"]["answers"] == EXPECTED[:1]
        [refused] = lines_of(client, batch.error_file_id)
        assert refused["response"]["body"]["error"]["param"] == "questions"
        assert batch.usage.input_tokens == 400
