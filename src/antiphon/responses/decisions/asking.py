"""Model calls of decisions: a Ballot asked of a model, each call a Run of its own that nobody sees and nothing keeps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.decisions.label_reading import AnswerToken, answer_tokens
from antiphon.responses.plan import Plan
from antiphon.responses.run import Run
from antiphon.responses.services import Services
from antiphon.responses.sink import NULL
from antiphon.types.items import Message
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

LOGPROBS = "message.output_text.logprobs"
TOP_LOGPROBS = 20

LABEL_TOKENS = 16
"""Tokens for an answer that is one label: servers of OpenAI's kind take no fewer, and a model ends earlier by itself."""

THOUGHT_TOKENS = 4096
"""Tokens beside those, for models that think although they are told not to."""


class QuestionForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a call is made: with log-probabilities, or with probabilities in words, and how many tokens it may write."""

    logprobs: bool = False
    in_words: bool = False
    temperature: float | None = 0.0
    most_tokens: int = LABEL_TOKENS


class CallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said. `cut`: it was cut off by the number of tokens; `refused`: it declined, or a filter ended it."""

    text: str
    tokens: Sequence[AnswerToken]
    refused: bool
    cut: bool
    usage: Usage | None
    backend_id: str


class _Part(msgspec.Struct):
    type: str
    text: str = ""
    logprobs: Raw = Raw(b"[]")


class _Item(msgspec.Struct):
    type: str
    content: list[_Part] | None = None


_item = msgspec.json.Decoder(_Item)


async def call_model(services: Services, plan: Plan, message: Message, form: QuestionForm) -> CallAnswer:
    """Ask the model of a Plan, the message being the last that it reads. Raises APIError."""
    run = Run(_call_plan(services, plan, message, form), services, mute=True)
    try:
        await run.open()
        await run.run(NULL)
        backend_id = run.backend_id
    finally:
        run.abort()
    if run.error is not None:
        raise run.error
    response = run.plan.response
    why = response.incomplete_details.reason if response.incomplete_details is not None else ""
    parts = [part for raw in run.stream.output for part in _parts(raw)]
    texts = [part for part in parts if part.type == "output_text"]
    return CallAnswer(
        text="".join(part.text for part in texts),
        tokens=answer_tokens(texts[0].logprobs) if texts else (),
        refused=why == "content_filter" or any(part.type == "refusal" for part in parts),
        cut=why == "max_output_tokens",
        usage=response.usage,
        backend_id=backend_id,
    )


def _parts(raw: bytes | Raw) -> Sequence[_Part]:
    """Return the parts of a message; none of items of other types."""
    item = _item.decode(raw)
    return item.content or () if item.type == "message" else ()


def _call_plan(services: Services, plan: Plan, message: Message, form: QuestionForm) -> Plan:
    turn, base = plan.turn, services.new_id_base()
    request = replace(
        turn.request,
        include=[LOGPROBS] if form.logprobs else None,
        top_logprobs=TOP_LOGPROBS if form.logprobs else None,
    )
    asked = replace(
        turn,
        request=request,
        items=[*turn.items, message],
        temperature=form.temperature,
        max_output_tokens=form.most_tokens,
        stream=False,
    )
    return replace(plan, turn=asked, id_base=base, response=replace(plan.response, id=f"resp_{base}", output=[]))


def added(first: Usage, second: Usage) -> Usage:
    """Return the sum of token counts."""
    one, other = first.input_tokens_details, second.input_tokens_details
    return Usage(
        input_tokens=first.input_tokens + second.input_tokens,
        input_tokens_details=InputTokensDetails(
            one.cached_tokens + other.cached_tokens, one.cache_write_tokens + other.cache_write_tokens
        ),
        output_tokens=first.output_tokens + second.output_tokens,
        output_tokens_details=OutputTokensDetails(
            first.output_tokens_details.reasoning_tokens + second.output_tokens_details.reasoning_tokens
        ),
        total_tokens=first.total_tokens + second.total_tokens,
    )
