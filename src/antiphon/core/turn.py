"""Turn: one model call, as a Backend gets it. Nothing in it is tied to a wire format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import NO_OPAQUE, OpaqueData
from antiphon.core.request.decoding import ResolvedText
from antiphon.core.request.validation import decode
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.tools.mcp_content import ALL, Senses
from antiphon.core.tools.offers import Offer
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputText, Item, Message, OutputText
from antiphon.types.request import CreateResponse
from antiphon.types.tools import Tool, ToolChoice

TEMPLATE_FIELDS = "chat_template_kwargs"

_object = msgspec.json.Decoder(dict[str, Raw] | None)


Sent = Callable[[str, str, bytes], None]
"""Told of a request as it goes to a backend: the backend's name, the URL, the body."""


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """Hints: what a request says for routing, apart from its body.

    `owner`: for fair queues. `response`: id of the response that waits. `backend_id`: the backend that answered an earlier
    call of the same turn. `traceparent`: parent span for the backend's own trace (W3C Trace Context). `sent` is told of each
    request, where somebody wants to see it.
    """

    owner: str = ""
    response: str = ""
    backend_id: str = ""
    traceparent: str = ""
    sent: Sent | None = None


NO_HINTS = Hints()


class TurnOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a request of another front end than OpenAI's can ask for beside its CreateResponse.

    `stop`: the answer ends before the first of these texts (`core/text/stop_sequences`). `top_k`: sampling from so many
    tokens. `thinking_budget`: tokens for thoughts. `continues`: the answer goes on where the last item, the assistant's
    message, ends. `summary_prompt`: how a summary of the conversation is asked for; `pauses`: the response ends with that.
    """

    stop: tuple[str, ...] = ()
    top_k: int | None = None
    thinking_budget: int | None = None
    continues: bool = False
    summary_prompt: str = ""
    pauses: bool = False


NO_OPTIONS = TurnOptions()


def continues(turn: Turn) -> bool:
    """Tell whether the answer goes on where the assistant's message at the end of the items ends."""
    return turn.options.continues and bool(turn.items) and _is_assistants(turn.items[-1])


def begun_text(turn: Turn) -> str:
    """Return the text that the answer goes on from, "" where it does not: no server is to repeat it."""
    last = turn.items[-1] if continues(turn) else None
    if not isinstance(last, Message):
        return ""
    if isinstance(last.content, str):
        return last.content
    return "".join([part.text for part in last.content if isinstance(part, OutputText | InputText)])


def _is_assistants(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "assistant"


def no_prefill() -> InvalidRequest:
    """Return the refusal of a Turn that continues a message, which the model cannot do."""
    return InvalidRequest(
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        param="input",
    )


def all_instructions(turn: Turn) -> str | None:
    """Return the instructions of a Turn with those of the tools that this server runs."""
    if not turn.tool_instructions:
        return turn.instructions
    return f"{turn.instructions}\n\n{turn.tool_instructions}" if turn.instructions else turn.tool_instructions


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What the model sees and how it is to answer: defaults are filled in, history is in `items`, oldest first.

    `request` is there for what only a backend that speaks Responses itself understands. `model` is the id of the model's
    card; routing replaces it by the backend's own name. `server_tools` are those that this server runs, and
    `tool_instructions` is what the model is told of them beside the `instructions`.
    `extra` holds unknown request fields, whose names are `unknown`, and the model's configured `extra_body`; they go to the
    backend as they are, where it does not get a field of that name anyway. `size` is about how many bytes of JSON all of it
    has, where that is so much that it is worked on off the event loop, else 0.
    `senses`: what the model takes; what tools of this server gave is shown accordingly. `opaque` is what backends said for
    themselves in the answers among the items. `encoded` is there where long texts of the items are stored, too.
    """

    model: str
    request: CreateResponse
    instructions: str | None
    items: Sequence[Item]
    opaque: OpaqueData = NO_OPAQUE
    tools: Sequence[Tool]
    server_tools: Sequence[Offer] = ()
    tool_instructions: str = ""
    tool_choice: str | ToolChoice
    parallel_tool_calls: bool
    text: ResolvedText
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    reasoning_effort: str | None
    extra: Mapping[str, Raw] = {}
    unknown: Collection[str] = ()
    options: TurnOptions = NO_OPTIONS
    stream: bool = True
    hints: Hints = NO_HINTS
    size: int = 0
    senses: Senses = ALL
    encoded: EncodedTexts | None = None


def with_operators(fields: Mapping[str, Raw], operators: Mapping[str, Raw]) -> Mapping[str, Raw]:
    """Return a client's fields with the operator's `extra_body`, which wins; of two `chat_template_kwargs`, both count.

    Raises InvalidRequest for a client's `chat_template_kwargs` that are no object.
    """
    if not operators or not fields:
        return operators or fields
    merged = {**fields, **operators}
    both = fields.get(TEMPLATE_FIELDS), operators.get(TEMPLATE_FIELDS)
    if both[0] is not None and both[1] is not None:
        merged[TEMPLATE_FIELDS] = Raw(merged_objects(both[0], both[1], TEMPLATE_FIELDS))
    return merged


def merged_objects(weaker: bytes | Raw, stronger: bytes | Raw, path: str) -> bytes:
    """Return two JSON objects as one: fields of the stronger one win, `null` has none. Raises InvalidRequest."""
    first, second = (decode(_object, one, path) or {} for one in (weaker, stronger))
    return to_json({**first, **second})


def on_backend(turn: Turn, backend_id: str) -> Turn:
    """Return the Turn that follows one which the backend `backend_id` answered: its KV cache is there."""
    if not backend_id or turn.hints.backend_id == backend_id:
        return turn
    return msgspec.structs.replace(turn, hints=msgspec.structs.replace(turn.hints, backend_id=backend_id))
