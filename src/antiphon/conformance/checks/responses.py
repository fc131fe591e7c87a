"""Responses: one answer, whole."""

from __future__ import annotations

from antiphon.conformance.base import Area
from antiphon.conformance.grammar import text_of, usage_adds_up, whole_response
from antiphon.conformance.shapes import COMPACTION, COUNT
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

AREA = Area("responses")
CREATE = "API reference, Responses, Create a response"
ROOM = 512
"""Tokens that an answer may take: enough for a model that thinks first."""


async def created(talk: CheckTalk, **fields: object) -> Json:
    """Create a response; it has the shape of one. Raises NonConforming, NotOffered."""
    body = {"model": talk.model, "max_output_tokens": ROOM, **fields}
    response = whole_response(talk, await talk.ok("POST", "/responses", body))
    if body.get("store") is not False:
        talk.made(f"/responses/{response['id']}")
    return response


async def answered(talk: CheckTalk, **fields: object) -> Json:
    """Create a response that must say something. Raises NonConforming, NotOffered."""
    response = await created(talk, **fields)
    talk.need(response.get("status") == "completed", f"the status is {response.get('status')}, not completed")
    talk.need(text_of(response).strip(), "the response says nothing")
    return response


@AREA.check("text", "a text as `input` is answered with a message, and its tokens are counted", CREATE, optional=False)
async def _text(talk: CheckTalk) -> None:
    usage_adds_up(talk, await answered(talk, input="Say hello."))


@AREA.check("messages", "messages of all roles as `input` are answered", f"{CREATE}, input", optional=False)
async def _messages(talk: CheckTalk) -> None:
    said = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "My name is Ada."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello Ada."}]},
        {"role": "user", "content": "What is my name?"},
    ]
    await answered(talk, input=said)


@AREA.check("echo", "the response repeats instructions, metadata and settings of the request", CREATE, optional=False)
async def _echo(talk: CheckTalk) -> None:
    asked = {
        "instructions": "Be brief.",
        "metadata": {"topic": "greeting"},
        "temperature": 0.5,
        "max_output_tokens": 900,
    }
    response = await answered(talk, input="Say hello.", **asked)
    for name, value in asked.items():
        talk.want(response.get(name) == value, f"response.{name} is not the request's")


@AREA.check(
    "token limit", "an answer that is cut off is `incomplete`, by `max_output_tokens`", f"{CREATE}, max_output_tokens"
)
async def _limit(talk: CheckTalk) -> None:
    response = await created(talk, input="Count from 1 to 200.", max_output_tokens=16)
    usage = response.get("usage") or {}
    talk.want(usage.get("output_tokens", 0) <= 16, "more tokens are counted than were allowed")
    if response.get("status") != "completed":
        talk.need(response.get("status") == "incomplete", f"the status is {response.get('status')}, not incomplete")
        reason = (response.get("incomplete_details") or {}).get("reason")
        talk.need(reason == "max_output_tokens", f"incomplete_details.reason is {reason}")
    else:
        talk.need(usage.get("output_tokens", 0) < 16, "an answer that was cut off is told as completed")


@AREA.check(
    "count tokens", "the tokens of a request are counted without an answer", "API reference, Responses, Input tokens"
)
async def _count(talk: CheckTalk) -> None:
    body = {"model": talk.model, "input": "Say hello."}
    few = talk.fits(await talk.ok("POST", "/responses/input_tokens", body), COUNT, "count")
    more = await talk.ok("POST", "/responses/input_tokens", {**body, "input": "Say hello. " * 50})
    talk.need(0 < few["input_tokens"] < more.get("input_tokens", 0), "a longer input has no more tokens")


@AREA.check(
    "compact", "a conversation becomes a compaction, with which it goes on", "API reference, Responses, Compact"
)
async def _compact(talk: CheckTalk) -> None:
    said = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Say hello."},
    ]
    made = talk.fits(
        await talk.ok("POST", "/responses/compact", {"model": talk.model, "input": said}), COMPACTION, "compaction"
    )
    kinds = [item.get("type") for item in made["output"] if isinstance(item, dict)]
    talk.need("compaction" in kinds, "the output has no compaction")
    await answered(talk, input=[*made["output"], {"role": "user", "content": "Say hello."}])
