"""Batches."""

from __future__ import annotations

from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.checks.chat import HELLO
from antiphon.conformance.checks.files import uploaded
from antiphon.conformance.shapes import BATCH
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json, decoded
from antiphon.core.json_encoding import to_json

AREA = Area("batches")
SECTION = "API reference, Batch"
RUNNING = ("validating", "in_progress", "finalizing", "cancelling")
LINES = 3
POLLS = 200


async def begun(talk: CheckTalk, endpoint: str, body: Json, lines: int) -> Json:
    """Create a batch. Raises NonConforming, NotOffered."""
    asked = [
        {"custom_id": f"line-{number}", "method": "POST", "url": endpoint, "body": {"model": talk.model, **body}}
        for number in range(lines)
    ]
    file = await uploaded(talk, "batch.jsonl", b"".join(to_json(line) + b"\n" for line in asked), "batch")
    wanted = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"}
    return talk.fits(await talk.ok("POST", "/batches", wanted), BATCH, "batch")


def path_of(batch: Json) -> str:
    """Return the path of a batch."""
    return f"/batches/{quote(batch['id'], safe='')}"


async def ended(talk: CheckTalk, batch: Json) -> Json:
    """Poll a batch until it has ended. Raises NonConforming."""
    for _ in range(POLLS):
        read = talk.fits(await talk.ok("GET", path_of(batch)), BATCH, "batch")
        if read["status"] not in RUNNING:
            return read
        await talk.pause(0.25)
    talk.need(False, "the batch does not end")
    return batch


async def answered(talk: CheckTalk, endpoint: str, body: Json) -> None:
    """Let a batch answer its lines, and read them. Raises NonConforming, NotOffered."""
    batch = await ended(talk, await begun(talk, endpoint, body, LINES))
    talk.need(batch["status"] == "completed", f"the last status is {batch['status'][:40]}, not completed")
    counts = batch.get("request_counts") or {}
    talk.want(counts.get("completed") == LINES, "request_counts does not count the lines as completed")
    talk.need(isinstance(batch.get("output_file_id"), str), "the batch has no output file")
    output = await talk.bytes_of(f"/files/{quote(batch['output_file_id'], safe='')}/content")
    lines = [decoded(line) for line in output.splitlines()]
    talk.need(all(isinstance(line, dict) for line in lines), "a line of the output is no JSON object")
    ids = sorted(str(line.get("custom_id")) for line in lines)
    talk.need(ids == [f"line-{number}" for number in range(LINES)], "there is not one line for each request")
    talk.need(all((line.get("response") or {}).get("status_code") == 200 for line in lines), "a line is no success")


@AREA.check("responses", "each line of a file is answered by `/v1/responses`, under its custom_id", SECTION)
async def _responses(talk: CheckTalk) -> None:
    await answered(talk, "/v1/responses", {"input": "Say hello.", "store": False})


@AREA.check("chat completions", "each line of a file is answered by `/v1/chat/completions`", SECTION)
async def _chat(talk: CheckTalk) -> None:
    await answered(talk, "/v1/chat/completions", {"messages": HELLO})


@AREA.check("cancelled", "a batch is cancelled", f"{SECTION}, Cancel batch")
async def _cancelled(talk: CheckTalk) -> None:
    batch = await begun(talk, "/v1/responses", {"input": "Count from 1 to 200.", "store": False}, 20)
    talk.fits(await talk.ok("POST", f"{path_of(batch)}/cancel", {}), BATCH, "batch")
    read = await ended(talk, batch)
    talk.need(read["status"] in ("cancelled", "completed"), f"the last status is {read['status'][:40]}, not cancelled")
    talk.want(read["status"] == "cancelled", "it was done before it could be cancelled")


@AREA.check("unknown file", "a batch of a file that does not exist is an error", SECTION)
async def _unknown(talk: CheckTalk) -> None:
    await talk.ok("GET", "/batches")
    body = {"input_file_id": "file-" + "0" * 24, "endpoint": "/v1/responses", "completion_window": "24h"}
    await talk.refused("POST", "/batches", body, statuses=(400, 404))
