"""Responses over a WebSocket connection."""

from __future__ import annotations

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import ROOM
from antiphon.conformance.grammar import TERMINAL, judged, text_of
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import MOST_EVENTS, Json, Socket

AREA = Area("websocket")
SECTION = "Open Responses 2026-04-24, WebSocket mode; API guides, WebSocket mode"


async def turn(talk: CheckTalk, socket: Socket, **fields: object) -> list[Json]:
    """Create a response and return its messages, up to its end or an error. Raises NonConforming."""
    request = {"type": "response.create", "model": talk.model, "store": False, "max_output_tokens": ROOM, **fields}
    await socket.send(request)
    events: list[Json] = []
    while len(events) < MOST_EVENTS:
        event = await socket.receive()
        talk.need(isinstance(event.get("type"), str), "a message without a type")
        events.append(event)
        if event["type"] in (*TERMINAL, "error"):
            break
    talk.note(request, events[-1])
    return events


async def answered(talk: CheckTalk, socket: Socket, **fields: object) -> Json:
    """Create a response that must say something. Raises NonConforming."""
    events = await turn(talk, socket, **fields)
    talk.need(events[-1]["type"] != "error", f"an error: {str(events[-1].get('error'))[:200]}")
    final = judged(talk, events)
    talk.need(text_of(final).strip(), "the response says nothing")
    return final


async def refused(talk: CheckTalk, socket: Socket, **fields: object) -> Json:
    """Ask for what must be refused; return the error. Raises NonConforming."""
    event = (await turn(talk, socket, **fields))[-1]
    talk.need(event["type"] == "error", f"{event['type']} instead of an error")
    error = event.get("error")
    talk.need(isinstance(error, dict) and isinstance(error.get("message"), str), "the error says nothing")
    found: Json = error  # type: ignore[assignment]  # `need` above: an object
    return found


@AREA.check("text", "a response comes as messages that are the events of a stream", SECTION)
async def _text(talk: CheckTalk) -> None:
    async with talk.socket() as socket:
        await answered(talk, socket, input="Say hello.")


@AREA.check("several", "a connection carries one response after another", SECTION)
async def _several(talk: CheckTalk) -> None:
    async with talk.socket() as socket:
        first = await answered(talk, socket, input="Say hello.")
        second = await answered(talk, socket, input="Say hello.")
        talk.need(first["id"] != second["id"], "two responses have one id")


@AREA.check("continued", "a response with `store: false` is continued on its connection", SECTION)
async def _continued(talk: CheckTalk) -> None:
    async with talk.socket() as socket:
        first = await answered(talk, socket, input="My name is Ada.")
        second = await answered(talk, socket, input="What is my name?", previous_response_id=first["id"])
        talk.need(
            second.get("previous_response_id") == first["id"], "response.previous_response_id is not the request's"
        )


@AREA.check("not on another", "a response with `store: false` is not known to another connection", SECTION)
async def _other(talk: CheckTalk) -> None:
    async with talk.socket() as socket:
        first = await answered(talk, socket, input="My name is Ada.")
    async with talk.socket() as socket:
        error = await refused(talk, socket, input="What is my name?", previous_response_id=first["id"])
        talk.want(error.get("code") == "previous_response_not_found", "error.code is not previous_response_not_found")


@AREA.check("evicted", "a continuation that fails makes the connection forget what it continued", SECTION)
async def _evicted(talk: CheckTalk) -> None:
    stray = [{"type": "function_call_output", "call_id": "call_nobody_made", "output": "no"}]
    async with talk.socket() as socket:
        first = await answered(talk, socket, input="My name is Ada.")
        await refused(talk, socket, input=stray, previous_response_id=first["id"])
        error = await refused(talk, socket, input="What is my name?", previous_response_id=first["id"])
        talk.want(error.get("code") == "previous_response_not_found", "error.code is not previous_response_not_found")


@AREA.check("error", "a bad request is an error message, and the connection goes on", SECTION)
async def _error(talk: CheckTalk) -> None:
    async with talk.socket() as socket:
        await refused(talk, socket, input=[{"type": "no_such_item"}])
        await answered(talk, socket, input="Say hello.")
