"""Streams of Responses events."""

from __future__ import annotations

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import ROOM, created
from antiphon.conformance.grammar import calls_of, judged, parsed, text_of, usage_adds_up
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

AREA = Area("streaming")
SECTION = "API reference, Responses, Streaming events"


async def streamed(talk: CheckTalk, **fields: object) -> tuple[list[Json], Json]:
    """Stream a response; return its events and its last state. Raises NonConforming, NotOffered."""
    body = {"model": talk.model, "max_output_tokens": ROOM, **fields}
    events = parsed(talk, (await talk.events("/responses", body)).events)
    final = judged(talk, events)
    if body.get("store") is not False:
        talk.made(f"/responses/{final['id']}")
    return events, final


@AREA.check(
    "text",
    "events come in order, with numbers and names; what deltas say is what the end says",
    SECTION,
    optional=False,
)
async def _text(talk: CheckTalk) -> None:
    events, final = await streamed(talk, input="Say hello.")
    talk.need(final.get("status") == "completed", f"the status is {final.get('status')}, not completed")
    talk.need(text_of(final).strip(), "the response says nothing")
    kinds = {event["type"] for event in events}
    for kind in ("content_part.added", "output_text.done", "content_part.done"):
        talk.want(f"response.{kind}" in kinds, f"no response.{kind}")
    talk.need("response.output_text.delta" in kinds, "no response.output_text.delta")
    usage_adds_up(talk, final)


@AREA.check("call", "the arguments of a call are streamed, and told whole", SECTION)
async def _call(talk: CheckTalk) -> None:
    from antiphon.conformance.checks.tools import FORCED, WEATHER

    events, final = await streamed(talk, input="What is the weather in Paris?", tools=[WEATHER], tool_choice=FORCED)
    talk.need(calls_of(final), "the model called no function")
    kinds = {event["type"] for event in events}
    for kind in ("delta", "done"):
        talk.want(f"response.function_call_arguments.{kind}" in kinds, f"no response.function_call_arguments.{kind}")


@AREA.check("token limit", "a stream that is cut off ends with response.incomplete", SECTION)
async def _limit(talk: CheckTalk) -> None:
    events, final = await streamed(talk, input="Count from 1 to 200.", max_output_tokens=16)
    kind = f"response.{final.get('status')}"
    talk.need(events[-1]["type"] == kind, f"{events[-1]['type']} has a response whose status is {final.get('status')}")
    counted = (final.get("usage") or {}).get("output_tokens", 0)
    talk.need(final.get("status") == "incomplete" or counted < 16, "an answer that was cut off is told as completed")


@AREA.check("same as whole", "a streamed response has the fields of one that is not streamed", SECTION)
async def _same(talk: CheckTalk) -> None:
    whole = await created(talk, input="Say hello.")
    _, final = await streamed(talk, input="Say hello.")
    for name in sorted(whole.keys() ^ final.keys()):
        talk.want(False, f"response.{name} is there only {'streamed' if name in final else 'not streamed'}")
    kinds = [[item["type"] for item in response["output"]] for response in (whole, final)]
    talk.want(kinds[0] == kinds[1], "the items of both are of other types")
