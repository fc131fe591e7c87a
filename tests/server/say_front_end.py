"""Another front end over the same machine, as docs/design.md tells how to add one: no file of the package knows of it.

`POST /say` takes `{"model", "words", "functions", "stream"}` and answers `{"said", "thought", "calls", "why"}`; streamed, it
sends the events `begin`, `piece`, `thought`, `call` and `end`. Its errors are `{"fault": {"text", "field"}}`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from antiphon.composition.app import Parts
from antiphon.core.deltas import CallStart, Finish, FinishReason
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.writer_table import Dialect, WriterTable
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses.intake.asked import Asked
from antiphon.responses.prepare import Preparer
from antiphon.server.api.foreground import Foreground
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.response_head import AnswerForm, error_headers
from antiphon.types.events import Event
from antiphon.types.items import FunctionCall, Message, OutputText, Reasoning, ReasoningText
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from antiphon.types.tools import FunctionTool

WHY = {FinishReason.STOP: "end", FinishReason.TOOL_CALLS: "calls", FinishReason.LENGTH: "cut"}

NAMES = {"input": "words", "tools": "functions"}

# What comes in


class Say(msgspec.Struct, forbid_unknown_fields=True):
    model: str = ""
    words: str = ""
    functions: list[str] = []
    stream: bool = False


class SayDecoder:
    """The bodies of this front end (a RequestDecoder)."""

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        """Decode a body. Raises InvalidRequest in this front end's own words."""
        try:
            say = msgspec.json.decode(body, type=Say)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"What was that? {error}", param="body") from None
        if not say.words:
            raise InvalidRequest("Say something.", param="words")
        return Asked(
            request=CreateResponse(model=say.model or model or "", stream=say.stream, store=False),
            items=[Message(role="user", content=say.words)],
            tools=[FunctionTool(name=name, parameters=Raw(b"{}"), strict=False) for name in say.functions],
            size=len(body),
            spell=lambda name: NAMES.get(name.partition("[")[0], name),
        )


# What goes out: events


class SayEmitter(MuteEmitter):
    """Counts the events that are OpenAI's, and makes those of this front end."""

    def say(self, type: str, **fields: Any) -> None:
        self.skip()
        self._pending.append(Event(type, to_json(fields)))

    def started(self, response: Response, *, queued: bool) -> None:
        self.say("begin", id=response.id, model=response.model)

    def keepalive(self, position: int) -> None:
        self.say("wait")

    def failed(self, error: APIError) -> None:
        self.say("fault", text=error.message)

    def ended(self, response: Response, finish: Finish | None) -> tuple[bytes, Event]:
        said: dict[str, Any] = {
            "said": "",
            "thought": "",
            "calls": [],
            "why": WHY.get(finish.reason if finish else FinishReason.STOP, "cut"),
        }
        for item in map(bytes, response.output):
            fields = msgspec.json.decode(item)
            match fields["type"]:
                case "message":
                    said["said"] += "".join(part.get("text", "") for part in fields["content"])
                case "reasoning":
                    said["thought"] += "".join(part["text"] for part in fields.get("content") or fields["summary"])
                case "function_call":
                    said["calls"].append({"name": fields["name"], "arguments": fields["arguments"]})
        return to_json(said), Event("end", to_json({"why": said["why"], "status": response.status}))


class QuietSayEmitter(SayEmitter):
    """For what is not streamed."""

    def say(self, type: str, **fields: Any) -> None:
        self.skip()


class MessageTold:
    """The Writer of a message."""

    def __init__(self, emitter: SayEmitter, item_id: str, index: int) -> None:
        self.index = index
        self._emitter = emitter
        self._id = item_id
        self._pieces: list[str] = []

    def text(self, text: str, logprobs: bytes = b"") -> None:
        self._pieces.append(text)
        self._emitter.say("piece", text=text)

    def refusal(self, text: str) -> None:
        self.text(text)

    def annotate(self, annotation: bytes) -> None:
        self._emitter.say("source", source=msgspec.Raw(annotation))

    def close(self, status: str) -> bytes:
        text = OutputText(text="".join(self._pieces))
        return to_json(Message(id=self._id, status=status, role="assistant", content=[text]))


class ThoughtsTold:
    """The Writer of thoughts."""

    def __init__(self, emitter: SayEmitter, item_id: str, index: int, options: StreamTerms) -> None:
        self.index = index
        self.item_id = item_id
        self._emitter = emitter
        self._pieces: list[str] = []

    def text(self, text: str) -> None:
        self._pieces.append(text)
        self._emitter.say("thought", text=text)

    def close(self, status: str) -> bytes:
        text = ReasoningText(text="".join(self._pieces))
        return to_json(Reasoning(id=self.item_id, status=status, content=[text]))


class CallTold:
    """The Writer of a call: it is told when it is whole."""

    def __init__(self, emitter: SayEmitter, item_id: str, index: int, call: CallStart) -> None:
        self.index = index
        self.arguments = ""
        self._emitter = emitter
        self._id = item_id
        self._call = call

    def text(self, text: str) -> None:
        self.arguments += text

    def close(self, status: str) -> bytes:
        call, arguments = self._call, self.arguments or "{}"
        self._emitter.say("call", name=call.name, arguments=arguments)
        item = FunctionCall(id=self._id, call_id=call.call_id, name=call.name, arguments=arguments, status=status)
        return to_json(item)


WRITERS = WriterTable(
    message=MessageTold,  # type: ignore[arg-type]  # its Emitter is this front end's
    reasoning=ThoughtsTold,  # type: ignore[arg-type]  # as above
    call=CallTold,  # type: ignore[arg-type]  # as above
)
DIALECT = Dialect(emitter=SayEmitter, mute=QuietSayEmitter, writers=WRITERS)

# What goes out: errors


def fault(error: APIError, request_id: str) -> Reply:
    """Return an error's body."""
    return json_reply(
        {"fault": {"text": error.message, "field": error.param}, "id": request_id}, error.status, error_headers(error)
    )


FORM = AnswerForm(error=fault, id_header=b"say-id", time_header=b"say-ms")

# The route


class SayRoute:
    """The handler."""

    def __init__(self, preparer: Preparer, foreground: Foreground) -> None:
        self._preparer = preparer
        self._foreground = foreground

    async def create(self, request: Request) -> Reply | None:
        """POST /say."""
        prepared = await self._preparer.prepare(await request.body(), request.caller, request_hints(request))
        streamed = bool(prepared.plan.request.stream)
        run = self._preparer.run(prepared, mute=not streamed)
        if not streamed:
            return await self._foreground.whole(request, run, prepared.permit.headers)
        await self._foreground.stream(request, run, prepared.permit.headers, last=b"")
        return None


def add_say(parts: Parts) -> None:
    """Add the front end to a server's parts."""
    preparer = Preparer(parts.services, parts.intake, SayDecoder(), DIALECT)
    parts.app.router.add("POST", "/say", SayRoute(preparer, parts.foreground).create, form=FORM)
