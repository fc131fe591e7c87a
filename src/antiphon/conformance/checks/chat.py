"""Chat completions."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import ROOM
from antiphon.conformance.checks.structured import ASKED, PERSON, VALID
from antiphon.conformance.checks.tools import PARIS, WEATHER
from antiphon.conformance.shapes import CHAT, CHAT_CALL, CHAT_CHUNK, CHAT_USAGE
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json, decoded

AREA = Area("chat completions")
SECTION = "API reference, Chat Completions"
FUNCTION: Json = {
    "type": "function",
    "function": {name: WEATHER[name] for name in ("name", "description", "parameters")},
}
CHOICE: Json = {"type": "function", "function": {"name": "get_weather"}}
HELLO = [{"role": "user", "content": "Say hello."}]


async def completed(talk: CheckTalk, **fields: Any) -> Json:
    """Make a completion; return its first choice. Raises NonConforming, NotOffered."""
    body = {"model": talk.model, "messages": HELLO, "max_tokens": ROOM, **fields}
    made = talk.fits(await talk.ok("POST", "/chat/completions", body), CHAT, "completion")
    talk.need(made["choices"] and isinstance(made["choices"][0], dict), "there is no choice")
    choice: Json = made["choices"][0]
    talk.need(isinstance(choice.get("message"), dict), "the choice has no message")
    return {**choice, "completion": made}


async def chunks_of(talk: CheckTalk, **fields: Any) -> tuple[list[Json], list[Json]]:
    """Stream a completion; return its chunks, and the deltas of its choice. Raises NonConforming, NotOffered."""
    body = {"model": talk.model, "messages": HELLO, "max_tokens": ROOM, **fields}
    streamed = await talk.events("/chat/completions", body)
    chunks = [talk.fits(decoded(event.data), CHAT_CHUNK, "chunk") for event in streamed.events]
    talk.want(streamed.done, "the stream does not end with [DONE]")
    choices = [choice for chunk in chunks for choice in chunk["choices"] if isinstance(choice, dict)]
    talk.need(choices, "there is no choice")
    ends = [choice.get("finish_reason") for choice in choices if choice.get("finish_reason")]
    talk.need(len(ends) == 1, f"{len(ends)} chunks have a finish_reason")
    talk.want(len({chunk["id"] for chunk in chunks}) == 1, "the chunks have several ids")
    return chunks, [choice.get("delta") or {} for choice in choices]


@AREA.check("text", "a message is answered, and its tokens are counted", SECTION, optional=False)
async def _text(talk: CheckTalk) -> None:
    choice = await completed(talk)
    talk.need(str(choice["message"].get("content") or "").strip(), "the message says nothing")
    talk.need(choice.get("finish_reason") == "stop", f"finish_reason is {choice.get('finish_reason')}, not stop")
    talk.want(choice["message"].get("role") == "assistant", "the role is not assistant")
    usage = talk.fits(choice["completion"].get("usage"), CHAT_USAGE, "usage")
    talk.want(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], "usage does not add up")


@AREA.check(
    "stream", "chunks come, the role first, with usage at the end where it is asked for", SECTION, optional=False
)
async def _stream(talk: CheckTalk) -> None:
    chunks, deltas = await chunks_of(talk, stream_options={"include_usage": True})
    talk.need("".join(str(delta.get("content") or "") for delta in deltas).strip(), "the chunks say nothing")
    talk.want(deltas[0].get("role") == "assistant", "the first chunk does not name the role")
    counted = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    talk.want(counted, "no chunk has the usage that was asked for")
    for usage in counted[-1:]:
        talk.fits(usage, CHAT_USAGE, "usage")


@AREA.check("token limit", "an answer that is cut off has the finish_reason `length`", SECTION)
async def _limit(talk: CheckTalk) -> None:
    choice = await completed(talk, messages=[{"role": "user", "content": "Count from 1 to 200."}], max_tokens=8)
    usage = choice["completion"].get("usage") or {}
    cut = choice.get("finish_reason") == "length"
    talk.need(cut or usage.get("completion_tokens", 8) < 8, "an answer that was cut off has another finish_reason")


@AREA.check("forced call", "a function that `tool_choice` names is called", SECTION)
async def _call(talk: CheckTalk) -> None:
    asked = [{"role": "user", "content": PARIS}]
    message = (await completed(talk, messages=asked, tools=[FUNCTION], tool_choice=CHOICE))["message"]
    talk.need(message.get("tool_calls"), "the model called no function")
    call = talk.fits(message["tool_calls"][0], CHAT_CALL, "call")
    talk.need(call["function"].get("name") == "get_weather", "it called another function")
    arguments = decoded(str(call["function"].get("arguments")).encode())
    talk.need(isinstance(arguments, dict), "the arguments are no JSON object")
    result = {"role": "tool", "tool_call_id": call["id"], "content": "18 degrees, sunny"}
    after = (await completed(talk, messages=[*asked, message, result], tools=[FUNCTION]))["message"]
    talk.need(after.get("content") or after.get("tool_calls"), "the output of the call is not answered")


@AREA.check("forced call, streamed", "the arguments of a call are streamed under its index", SECTION)
async def _streamed_call(talk: CheckTalk) -> None:
    asked = [{"role": "user", "content": PARIS}]
    _, deltas = await chunks_of(talk, messages=asked, tools=[FUNCTION], tool_choice=CHOICE)
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls") or [] if isinstance(piece, dict)]
    talk.need(pieces, "the model called no function")
    talk.need(all(piece.get("index") == 0 for piece in pieces), "pieces of the call have another index than 0")
    talk.need(
        pieces[0].get("id") and (pieces[0].get("function") or {}).get("name") == "get_weather",
        "the first piece has no id and name",
    )
    said = "".join(str((piece.get("function") or {}).get("arguments") or "") for piece in pieces)
    talk.need(isinstance(decoded(said.encode()), dict), "the pieces are no JSON object together")


@AREA.check("JSON Schema", "the answer follows the JSON Schema", f"{SECTION}, response_format")
async def _schema(talk: CheckTalk) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    choice = await completed(talk, messages=[{"role": "user", "content": ASKED}], response_format=wanted)
    said = str(choice["message"].get("content")).encode()
    talk.need(VALID.is_valid(decoded(said)), "the answer does not follow the schema")


@AREA.check("bad request", "a message without a role is a 400 with an error object", "API reference, Errors")
async def _bad(talk: CheckTalk) -> None:
    await talk.refused(
        "POST", "/chat/completions", {"model": talk.model, "messages": [{"content": 1}]}, statuses=(400, 422)
    )


@AREA.check("stored", "a completion with `store: true` is listed, read and deleted", f"{SECTION}, Get chat completion")
async def _stored(talk: CheckTalk) -> None:
    made = (await completed(talk, store=True, metadata={"topic": "greeting"}))["completion"]
    path = f"/chat/completions/{quote(made['id'], safe='')}"
    read = talk.fits(await talk.ok("GET", path), CHAT, "completion")
    talk.need(read["id"] == made["id"], "another completion comes")
    messages = (await talk.ok("GET", f"{path}/messages")).get("data")
    talk.need(isinstance(messages, list) and "Say hello." in str(messages), "its messages are not there")
    await talk.ok("DELETE", path)
    await talk.refused("GET", path, {}, statuses=(404,))
