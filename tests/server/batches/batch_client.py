"""Batches as the official client makes them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import openai
from openai.types import Batch

PATIENCE = 60.0  # seconds
Line = Mapping[str, Any]
ENDED = ("completed", "failed", "expired", "cancelled")


def client_of(url: str, key: str = "none") -> openai.OpenAI:
    """Return a client of a server."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def response_line(id: str, text: str, **fields: Any) -> Line:
    """Return a line that asks for a response."""
    body = {"model": "scripted", "input": text, **fields}
    return {"custom_id": id, "method": "POST", "url": "/v1/responses", "body": body}


def jsonl(lines: Iterable[Line]) -> bytes:
    """Return lines as a file's content."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def submit(client: openai.OpenAI, content: bytes, endpoint: Any = "/v1/responses", **fields: Any) -> Batch:
    """Upload a file and make a batch of it."""
    file = client.files.create(file=("input.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields)


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    """Wait until a batch has ended."""
    deadline = time.monotonic() + PATIENCE
    while batch.status not in ENDED:
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    return batch


def reached(client: openai.OpenAI, batch: Batch, done: int) -> Batch:
    """Wait until so many requests of a batch are answered."""
    deadline = time.monotonic() + PATIENCE
    while batch.request_counts is None or batch.request_counts.completed < done:
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    return batch


def lines_of(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """Return the lines of an output or error file."""
    assert file_id is not None
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
