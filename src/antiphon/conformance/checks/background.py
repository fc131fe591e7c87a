"""Background responses: polled, followed, cancelled."""

from __future__ import annotations

from typing import Any

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import created
from antiphon.conformance.checks.state import path_of
from antiphon.conformance.grammar import judged, parsed, text_of, whole_response
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

AREA = Area("background")
SECTION = "API guides, Background mode"
RUNNING = ("queued", "in_progress")
LONG = "Count from 1 to 400, one number after another."
POLLS = 400


async def ended(talk: CheckTalk, response: Json) -> Json:
    """Poll a response until it has ended. Raises NonConforming."""
    for _ in range(POLLS):
        read = whole_response(talk, await talk.ok("GET", path_of(response)))
        if read.get("status") not in RUNNING:
            return read
        await talk.pause(0.1)
    talk.need(False, "the response does not end")
    return response


async def begun(talk: CheckTalk, input: str) -> Json:
    """Create a background response, which must not be waited for. Raises NonConforming, NotOffered."""
    response = await created(talk, input=input, background=True)
    talk.need(
        response.get("status") in RUNNING, f"the first status is {response.get('status')}: it was not in background"
    )
    talk.want(response.get("background") is True, "response.background is not true")
    return response


@AREA.check("polled", "a response is made while nobody waits, and read when it is done", SECTION)
async def _polled(talk: CheckTalk) -> None:
    read = await ended(talk, await begun(talk, "Say hello."))
    talk.need(read.get("status") == "completed", f"the last status is {read.get('status')}, not completed")
    talk.need(text_of(read).strip(), "the response says nothing")


@AREA.check(
    "resumed", "a stream that broke off is resumed, with `starting_after`, without a gap", f"{SECTION}, Streaming"
)
async def _resumed(talk: CheckTalk) -> None:
    body = {"model": talk.model, "input": LONG, "max_output_tokens": 400, "background": True}
    begin = parsed(talk, (await talk.events("/responses", body, most=4)).events)
    talk.need(begin[0].get("type") == "response.created", "the first event is not response.created")
    response = whole_response(talk, begin[0].get("response"))
    talk.made(path_of(response))
    last: Any = begin[-1].get("sequence_number")
    talk.need(isinstance(last, int), "events without sequence_number")
    path = f"{path_of(response)}?stream=true&starting_after={last}"
    rest = parsed(talk, (await talk.events(path, {})).events)
    talk.need(
        rest and rest[0].get("sequence_number") == last + 1, "the first event is not the one behind `starting_after`"
    )
    final = judged(talk, [*begin, *rest])
    read = await ended(talk, response)
    talk.need(text_of(read) == text_of(final), "what is stored is not what was streamed")


@AREA.check(
    "cancelled",
    "a response in background is cancelled, once and for all",
    "API reference, Responses, Cancel a response",
)
async def _cancelled(talk: CheckTalk) -> None:
    for _ in range(3):
        response = await begun(talk, LONG)
        answer = await talk.send("POST", f"{path_of(response)}/cancel", {})
        read = await ended(talk, response)
        if answer.status < 300 and read.get("status") == "cancelled":
            again = await talk.ok("POST", f"{path_of(response)}/cancel", {})
            talk.need(again.get("status") == "cancelled", "to cancel it again is not the same")
            return
        finished = isinstance(answer.json, dict) and answer.json.get("status") in ("completed", "incomplete")
        talk.need(finished or answer.status < 500, f"cancel: {answer.status}")
        if answer.status < 300:
            talk.need(finished, f"the status is {read.get('status')} after it was cancelled")
        else:
            talk.need(answer.status == 400, f"cancel: {answer.status}")
    talk.want(False, "each time the answer was done before it could be cancelled")


@AREA.check(
    "cancel in foreground",
    "a response that is not in background cannot be cancelled",
    "API reference, Responses, Cancel a response",
)
async def _foreground(talk: CheckTalk) -> None:
    response = await created(talk, input="Say hello.")
    await talk.refused("POST", f"{path_of(response)}/cancel", {})
