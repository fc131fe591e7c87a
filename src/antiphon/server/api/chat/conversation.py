"""Messages of a chat completions request → our items, for backends that speak another API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    AudioData,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
)
from antiphon.types.raw import OptionalRaw, settle_nulls


class CalledFunction(msgspec.Struct, frozen=True):
    """The function of an earlier call."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    arguments: str = ""


class EarlierToolCall(msgspec.Struct, frozen=True):
    """An earlier call."""

    id: str
    function: CalledFunction
    type: str = "function"


class ChatTurnMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a request."""

    role: str
    content: OptionalRaw = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[EarlierToolCall] | None = None
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        settle_nulls(self, content=self.content)


class _Url(msgspec.Struct, frozen=True):
    url: str
    detail: str | None = None


class _ChatFile(msgspec.Struct, frozen=True):
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None


class ChatTurnPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message's content; its type says which field counts."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: _Url | None = None
    input_audio: AudioData | None = None
    file: _ChatFile | None = None


_messages = msgspec.json.Decoder(list[ChatTurnMessage])
_parts = msgspec.json.Decoder(list[ChatTurnPart])
_text = msgspec.json.Decoder(str)


class ChatConversation:
    """The items of a conversation; `sources` are the indexes of the messages that they came from."""

    def __init__(self, raw: Raw) -> None:
        self.items: list[Item] = []
        self.sources: list[int] = []
        messages: list[ChatTurnMessage] = decode(_messages, raw, "messages")
        for at, message in enumerate(messages):
            for item in _items_of(message, f"messages[{at}]"):
                self.items.append(item)
                self.sources.append(at)
        if not self.items:
            raise InvalidRequest("Invalid 'messages': there must be at least one.", param="messages")

    def spell(self, name: str) -> str:
        """Return how chat completions name a field: `input[2].output` → `messages[1].content`."""
        number, bracket, rest = name.removeprefix("input[").partition("]")
        if not (bracket and number.isdigit() and len(number) < 9 and int(number) < len(self.sources)):
            return "messages" if name == "input" else name
        return f"messages[{self.sources[int(number)]}]{rest.replace('.output', '.content')}"


def _items_of(message: ChatTurnMessage, path: str) -> Sequence[Item]:
    match message.role:
        case "system" | "developer":
            return [Message(role=message.role, content=_content(message, path))]
        case "user":
            return [Message(role="user", content=_content(message, path))]
        case "assistant":
            return _answer(message, path)
        case "tool":
            if not message.tool_call_id:
                raise InvalidRequest(
                    f"Missing required parameter: '{path}.tool_call_id'.",
                    param=f"{path}.tool_call_id",
                    code="missing_required_parameter",
                )
            return [FunctionCallOutput(call_id=message.tool_call_id, output=_content(message, path))]
    raise InvalidRequest(
        f"Invalid '{path}.role': must be 'system', 'developer', 'user', 'assistant' or 'tool'.", param=f"{path}.role"
    )


def _answer(message: ChatTurnMessage, path: str) -> Sequence[Item]:
    """Return an answer's items. Thoughts before calls are left to Recall, which has what goes with them, too: signatures."""
    items: list[Item] = []
    if (thoughts := message.reasoning_content or message.reasoning) and not message.tool_calls:
        items.append(Reasoning(content=[ReasoningText(text=thoughts)]))
    content = _content(message, path)
    texts = [content] if isinstance(content, str) else [part.text for part in content if isinstance(part, InputText)]
    said = "".join(texts) or message.refusal or ""
    if said:
        items.append(Message(role="assistant", content=[OutputText(text=said)]))
    for call in message.tool_calls or ():
        function = call.function
        items.append(FunctionCall(call_id=call.id, name=function.name, arguments=function.arguments or "{}"))
    return items


def _content(message: ChatTurnMessage, path: str) -> Any:
    """Return a string, or parts. Raises InvalidRequest."""
    raw = message.content
    if raw is None:
        return ""
    if bytes(raw).lstrip()[:1] == b'"':
        return decode(_text, raw, f"{path}.content")
    parts = decode(_parts, raw, f"{path}.content")
    return [_part(part, f"{path}.content[{index}]") for index, part in enumerate(parts)]


def _part(part: ChatTurnPart, path: str) -> Part:
    match part:
        case ChatTurnPart(type="text"):
            return InputText(text=part.text)
        case ChatTurnPart(type="refusal"):
            return InputText(text=part.refusal)
        case ChatTurnPart(type="image_url", image_url=_Url() as image):
            return InputImage(image_url=image.url, detail=image.detail or "auto")
        case ChatTurnPart(type="input_audio", input_audio=AudioData() as audio):
            return InputAudio(input_audio=audio)
        case ChatTurnPart(type="file", file=_ChatFile() as file):
            fields = {name: value for name, value in msgspec.structs.asdict(file).items() if value is not None}
            return InputFile(**fields)
    raise InvalidRequest(f"Invalid '{path}': a part of the type '{part.type[:64]}' is not known.", param=f"{path}.type")
